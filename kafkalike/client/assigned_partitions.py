"""Where a consumer is in each of its partitions, what it was given from there, and what it has acknowledged. Pure.

Three offsets of a partition, all "next" offsets:

    fetch     the next one to ask a broker for; ahead of
    position  the next one to hand to the application; ahead of
    prefix    everything before it is acknowledged, one message at a time
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kafkalike.client.cluster import Partition


class ConsumerRecord(NamedTuple):
    """A message and where it lies."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(slots=True)
class AssignedPartition:
    """One partition's offsets and buffered records. `version` changes with every seek: older answers are void."""

    fetch: int = -1
    position: int = -1
    prefix: int = -1
    version: int = 0
    paused: bool = False
    buffered: deque[ConsumerRecord] = field(default_factory=deque)
    delivered: deque[int] = field(default_factory=deque)
    acknowledged: set[int] = field(default_factory=set)

    def seek(self, offset: int) -> None:
        """Go on from this offset; -1 is unknown."""
        self.fetch = self.position = self.prefix = offset
        self.version += 1
        self.buffered.clear()
        self.delivered.clear()
        self.acknowledged.clear()


class AssignedPartitions:
    """The partitions a consumer has."""

    def __init__(self) -> None:
        self._of: dict[Partition, AssignedPartition] = {}

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._of

    def __iter__(self) -> Iterator[Partition]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, partition: Partition) -> AssignedPartition:
        return self._of[partition]

    def assign(self, partitions: Iterable[Partition]) -> None:
        """Exactly these from now on; their positions are unknown until `seek`."""
        self._of = {partition: AssignedPartition() for partition in partitions}

    def unknown(self) -> list[Partition]:
        """Partitions whose position has to be looked up."""
        return [partition for partition, at in self._of.items() if at.position < 0]

    def wanted(self) -> dict[Partition, tuple[int, int]]:
        """What to fetch: partition -> (offset, version). Partitions with unread records can wait."""
        return {
            partition: (at.fetch, at.version)
            for partition, at in self._of.items()
            if at.fetch >= 0 and not at.buffered and not at.paused
        }

    def current(self, partition: Partition, version: int) -> bool:
        """Whether an answer to a fetch of this version still counts."""
        at = self._of.get(partition)
        return at is not None and at.version == version

    def fetched(self, partition: Partition, records: Iterable[ConsumerRecord], next_offset: int) -> None:
        """Records from the fetch offset on; `next_offset` is behind the last batch, whatever it held for us."""
        at = self._of[partition]
        at.buffered.extend(record for record in records if record.offset >= at.fetch)
        at.fetch = max(at.fetch, next_offset)
        if not at.buffered:
            at.position = at.fetch

    def take(self, limit: int) -> list[ConsumerRecord]:
        """The next records for the application, of every partition in turn."""
        taken: list[ConsumerRecord] = []
        for at in self._of.values():
            if at.paused:
                continue
            while at.buffered and len(taken) < limit:
                record = at.buffered.popleft()
                taken.append(record)
                at.delivered.append(record.offset)
                at.position = record.offset + 1 if at.buffered else max(at.fetch, record.offset + 1)
        return taken

    def put_back(self, records: Iterable[ConsumerRecord]) -> None:
        """The application did not use these, the last ones it took: they were never delivered."""
        for record in reversed(list(records)):
            at = self._of.get((record.topic, record.partition))
            if at is not None and at.delivered and at.delivered[-1] == record.offset:
                at.delivered.pop()
                at.buffered.appendleft(record)
                at.position = record.offset

    def acknowledge(self, partition: Partition, offset: int) -> int | None:
        """One message is done. The new contiguous prefix to commit, or None when an earlier one is still open."""
        at = self._of.get(partition)
        if at is None or offset < at.prefix:
            return None
        at.acknowledged.add(offset)
        before = at.prefix
        while at.delivered and at.delivered[0] in at.acknowledged:
            at.prefix = at.delivered.popleft() + 1
            at.acknowledged.discard(at.prefix - 1)
        if not at.delivered and not at.buffered and at.prefix > before:
            at.prefix = max(at.prefix, at.position)
        return at.prefix if at.prefix > before else None

    def consumed(self) -> dict[Partition, int]:
        """What to commit when everything handed out is done."""
        return {partition: at.position for partition, at in self._of.items() if at.position >= 0}
