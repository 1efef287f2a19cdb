"""The producer without I/O: messages in, acknowledged offsets out.

The face calls `append` for each message, and runs `run` beside everything else. Of each partition one batch is under
way at a time, so that order survives retries; of a broker up to max.in.flight.requests.per.connection requests are.
Idempotent unless told otherwise: what is sent again is recognised and not stored twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from kafkalike.client.accumulator import CLOSED, NOTHING, Accumulator, Batch, Headers, record_size
from kafkalike.client.cluster import Node, Partition, TopicInfo
from kafkalike.client.effects import Fork, Signal, Steps, Wait
from kafkalike.client.errors import Disconnected, TimedOut, raise_error
from kafkalike.client.partitioners import Keyless, RoundRobin, Sticky, partition_for_key
from kafkalike.client.routing import Routing
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch as batches
from kafkalike.protocol.compression import CODECS
from kafkalike.protocol.messages import init_producer_id, produce

KEYLESS: dict[str, Callable[[], Keyless]] = {"roundrobin": RoundRobin, "sticky": Sticky}
PURPOSE = "produce"  # the connections of Produce requests, which wait for followers


class Delivery:
    """What becomes of one message."""

    __slots__ = ("done", "failure", "offset", "on_delivery", "partition", "timestamp", "topic")

    def __init__(
        self, topic: str, partition: int, timestamp: int, on_delivery: Callable[[Any], None] | None = None
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.timestamp = timestamp
        self.on_delivery = on_delivery
        self.offset = -1
        self.done = False
        """It was acknowledged, or failed."""
        self.failure: Exception | None = None
        """Why it failed."""

    def end(self, offset: int, failure: Exception | None) -> None:
        """The broker has answered, or the message is given up."""
        self.offset = offset
        self.failure = failure
        self.done = True
        if self.on_delivery is not None:
            self.on_delivery(self)


class ProducerCore:
    """Decides everything of one producer."""

    def __init__(
        self,
        routing: Routing,
        *,
        acks: int = -1,
        compression_type: str = "none",
        enable_idempotence: bool | None = None,
        batch_size: int = 16384,
        linger_ms: int = 0,
        buffer_memory: int = 32 << 20,
        max_request_size: int = 1 << 20,
        max_in_flight_requests_per_connection: int = 5,
        keyless: str = "roundrobin",
        max_block_ms: int = 60_000,
        delivery_timeout_ms: int = 120_000,
        retries: int | None = None,
    ) -> None:
        self.routing = routing
        self.acks = acks
        self.codec = CODECS[compression_type]
        self.idempotent = acks == -1 if enable_idempotence is None else enable_idempotence
        if self.idempotent and acks != -1:
            raise ValueError("Must set acks to all in order to use the idempotent producer.")
        self.buffer_memory = buffer_memory
        self.max_request_size = max_request_size
        self.max_in_flight = max_in_flight_requests_per_connection
        self.max_block_ms = max_block_ms
        self.delivery_timeout_ms = delivery_timeout_ms
        self.retries = retries
        self.changed = Signal()
        """Something may leave that could not before, or an answer came."""
        self._keyless = KEYLESS[keyless]()
        self._accumulator = Accumulator(batch_size, linger_ms)
        self._in_flight: Counter[int] = Counter()
        self._flushes = 0
        self._counts: dict[str, int] = {}
        """How many partitions a topic has, or had when that was known last."""
        self._producer_id, self._producer_epoch = -1, -1
        self._sequences: dict[Partition, int] = {}

    # For the application.

    def size(self, key: bytes | None, value: bytes | None, headers: Headers) -> int:
        """The bytes that a message takes. KafkaError when it is too large for a request."""
        size = record_size(key, value, headers)
        if size + batches.HEADER_SIZE > self.max_request_size:
            raise KafkaError(
                Error.MESSAGE_TOO_LARGE,
                f"The message is {size + batches.HEADER_SIZE} bytes when serialized which is larger than "
                f"{self.max_request_size}, which is the value of the max.request.size configuration.",
            )
        return size

    def admits(self, topic: str, size: int) -> bool:
        """Whether a message of this size can be appended without waiting."""
        known = self.routing.known_topic(topic)
        if known is None:
            return False
        self._counts[topic] = len(known.partitions)
        return self._has_room(size)

    def admit(self, topic: str, size: int) -> Steps[None]:
        """Waits until the topic is known and there is room, for max.block.ms at most."""
        deadline = self.routing.clock.monotonic_ms() + self.max_block_ms
        yield from self.partitions_for(topic)
        while not self._has_room(size):
            left = deadline - self.routing.clock.monotonic_ms()
            if left <= 0:
                raise TimedOut(f"Failed to allocate {size} bytes within the configured max blocking time")
            yield Wait((self.changed,), left)

    def _has_room(self, size: int) -> bool:
        buffered = self._accumulator.buffered_bytes
        return buffered + size <= self.buffer_memory or not buffered

    def partitions_for(self, topic: str) -> Steps[int]:
        """How many partitions a topic has; waits `max_block_ms` for a topic that is still to be created."""
        known = self.routing.known_topic(topic)
        if known is None:
            known = yield from self._find_topic(topic)
        count = self._counts[topic] = len(known.partitions)
        return count

    def _find_topic(self, topic: str) -> Steps[TopicInfo]:
        try:
            return (
                yield from self.routing.retrying(
                    "metadata",
                    lambda: self.routing.topic(topic, create=True),
                    timeout_ms=self.max_block_ms,
                    final=(Error.INVALID_TOPIC_EXCEPTION, Error.TOPIC_AUTHORIZATION_FAILED),
                )
            )
        except (TimedOut, KafkaError) as problem:
            if isinstance(problem, KafkaError) and not problem.error.retriable:
                raise
            raise TimedOut(f"Topic {topic} not present in metadata after {self.max_block_ms} ms.") from problem

    def partition(self, topic: str, key: bytes | None) -> int:
        """The partition of the next message. It is chosen once, so neither batching nor retries can change it."""
        count = self._counts[topic]
        return self._keyless.choose(topic, count) if key is None else partition_for_key(key, count)

    def append(self, delivery: Delivery, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Queues one message."""
        change = self._accumulator.append(
            (delivery.topic, delivery.partition),
            (key, value, delivery.timestamp, headers),
            delivery,
            self.routing.clock.monotonic_ms(),
        )
        if change is NOTHING:
            return
        if change is CLOSED:
            self._keyless.batch_closed(delivery.topic, self._counts[delivery.topic])
        self.changed.give()

    def flush(self, timeout_ms: float | None = None) -> Steps[None]:
        """Waits until every message appended so far is acknowledged or failed; nothing lingers meanwhile."""
        deadline = None if timeout_ms is None else self.routing.clock.monotonic_ms() + timeout_ms
        self._flushes += 1
        self._accumulator.flush(True)
        self.changed.give()
        try:
            while not self._accumulator.empty:
                left = None if deadline is None else deadline - self.routing.clock.monotonic_ms()
                if left is not None and left <= 0:
                    return
                yield Wait((self.changed,), left)
        finally:
            self._flushes -= 1
            self._accumulator.flush(self._flushes > 0)

    # The sender.

    def run(self) -> Steps[None]:
        """Sends what is appended, for ever."""
        while True:
            now = self.routing.clock.monotonic_ms()
            taken = self._take(now)
            if not taken:
                due = self._accumulator.next_due_ms()
                # What is due and was not taken waits for an answer of its broker.
                yield Wait((self.changed,), None if due is None or due <= now else due - now)
                continue
            routes: dict[Node | str, list[Batch]] = {}
            for batch in taken:
                try:
                    yield from self._prepare(batch)
                except (Disconnected, KafkaError) as problem:
                    self._failed(batch, problem)
                    continue
                node = self.routing.known_leader(*batch.partition)
                routes.setdefault(node or batch.partition[0], []).append(batch)
                if node is not None and len(routes[node]) == 1:
                    self._in_flight[node.id] += 1
            for route, group in routes.items():
                steps = self._deliver(route, group) if isinstance(route, Node) else self._find_leaders(group)
                yield Fork(steps, self._crashed)

    def _take(self, now: int) -> list[Batch]:
        """The batches that may leave now, to brokers that do not have enough to answer already."""
        taken = []
        for partition in self._accumulator.ready(now):
            node = self.routing.known_leader(*partition)
            if node is not None and self._in_flight[node.id] >= self.max_in_flight:
                continue
            batch = self._accumulator.take(partition)
            waited = now - batch.created_ms
            if waited <= self.delivery_timeout_ms:
                taken.append(batch)
                continue
            topic, number = partition
            self._give_up(
                batch,
                TimedOut(
                    f"Expiring {len(batch.records)} record(s) for {topic}-{number}:"
                    f"{waited} ms has passed since batch creation"
                ),
            )
        return taken

    def _prepare(self, batch: Batch) -> Steps[None]:
        """Fixes the batch's bytes, with its place in the producer's sequence: a repeat is the same bytes."""
        if batch.payload is not None:
            return
        if self.idempotent and self._producer_id < 0:
            node = yield from self.routing.any_node()
            request = init_producer_id.Request(transactional_id=None, transaction_timeout_ms=60_000)
            response = yield from self.routing.ask(node, init_producer_id, request)
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

    def _find_leaders(self, group: list[Batch]) -> Steps[None]:
        """Looks up who leads the partitions of these batches of one topic, and sends them."""
        routes: dict[Node, list[Batch]] = {}
        for batch in group:
            try:
                node = yield from self.routing.leader(*batch.partition)
            except (Disconnected, KafkaError) as problem:
                self._failed(batch, problem)
            else:
                routes.setdefault(node, []).append(batch)
        for node, led in routes.items():
            self._in_flight[node.id] += 1
            yield Fork(self._deliver(node, led), self._crashed)

    def _deliver(self, node: Node, group: list[Batch]) -> Steps[None]:
        """One Produce request, and what its answer says."""
        try:
            response = yield from self.routing.ask(
                node, produce, self._request(group), purpose=PURPOSE, answered=self.acks != 0
            )
        except (Disconnected, KafkaError) as problem:
            for batch in group:
                self._failed(batch, problem)
        except Exception as problem:
            for batch in group:
                self._give_up(batch, problem)
        else:
            self._answered(group, response)
        finally:
            self._in_flight[node.id] -= 1
            self.changed.give()

    def _crashed(self, problem: Exception) -> None:
        """Something that was not foreseen."""
        self.routing.tell(f"ERROR Uncaught error in the producer: {problem!r}")

    def _request(self, group: list[Batch]) -> Any:
        topics: dict[str, list[Any]] = {}
        for batch in group:
            topic, partition = batch.partition
            topics.setdefault(topic, []).append(produce.PartitionProduceData(index=partition, records=batch.payload))
        return produce.Request(
            acks=self.acks,
            timeout_ms=self.routing.request_timeout_ms,
            topic_data=[produce.TopicProduceData(name=name, partition_data=parts) for name, parts in topics.items()],
        )

    def _answered(self, group: list[Batch], response: Any) -> None:
        if response is None:
            for batch in group:
                self._finish(batch, -1, None)
            return
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

    def _failed(self, batch: Batch, problem: Disconnected | KafkaError) -> None:
        """Again, or for good."""
        passes = not isinstance(problem, KafkaError) or problem.error.retriable
        if passes and (self.retries is None or batch.attempts < self.retries):
            self.routing.forget_topics([batch.partition[0]])
            self._accumulator.again(batch, self.routing.clock.monotonic_ms() + self.routing.retry_backoff_ms)
            self.changed.give()
            return
        failed = KafkaError(Error.NETWORK_EXCEPTION, str(problem)) if isinstance(problem, Disconnected) else problem
        self._give_up(batch, failed)

    def _give_up(self, batch: Batch, problem: Exception) -> None:
        """A batch given up leaves a hole in the sequence: the producer goes on under a new id."""
        if self.idempotent and batch.base_sequence >= 0:
            self._producer_id = -1
        self._finish(batch, -1, problem)

    def _finish(self, batch: Batch, base_offset: int, problem: Exception | None) -> None:
        self._accumulator.done(batch)
        self.changed.give()
        for index, delivery in enumerate(batch.tokens):
            try:
                delivery.end(base_offset + index if base_offset >= 0 else -1, problem)
            except Exception as failure:
                # The application's; the other messages are told all the same.
                topic, number = batch.partition
                self.routing.tell(f"ERROR on_delivery failed for a message to {topic}-{number}: {failure!r}")
