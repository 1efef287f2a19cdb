"""Producer: messages in, acknowledged offsets out. One thread sends, whatever thread the messages come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kafkalike.client.blocking.loop import Loop
from kafkalike.client.errors import TimedOut
from kafkalike.client.producer import Delivery, ProducerCore


class BlockingDelivery(Delivery):
    """What becomes of one message; it can be waited for."""

    __slots__ = ("_loop",)
    _loop: Loop

    def result(self, timeout_ms: float | None = None) -> BlockingDelivery:
        """Waits for the acknowledgement; raises what the message failed with."""
        if not self.done:
            with self._loop.lock:
                self._loop.wait_until(lambda: self.done, timeout_ms)
        if not self.done:
            raise TimedOut("The message is not acknowledged yet")
        if self.failure is not None:
            raise self.failure
        return self


class Producer:
    """Sends messages to a cluster. The options are those of ProducerCore."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str = "producer-1",
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 100,
        **options: Any,
    ) -> None:
        self.loop = Loop(
            bootstrap_servers, client_id, request_timeout_ms=request_timeout_ms, retry_backoff_ms=retry_backoff_ms
        )
        try:
            self._core = ProducerCore(self.loop.routing, **options)
        except BaseException:
            self.loop.close()
            raise
        self.loop.start(self._core.run())
        self._clock = self.loop.clock

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
        timestamp_ms: int | None = None,
        on_delivery: Callable[[BlockingDelivery], None] | None = None,
    ) -> BlockingDelivery:
        """Queues one message. `on_delivery` is called by the thread that sends, and must not wait: what would gets a
        RuntimeError."""
        core, loop = self._core, self.loop
        extra = tuple(headers)
        size = core.size(key, value, extra)
        while not core.admits(topic, size):
            loop.run(core.admit(topic, size))
        with loop.lock:
            if partition is None:
                partition = core.partition(topic, key)
            timestamp = self._clock.wall_ms() if timestamp_ms is None else timestamp_ms
            delivery = BlockingDelivery(topic, partition, timestamp, on_delivery)
            delivery._loop = loop
            core.append(delivery, key, value, extra)
            if loop.engine.ready:
                loop.go_on()
                loop.keep_going("producer-sender")
        return delivery

    def partitions_for(self, topic: str) -> int:
        """How many partitions a topic has; waits `max_block_ms` for a topic that is still to be created."""
        return self.loop.run(self._core.partitions_for(topic))

    def flush(self, timeout_ms: float | None = None) -> None:
        """Waits until every message sent so far is acknowledged or failed."""
        self.loop.run(self._core.flush(timeout_ms))

    def close(self, timeout_ms: float | None = None) -> None:
        """Flushes, then ends."""
        if not self.loop.closed:
            self.flush(timeout_ms)
            self.loop.close()

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
