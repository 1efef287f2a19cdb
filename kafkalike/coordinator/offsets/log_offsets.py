"""Committed offsets in one partition of __consumer_offsets, in Apache Kafka's records: the way of a mixed cluster.

What is remembered here is what the partition's log says: filled while the log is read, changed when a record is on
every replica. In a cluster that keeps offsets in ZooKeeper there is nothing here. Called by
partition_offsets.py and migration.py.

Commits of a transaction count when its marker is COMMIT, and are forgotten when it is ABORT.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.internet.defer import Deferred

from kafkalike.coordinator import group_records
from kafkalike.coordinator.group_records import OffsetKey, OffsetValue
from kafkalike.coordinator.internal_topic import APPEND_ERRORS, AppendDone, KeyValue
from kafkalike.coordinator.offsets.offset_commit import CommitDone, Committed, OffsetCommit, TopicPartition
from kafkalike.coordinator.offsets.writes_in_flight import WritesInFlight, slices
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.control_records import COMMIT

# Records in one batch of a bulk change.
BATCH = 200

# What a failed append means to the client that commits.
COMMIT_ERRORS = APPEND_ERRORS | {
    Error.MESSAGE_TOO_LARGE: Error.INVALID_COMMIT_OFFSET_SIZE,
    Error.RECORD_LIST_TOO_LARGE: Error.INVALID_COMMIT_OFFSET_SIZE,
}

Append = Callable[[Sequence[KeyValue], AppendDone], None]
Change = tuple[OffsetKey, OffsetValue | None]


class LogOffsets:
    """The offsets of one partition's groups."""

    def __init__(self, append: Append) -> None:
        """`append(records, done)` writes (key, value) records as one batch; `done` is told with COMMIT_ERRORS."""
        self._append = append
        self._groups: dict[str, dict[TopicPartition, OffsetValue]] = {}
        self._pending: dict[int, list[Change]] = defaultdict(list)
        self._tickets: dict[OffsetKey, int] = {}
        self._in_flight: dict[OffsetKey, tuple[int, OffsetValue | None]] = {}  # the newest of each, and its ticket
        self._ticket = 0
        self.writes = WritesInFlight()

    # Called while the log is read.

    def load(self, key: OffsetKey, data: bytes | None, producer_id: int = -1) -> None:
        """A record of the log; with a producer id one that waits for that producer's marker."""
        value = None if data is None else group_records.read_offset_value(data)
        if producer_id < 0:
            if value is None:
                self._drop_pending(lambda pending, _: pending == key)
            self._apply(key, value)
        else:
            self._pending[producer_id].append((key, value))

    def end_transaction(self, producer_id: int, outcome: int) -> None:
        """A marker of the log."""
        for key, value in self._pending.pop(producer_id, ()):
            if outcome == COMMIT:
                self._apply(key, value)

    # Reading.

    def __bool__(self) -> bool:
        return bool(self._groups)

    def all(self) -> dict[str, dict[TopicPartition, OffsetValue]]:
        """Every offset, by group."""
        return {group: dict(offsets) for group, offsets in self._groups.items()}

    def topics(self) -> set[str]:
        """Every topic of which there is an offset, or will be when a transaction ends."""
        return {topic for offsets in self._groups.values() for topic, _ in offsets} | {
            key.topic for key in self._open_keys()
        }

    def of(self, group: str) -> Mapping[TopicPartition, OffsetValue]:
        """The offsets of a group."""
        return self._groups.get(group, {})

    def newest(self, group: str) -> dict[TopicPartition, OffsetValue]:
        """The offsets of a group, as they are when what is being written has been written."""
        found = dict(self.of(group))
        for key, (_, value) in self._in_flight.items():
            if key.group == group and value is not None:
                found[key.topic, key.partition] = value
            elif key.group == group:
                found.pop((key.topic, key.partition), None)
        return found

    def fetch(
        self, group: str, keys: Sequence[TopicPartition] | None, require_stable: bool
    ) -> list[tuple[TopicPartition, Committed]]:
        """The offsets of these partitions, or of all there are; with `require_stable` none that is about to change."""
        found = self.of(group)
        pending = {(key.topic, key.partition) for key in self._open_keys() if key.group == group}
        if keys is None:
            keys = sorted(found.keys() | pending if require_stable else found)
        unstable = Committed(error=Error.UNSTABLE_OFFSET_COMMIT)
        return [(key, unstable if require_stable and key in pending else _committed(found.get(key))) for key in keys]

    def _open_keys(self) -> Iterable[OffsetKey]:
        return (key for changes in self._pending.values() for key, _ in changes)

    # Writing.

    def commit(
        self,
        group: str,
        commits: Sequence[OffsetCommit],
        now_ms: int,
        done: CommitDone,
    ) -> None:
        """Writes these; `done` gets one error for each."""
        changes: list[Change] = []
        for topic, partition, offset, leader_epoch, metadata in commits:
            key = OffsetKey(group, topic, partition)
            before = self._newest(key)
            # Later than what it replaces, whatever the clocks of the two brokers say: time decides what is newer.
            stamp = now_ms if before is None else max(now_ms, before.commit_timestamp_ms + 1)
            changes.append((key, OffsetValue(offset, leader_epoch, metadata, stamp)))

        self._write(changes, lambda error: done([error] * len(commits)))

    async def put(self, changes: Iterable[Change]) -> None:
        """Writes as they are; KafkaError when that fails."""
        changes = list(changes)
        for some in slices(changes, BATCH):
            await self._put(some)

    async def remove(self, group: str, seen: Mapping[TopicPartition, OffsetValue]) -> int:
        """Writes tombstones for those of these offsets that nobody has changed meanwhile; how many there were."""
        count = 0
        for some in slices([OffsetKey(group, *key) for key in seen], BATCH):
            same = [key for key in some if self._newest(key) == seen[key.topic, key.partition]]
            await self._put([(key, None) for key in same])
            count += len(same)
        return count

    def forget(self, is_gone: Callable[[OffsetKey, OffsetValue], bool]) -> list[OffsetKey]:
        """Forgets offsets, also those that are being written, at once; which. Tombstones for them are still to be
        written: write_tombstones()."""
        applied = [
            (OffsetKey(group, *key), value) for group, offsets in self._groups.items() for key, value in offsets.items()
        ]
        in_flight = [(key, value) for key, (_, value) in self._in_flight.items() if value is not None]
        gone = dict.fromkeys(key for key, value in applied + in_flight if is_gone(key, value))
        for key in gone:
            if self._in_flight.pop(key, None) is not None:
                self._tickets[key] = self._ticket
            self._apply(key, None)
        self._drop_pending(is_gone)
        return list(gone)

    async def write_tombstones(self, keys: Sequence[OffsetKey]) -> None:
        """Writes tombstones for those of these partitions that have no offset; KafkaError when that fails."""
        for some in slices(keys, BATCH):
            await self._put([(key, None) for key in some if self._newest(key) is None])

    async def _put(self, changes: list[Change]) -> None:
        if changes:
            answer: Deferred[Error] = Deferred()
            self._write(changes, answer.callback)
            error = await answer
            if error is not Error.NONE:
                raise KafkaError(error)

    def _write(self, changes: list[Change], done: Callable[[Error], None]) -> None:
        self._ticket += 1
        ticket = self._ticket
        self._in_flight.update((key, (ticket, value)) for key, value in changes)

        def appended(error: Error) -> None:
            if error is Error.NONE:
                for key, value in changes:
                    # Answers need not come in the order of the log.
                    if self._tickets.get(key, 0) < ticket:
                        self._tickets[key] = ticket
                        self._apply(key, value)
            for key, _ in changes:
                if key in self._in_flight and self._in_flight[key][0] == ticket:
                    del self._in_flight[key]
            done(error)
            if not self.writes.count:
                self._tickets.clear()

        pairs = [(group_records.offset_key(*key), _encoded(value)) for key, value in changes]
        self._append(pairs, self.writes.counted(appended))

    def _newest(self, key: OffsetKey) -> OffsetValue | None:
        if key in self._in_flight:
            return self._in_flight[key][1]
        return self.of(key.group).get((key.topic, key.partition))

    def _drop_pending(self, is_gone: Callable[[OffsetKey, OffsetValue], bool]) -> None:
        for changes in self._pending.values():
            changes[:] = [(key, value) for key, value in changes if value is None or not is_gone(key, value)]

    def _apply(self, key: OffsetKey, value: OffsetValue | None) -> None:
        group, partition = key.group, (key.topic, key.partition)
        if value is not None:
            self._groups.setdefault(group, {})[partition] = value
            return
        offsets = self._groups.get(group)
        if offsets is not None:
            offsets.pop(partition, None)
            if not offsets:
                del self._groups[group]


def _encoded(value: OffsetValue | None) -> bytes | None:
    return None if value is None else group_records.offset_value(value)


def _committed(value: OffsetValue | None) -> Committed:
    return Committed() if value is None else Committed(value.offset, value.leader_epoch, value.metadata)
