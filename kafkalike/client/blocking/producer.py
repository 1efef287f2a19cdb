"""Producer: messages in, acknowledged offsets out. One thread sends, whatever thread the messages come from.

One request to a broker is under way at a time and carries at most one batch of each partition; meanwhile the next
batches fill. Idempotent unless told otherwise: what is sent again is recognised and not stored twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from kafkalike.client.accumulator import Accumulator, Batch, record_size
from kafkalike.client.blocking.network import Network, wait_readable
from kafkalike.client.cluster import Node
from kafkalike.client.errors import Disconnected, TimedOut, raise_error
from kafkalike.client.partitioners import Keyless, RoundRobin, Sticky, partition_for_key
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch as batches
from kafkalike.protocol.messages import init_producer_id, produce

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
KEYLESS: dict[str, Callable[[], Keyless]] = {"roundrobin": RoundRobin, "sticky": Sticky}


class Delivery:
    """What becomes of one message."""

    __slots__ = ("_failure", "_settled", "offset", "partition", "sent_at_ms", "timestamp", "topic")

    def __init__(self, topic: str, partition: int, timestamp: int) -> None:
        self.topic = topic
        self.partition = partition
        self.timestamp = timestamp
        self.sent_at_ms = time.monotonic() * 1000
        self.offset = -1
        self._failure: Exception | None = None
        self._settled = threading.Event()

    @property
    def done(self) -> bool:
        """It was acknowledged, or failed."""
        return self._settled.is_set()

    @property
    def failure(self) -> Exception | None:
        """Why it failed."""
        return self._failure

    def result(self, timeout_ms: float | None = None) -> Delivery:
        """Waits for the acknowledgement; raises what it failed with."""
        if not self._settled.wait(None if timeout_ms is None else timeout_ms / 1000):
            raise TimedOut("The message is not acknowledged yet")
        if self._failure is not None:
            raise self._failure
        return self

    def _settle(self, offset: int, failure: Exception | None) -> None:
        self.offset = offset
        self._failure = failure
        self._settled.set()


class Producer:
    """Sends messages to a cluster."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str = "producer-1",
        acks: int = -1,
        compression_type: str = "none",
        enable_idempotence: bool | None = None,
        batch_size: int = 16384,
        linger_ms: int = 0,
        buffer_memory: int = 32 << 20,
        max_request_size: int = 1 << 20,
        keyless: str = "roundrobin",
        max_block_ms: int = 60_000,
        delivery_timeout_ms: int = 120_000,
        request_timeout_ms: int = 30_000,
        retries: int | None = None,
        retry_backoff_ms: int = 100,
    ) -> None:
        self.network = Network(
            bootstrap_servers, client_id, request_timeout_ms=request_timeout_ms, retry_backoff_ms=retry_backoff_ms
        )
        self.acks = acks
        self.codec = CODECS[compression_type]
        self.idempotent = acks == -1 if enable_idempotence is None else enable_idempotence
        if self.idempotent and acks != -1:
            raise ValueError("Must set acks to all in order to use the idempotent producer.")
        self.buffer_memory = buffer_memory
        self.max_request_size = max_request_size
        self.max_block_ms = max_block_ms
        self.delivery_timeout_ms = delivery_timeout_ms
        self.retries = retries
        self._keyless = KEYLESS[keyless]()
        self._accumulator = Accumulator(batch_size, linger_ms)
        self._changed = threading.Condition()
        self._closing = False
        self._producer_id, self._producer_epoch = -1, -1
        self._sequences: dict[tuple[str, int], int] = {}
        self._thread: threading.Thread | None = None

    # For the application.

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
        timestamp_ms: int | None = None,
        on_delivery: Callable[[Delivery], None] | None = None,
    ) -> Delivery:
        """Queues one message. The partition is settled here, so neither batching nor retries can change it."""
        count = self.partitions_for(topic)
        extra = tuple(headers)
        size = record_size(key, value, extra)
        if size + 61 > self.max_request_size:
            raise KafkaError(
                Error.MESSAGE_TOO_LARGE,
                f"The message is {size + 61} bytes when serialized which is larger than {self.max_request_size}, "
                "which is the value of the max.request.size configuration.",
            )
        timestamp = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
        with self._changed:
            self._wait_for_room(size)
            if partition is None:
                partition = self._keyless.choose(topic, count) if key is None else partition_for_key(key, count)
            delivery = Delivery(topic, partition, timestamp)
            turned = self._accumulator.append(
                (topic, partition), (key, value, timestamp, extra), (delivery, on_delivery), _now_ms()
            )
            if turned:
                self._keyless.batch_closed(topic, count)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="producer-sender", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return delivery

    def partitions_for(self, topic: str) -> int:
        """How many partitions a topic has; waits `max_block_ms` for a topic that is still to be created."""
        known = self.network.cluster.topics.get(topic)
        if known is not None and known.partitions and known.error is Error.NONE:
            return len(known.partitions)
        try:
            found = self.network.retrying(
                "metadata",
                lambda: self.network.topic(topic, create=True),
                timeout_ms=self.max_block_ms,
                final=(Error.INVALID_TOPIC_EXCEPTION, Error.TOPIC_AUTHORIZATION_FAILED),
            )
        except (TimedOut, KafkaError) as problem:
            if isinstance(problem, KafkaError) and not problem.error.retriable:
                raise
            raise TimedOut(f"Topic {topic} not present in metadata after {self.max_block_ms} ms.") from problem
        return len(found.partitions)

    def flush(self, timeout_ms: float | None = None) -> None:
        """Waits until every message sent so far is acknowledged or failed."""
        deadline = None if timeout_ms is None else time.monotonic() + timeout_ms / 1000
        with self._changed:
            self._accumulator.flush(True)
            self._changed.notify_all()
            while not self._accumulator.empty:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            self._accumulator.flush(False)

    def close(self, timeout_ms: float | None = None) -> None:
        """Flushes, then ends."""
        self.flush(timeout_ms)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(5)
        self.network.close()

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_for_room(self, size: int) -> None:
        deadline = time.monotonic() + self.max_block_ms / 1000
        while self._accumulator.buffered_bytes + size > self.buffer_memory and self._accumulator.buffered_bytes:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(f"Failed to allocate {size} bytes within the configured max blocking time")
            self._changed.wait(left)

    # The sender.

    def _run(self) -> None:
        while True:
            with self._changed:
                now = _now_ms()
                ready = self._accumulator.ready(now)
                if not ready:
                    if self._closing:
                        return
                    due = self._accumulator.next_due_ms()
                    self._changed.wait(None if due is None else max(due - now, 1) / 1000)
                    continue
                taken = [self._accumulator.take(partition) for partition in ready]
            self._expire(taken, now)
            try:
                self._send(taken)
            except Exception as problem:
                for batch in taken:
                    self._finish(batch, -1, problem)
                raise

    def _expire(self, taken: list[Batch], now: int) -> None:
        for batch in list(taken):
            waited = now - batch.created_ms
            if waited > self.delivery_timeout_ms:
                taken.remove(batch)
                topic, partition = batch.partition
                self._renew_after(batch)
                text = (
                    f"Expiring {len(batch.records)} record(s) for {topic}-{partition}:"
                    f"{waited} ms has passed since batch creation"
                )
                self._finish(batch, -1, TimedOut(text))

    def _send(self, taken: list[Batch]) -> None:
        """One round: every batch to the leader of its partition, then the answers as they come."""
        routes: dict[Node, list[Batch]] = {}
        for batch in taken:
            try:
                self._prepare(batch)
                routes.setdefault(self.network.leader(*batch.partition), []).append(batch)
            except (Disconnected, KafkaError) as problem:
                self._failed(batch, problem)
        waiting: dict[Any, list[Batch]] = {}
        for node, group in routes.items():
            try:
                connection = self.network.connection(node, "produce")
            except Disconnected as problem:
                self._failed_all(group, problem)
                continue
            try:
                connection.send(produce, self._request(group))
                if self.acks == 0:
                    connection.skip_answer()
                    for batch in group:
                        self._finish(batch, -1, None)
                else:
                    waiting[connection] = group
            except (Disconnected, KafkaError) as problem:
                self.network.drop(connection)
                self._failed_all(group, problem)
        deadline = time.monotonic() * 1000 + self.network.request_timeout_ms
        while waiting:
            left = deadline - time.monotonic() * 1000
            readable = wait_readable(waiting, left)
            for connection in readable or list(waiting):
                group = waiting.pop(connection)
                try:
                    self._answered(group, connection.receive(max(left, 1)))
                except Disconnected as problem:
                    self.network.drop(connection)
                    self._failed_all(group, problem)

    def _prepare(self, batch: Batch) -> None:
        """Fixes the batch's bytes, with its place in the producer's sequence: a repeat is the same bytes."""
        if batch.payload is not None:
            return
        if self.idempotent and self._producer_id < 0:
            response = self.network.call(
                self.network.any_node(),
                init_producer_id,
                init_producer_id.Request(transactional_id=None, transaction_timeout_ms=60_000),
            )
            raise_error(response.error_code)
            self._producer_id, self._producer_epoch = response.producer_id, response.producer_epoch
            self._sequences.clear()
        if self.idempotent:
            batch.base_sequence = self._sequences.get(batch.partition, 0)
            self._sequences[batch.partition] = (batch.base_sequence + len(batch.records)) % (1 << 31)
        batch.payload = batches.build(
            batch.records,
            codec=self.codec,
            producer_id=self._producer_id,
            producer_epoch=self._producer_epoch,
            base_sequence=batch.base_sequence,
        )

    def _request(self, group: list[Batch]) -> Any:
        topics: dict[str, list[Any]] = {}
        for batch in group:
            topic, partition = batch.partition
            topics.setdefault(topic, []).append(produce.PartitionProduceData(index=partition, records=batch.payload))
        return produce.Request(
            acks=self.acks,
            timeout_ms=self.network.request_timeout_ms,
            topic_data=[produce.TopicProduceData(name=name, partition_data=parts) for name, parts in topics.items()],
        )

    def _answered(self, group: list[Batch], response: Any) -> None:
        answers = {(t.name, p.index): p for t in response.responses for p in t.partition_responses}
        for batch in group:
            answer = answers.get(batch.partition)
            if answer is None:
                self._failed(batch, Disconnected("the answer lacks a partition"))
            elif answer.error_code in (Error.NONE, Error.DUPLICATE_SEQUENCE_NUMBER):
                self._finish(batch, answer.base_offset, None)
            else:
                message = getattr(answer, "error_message", None)
                self._failed(batch, KafkaError(Error(answer.error_code), message))

    def _failed_all(self, group: list[Batch], problem: Exception) -> None:
        for batch in group:
            self._failed(batch, problem)

    def _failed(self, batch: Batch, problem: Exception) -> None:
        """Again, or for good."""
        again = isinstance(problem, Disconnected) or (isinstance(problem, KafkaError) and problem.error.retriable)
        if again and (self.retries is None or batch.attempts < self.retries):
            self.network.forget_topics([batch.partition[0]])
            with self._changed:
                self._accumulator.again(batch, _now_ms() + self.network.retry_backoff_ms)
            return
        self._renew_after(batch)
        if isinstance(problem, Disconnected):
            problem = KafkaError(Error.NETWORK_EXCEPTION, str(problem))
        self._finish(batch, -1, problem)

    def _renew_after(self, batch: Batch) -> None:
        """A batch given up leaves a hole in the sequence: go on under a new producer id."""
        if self.idempotent and batch.base_sequence >= 0:
            self._producer_id = -1

    def _finish(self, batch: Batch, base_offset: int, problem: Exception | None) -> None:
        with self._changed:
            self._accumulator.done(batch)
            self._changed.notify_all()
        for index, (delivery, on_delivery) in enumerate(batch.tokens):
            delivery._settle(base_offset + index if base_offset >= 0 else -1, problem)
            if on_delivery is not None:
                on_delivery(delivery)


def _now_ms() -> int:
    return int(time.monotonic() * 1000)
