"""Consumer on a reactor: a member of a group, or a reader of given partitions, without a thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred

from kafkalike.client.assigned_partitions import ConsumerRecord
from kafkalike.client.cluster import Partition
from kafkalike.client.consumer import ConsumerCore
from kafkalike.client.twisted.driver import Driver
from kafkalike.protocol import EARLIEST, LATEST


class Consumer:
    """Reads messages; one call at a time. The options are those of ConsumerCore."""

    def __init__(
        self,
        reactor: Any,
        bootstrap_servers: str,
        *,
        client_id: str = "consumer-1",
        request_timeout_ms: int = 30_000,
        **options: Any,
    ) -> None:
        self.driver = Driver(reactor, bootstrap_servers, client_id, request_timeout_ms=request_timeout_ms)
        self.core = ConsumerCore(self.driver.routing, **options)

    def subscribe(self, topics: Iterable[str] = (), *, pattern: str | None = None) -> None:
        """Reads these topics, or those whose whole name matches, as a member of the group."""
        self.core.subscribe(topics, pattern=pattern)

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Reads exactly these partitions, outside any group's assignment."""
        self.core.assign(partitions)
        self.driver.go_on()

    @property
    def assignment(self) -> list[Partition]:
        """The partitions this consumer has now."""
        return list(self.core.partitions)

    def seek(self, partition: Partition, offset: int) -> None:
        """The next message of this partition is the one at `offset`."""
        self.core.seek(partition, offset)
        self.driver.go_on()

    def seek_to_beginning(self, partitions: Iterable[Partition] = ()) -> Deferred[None]:
        """Back to the oldest message."""
        return self.driver.run(self.core.seek_by_time(partitions, EARLIEST))

    def seek_to_end(self, partitions: Iterable[Partition] = ()) -> Deferred[None]:
        """Behind the newest message."""
        return self.driver.run(self.core.seek_by_time(partitions, LATEST))

    def poll(self, timeout_ms: float = 1000) -> Deferred[list[ConsumerRecord]]:
        """The next messages, at most `max_poll_records`; none when the time is over or partitions were assigned."""
        self.core.newly_assigned.clear()
        return self.driver.run(self.core.poll(timeout_ms))

    def join(self, timeout_ms: float = 10_000) -> Deferred[bool]:
        """Waits until this consumer has its partitions and their positions; reads nothing yet."""
        return self.driver.run(self.core.join(timeout_ms))

    def commit(self, offsets: Mapping[Partition, int] | None = None) -> Deferred[None]:
        """Commits these offsets, or everything handed out so far; fires when the coordinator has stored them."""
        return self.driver.run(self.core.commit(offsets))

    def ack(self, record: ConsumerRecord) -> Deferred[int | None]:
        """One message is done. Commits when that completes a contiguous prefix: the offset committed, or None."""
        return self.driver.run(self.core.ack(record))

    def close(self, *, leave: bool = True) -> Deferred[None]:
        """Commits if that is automatic, leaves the group at once, closes the connections."""
        return self.driver.run(self.core.close(leave)).addBoth(lambda _: self.driver.close())
