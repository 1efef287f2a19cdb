"""Producer on a reactor: each message gives a Deferred with its Delivery."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred

from kafkalike.client.effects import Steps
from kafkalike.client.producer import Delivery, ProducerCore
from kafkalike.client.twisted.driver import Driver


class Producer:
    """Sends messages to a cluster. The options are those of ProducerCore."""

    def __init__(
        self,
        reactor: Any,
        bootstrap_servers: str,
        *,
        client_id: str = "producer-1",
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 100,
        **options: Any,
    ) -> None:
        self.driver = Driver(
            reactor,
            bootstrap_servers,
            client_id,
            request_timeout_ms=request_timeout_ms,
            retry_backoff_ms=retry_backoff_ms,
        )
        self._core = ProducerCore(self.driver.routing, **options)
        self.driver.engine.start(self._core.run())

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
        timestamp_ms: int | None = None,
    ) -> Deferred[Delivery]:
        """Queues one message; what becomes of it. Where there is no room the message waits for its turn."""
        core, extra = self._core, tuple(headers)
        result: Deferred[Delivery] = Deferred()

        def ended(delivery: Delivery) -> None:
            if delivery.failure is not None:
                result.errback(delivery.failure)
            else:
                result.callback(delivery)

        def steps() -> Steps[None]:
            size = core.size(key, value, extra)
            while not core.admits(topic, size):
                yield from core.admit(topic, size)
            number = core.partition(topic, key) if partition is None else partition
            timestamp = core.routing.clock.wall_ms() if timestamp_ms is None else timestamp_ms
            core.append(Delivery(topic, number, timestamp, ended), key, value, extra)

        self.driver.run(steps()).addErrback(result.errback)
        return result

    def partitions_for(self, topic: str) -> Deferred[int]:
        """How many partitions a topic has; waits `max_block_ms` for a topic that is still to be created."""
        return self.driver.run(self._core.partitions_for(topic))

    def flush(self, timeout_ms: float | None = None) -> Deferred[None]:
        """Waits until every message sent so far is acknowledged or failed."""
        return self.driver.run(self._core.flush(timeout_ms))

    def close(self, timeout_ms: float | None = None) -> Deferred[None]:
        """Flushes, then ends."""
        return self.flush(timeout_ms).addBoth(lambda _: self.driver.close())
