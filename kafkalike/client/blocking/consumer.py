"""Consumer: a member of a group, or a reader of given partitions. A member has a thread, which sends its heartbeats and
fetches ahead; a reader of given partitions has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kafkalike.client.assigned_partitions import ConsumerRecord
from kafkalike.client.blocking.loop import Loop
from kafkalike.client.cluster import Partition
from kafkalike.client.consumer import ConsumerCore
from kafkalike.protocol import EARLIEST, LATEST


class Consumer:
    """Reads messages. Not for several threads at once. The options are those of ConsumerCore."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str = "consumer-1",
        request_timeout_ms: int = 30_000,
        bootstrap_timeout_ms: int = 10_000,
        on_assigned: Callable[[tuple[Partition, ...]], None] | None = None,
        **options: Any,
    ) -> None:
        self.loop = Loop(
            bootstrap_servers,
            client_id,
            request_timeout_ms=request_timeout_ms,
            bootstrap_timeout_ms=bootstrap_timeout_ms,
        )
        self.on_assigned = on_assigned
        try:
            self.core = ConsumerCore(self.loop.routing, **options)
        except BaseException:
            self.loop.close()
            raise

    # What to read.

    def subscribe(self, topics: Iterable[str] = (), *, pattern: str | None = None) -> None:
        """Reads these topics, or those whose whole name matches, as a member of the group."""
        with self.loop.lock:
            self.core.subscribe(topics, pattern=pattern)
        self.loop.keep_going("consumer-heartbeat")

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Reads exactly these partitions, outside any group's assignment."""
        with self.loop.lock:
            self.core.assign(partitions)

    @property
    def assignment(self) -> list[Partition]:
        """The partitions this consumer has now."""
        return list(self.core.partitions)

    @property
    def group_id(self) -> str | None:
        """The group it belongs to."""
        return self.core.group_id

    @property
    def member_id(self) -> str:
        """Its id in the group, once it has joined."""
        return self.core.member.member_id if self.core.member else ""

    @property
    def generation_id(self) -> int:
        """The group's generation it belongs to."""
        return self.core.member.generation_id if self.core.member else -1

    @property
    def start_offsets(self) -> dict[Partition, tuple[int, str]]:
        """Where each partition was begun, and why: "committed", "earliest", "latest" or "saved"."""
        return self.core.start_offsets

    @property
    def fetches(self) -> Counter[int]:
        """Fetch requests sent so far, by the broker that they were sent to."""
        return self.core.fetcher.fetches

    # Where to read.

    def seek(self, partition: Partition, offset: int) -> None:
        """The next message of this partition is the one at `offset`."""
        with self.loop.lock:
            self.core.seek(partition, offset)

    def seek_to_beginning(self, partitions: Iterable[Partition] = ()) -> None:
        """Back to the oldest message."""
        self.loop.run(self.core.seek_by_time(partitions, EARLIEST))

    def seek_to_end(self, partitions: Iterable[Partition] = ()) -> None:
        """Behind the newest message."""
        self.loop.run(self.core.seek_by_time(partitions, LATEST))

    def position(self, partition: Partition) -> int:
        """The offset of the next message for the application."""
        return self.core.partitions[partition].position

    # Reading.

    def poll(self, timeout_ms: float = 1000) -> list[ConsumerRecord]:
        """The next messages, at most `max_poll_records`; none when the time is over. Outages are waited out."""
        deadline = self.loop.clock.monotonic_ms() + timeout_ms
        left = timeout_ms
        self.loop.take_in()
        while True:
            records = self.loop.run(self.core.poll(left))
            self._tell_assignments()
            left = deadline - self.loop.clock.monotonic_ms()
            if records or left <= 0:
                return records

    def join(self, timeout_ms: float = 10_000) -> bool:
        """Waits until this consumer has its partitions and their positions; reads nothing yet."""
        joined = self.loop.run(self.core.join(timeout_ms))
        self._tell_assignments()
        return joined

    def _tell_assignments(self) -> None:
        while self.core.newly_assigned:
            partitions = self.core.newly_assigned.popleft()
            if self.on_assigned is not None:
                self.on_assigned(partitions)

    def __iter__(self) -> Iterator[ConsumerRecord]:
        while True:
            yield from self.poll(1000)

    def put_back(self, records: Iterable[ConsumerRecord]) -> None:
        """Records of the last poll that the application did not use after all."""
        with self.loop.lock:
            self.core.put_back(records)

    # Acknowledging.

    def commit(self, offsets: Mapping[Partition, int] | None = None) -> None:
        """Commits these offsets, or everything handed out so far; returns when the coordinator has stored them."""
        self.loop.run(self.core.commit(offsets))

    def ack(self, record: ConsumerRecord) -> int | None:
        """One message is done. Commits when that completes a contiguous prefix: the offset committed, or None."""
        return self.loop.run(self.core.ack(record))

    # The end.

    def close(self, *, leave: bool = True) -> None:
        """Commits if that is automatic, leaves the group at once, closes the connections."""
        if self.loop.closed:
            return
        try:
            self.loop.run(self.core.close(leave))
        finally:
            self.loop.close()

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
