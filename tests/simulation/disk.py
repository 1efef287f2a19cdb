"""A machine's disk, and the log on it.

The log is a model: batches are objects, and of segments there is where each begins. What it keeps of leader epochs and
producers is the product's own (leader_epochs.py, producer_state.py), and so are its answers: it has the interface of
storage.log.Log as far as `Replicas` uses it, and opens as storage/recovery.py does.

A process that is killed leaves everything that it wrote. A machine that loses power keeps what was synced or is old,
and of the rest a random beginning, with a torn batch behind it or without; the epochs' file may be an earlier one.
"""

from __future__ import annotations

import itertools
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple

from kafkalike.errors import Error, KafkaError
from kafkalike.storage.append_path import Appended
from kafkalike.storage.leader_epochs import LeaderEpochs
from kafkalike.storage.producer_state import Producers
from tests.simulation.world import Machine

Key = tuple[str, int]

RECORD_BYTES = 100
_BASE, _EPOCH, _LAST = struct.Struct(">q"), struct.Struct(">i"), struct.Struct(">i")
_OWN = itertools.count()
WRITE_BACK_S = 30.0  # the operating system writes what is older than this


class Batch:
    """A record batch. The leader that appends it sets `base` and `epoch`; then the batch never changes."""

    __slots__ = (
        "base",
        "epoch",
        "producer_id",
        "producer_epoch",
        "sequence",
        "values",
        "timestamp",
        "written",
        "payload",
    )

    def __init__(
        self, producer_id: int, producer_epoch: int, sequence: int, values: tuple[int, ...], timestamp: int
    ) -> None:
        self.base = -1
        self.epoch = -1
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.sequence = sequence
        self.values = values
        self.timestamp = timestamp
        self.written = 0.0
        self.payload = b""  # the bytes of a batch that the broker itself has made

    def stamped(self, base: int, epoch: int, now: float) -> Batch:
        """The batch in a log."""
        other = Batch(self.producer_id, self.producer_epoch, self.sequence, self.values, self.timestamp)
        other.base, other.epoch, other.written = base, epoch, now
        if self.payload:
            other.payload = _BASE.pack(base) + self.payload[8:12] + _EPOCH.pack(epoch) + self.payload[16:]
        return other

    @classmethod
    def of_bytes(cls, data: bytes) -> Batch:
        """What a group coordinator writes; its values are as good as any, but nobody else's."""
        count = _LAST.unpack_from(data, 23)[0] + 1
        first = -(10**15) - next(_OWN) * 1000
        batch = cls(-1, -1, -1, tuple(range(first, first + count)), 0)
        batch.payload = data
        return batch

    @property
    def next(self) -> int:
        """The offset after its last record."""
        return self.base + len(self.values)

    @property
    def size(self) -> int:
        return RECORD_BYTES * len(self.values)

    @property
    def identity(self) -> tuple[Any, ...]:
        """Two batches of one identity are the same bytes."""
        return self.base, self.epoch, self.producer_id, self.sequence, self.values

    def __repr__(self) -> str:
        return f"<{self.base}@{self.epoch} {self.values}>"


class OwnBytes(bytes):
    """What the broker itself has written, as bytes, and as what they stand for."""

    batches: list[Batch]


class Records:
    """Batches on their way: stands for bytes, and for a range of a file."""

    __slots__ = ("batches", "size")

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches
        self.size = sum(batch.size for batch in batches)

    def __len__(self) -> int:
        return self.size

    def read(self) -> Any:
        """What a range of a file would give as bytes."""
        if not any(batch.payload for batch in self.batches):
            return self
        data = OwnBytes(b"".join(batch.payload for batch in self.batches))
        data.batches = self.batches
        return data

    def release(self) -> None:
        """Nothing is kept open."""

    retain = release


class Head(NamedTuple):
    """What is looked at of a batch's header."""

    base_offset: int
    producer_id: int
    producer_epoch: int
    base_sequence: int

    @classmethod
    def of(cls, records: Records, position: int = 0) -> Head:
        """The first batch's."""
        first = records.batches[0]
        return cls(first.base, first.producer_id, first.producer_epoch, first.sequence)


def producer_of(records: Any) -> tuple[int, int, int] | None:
    """Stands for protocol.batch.read_producer."""
    if not isinstance(records, Records):
        return None
    (batch,) = records.batches
    return batch.producer_id, batch.producer_epoch, batch.sequence


class Store:
    """What is on the disk of one partition."""

    def __init__(self, topic: str, partition: int, topic_id: bytes | None) -> None:
        self.topic = topic
        self.partition = partition
        self.topic_id = topic_id
        self.batches: list[Batch] = []
        self.segments = [0]  # where each begins
        self.removed: list[Batch] = []  # by retention: what snapshots of producers still tell of
        self.start = 0
        self.told_start = 0  # by the checkpoint
        self.known_from = 0  # the highest start: of what is below, epochs are forgotten
        self.end = 0
        self.synced = 0
        self.epochs: list[list[tuple[int, int]]] = [[]]  # the file's contents since it was last synced
        self.cut = False  # the tail was torn by a loss of power

    def cut_segments(self) -> None:
        """None begins behind the end."""
        while len(self.segments) > 1 and self.segments[-1] > self.end:
            self.segments.pop()

    def spans(self) -> list[tuple[int, int]]:
        """The first and the next offset of each segment."""
        return list(zip(self.segments, [*self.segments[1:], self.end], strict=True))


class Disk:
    """What a machine keeps when its process or its power goes."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.stores: dict[Key, Store] = {}
        self.high_watermarks: dict[Key, int] = {}
        self.clean = False
        self.files: dict[str, str] = {}
        self.offline: Exception | None = None

    def wipe(self) -> None:
        """A new disk, empty."""
        self.stores.clear()
        self.high_watermarks.clear()
        self.clean = False
        self.files.clear()

    def lose_power(self) -> dict[Key, int]:
        """Drops what had not reached the platter; how many records were lost, by partition."""
        world = self.machine.world
        random = world.random
        lost: dict[Key, int] = {}
        for key, store in self.stores.items():
            batches = store.batches
            kept = len(batches)
            durable = 0
            for index, batch in enumerate(batches):
                if batch.next <= store.synced or batch.written < world.now - WRITE_BACK_S:
                    durable = index + 1
            # Often all of it or nothing, else any beginning.
            if durable < kept:
                survived = random.choice((durable, durable, kept, random.randint(durable, kept)))
                if survived < kept:
                    store.cut = random.random() < 0.5
                    lost[key] = sum(len(batch.values) for batch in batches[survived:])
                    del batches[survived:]
            store.end = batches[-1].next if batches else store.start
            store.cut_segments()
            if len(store.epochs) > 1:
                store.epochs = [random.choice(store.epochs)]
        return lost


class ModelLog:
    """See the module. `watcher` hears of appends and cuts."""

    def __init__(self, machine: Machine, store: Store, config: Any, watcher: Any) -> None:
        self.machine = machine
        self.store = store
        self.topic = store.topic
        self.partition = store.partition
        self.path = f"/{machine.name}/{store.topic}-{store.partition}"
        self.config = config
        self.watcher = watcher
        self.offline: Exception | None = None
        self.full = False
        self.cuts = 0
        self.corruption = Uncorrupted()
        self.recovered = False
        self.version = 0  # grows with every change
        self.batches = store.batches
        self.bases = [batch.base for batch in store.batches]
        self.log_start_offset = store.start
        self.log_end_offset = store.end
        self.recovery_point = store.synced
        self.epochs = LeaderEpochs(list(store.epochs[-1]))
        self.producers = Producers()
        self._life = machine.life

    def __repr__(self) -> str:
        return f"{self.topic}-{self.partition}"

    @property
    def topic_id(self) -> bytes | None:
        return self.store.topic_id

    def assign_topic_id(self, topic_id: bytes) -> None:
        self.store.topic_id = topic_id

    @property
    def size_bytes(self) -> int:
        return sum(batch.size for batch in self.batches)

    def recover(self, clean: bool) -> None:
        """What recovery.py makes of the files."""
        self.recovered = not clean
        epochs = self.epochs
        recovery_point = self.recovery_point
        if self.log_end_offset < self.log_start_offset:
            self._begin_again(self.log_start_offset)
            epochs.entries = list(self.store.epochs[-1])
        if not clean:
            doubtful = epochs.take_from(recovery_point)
            for batch in self.batches:
                if batch.next > self.recovery_point and batch.epoch > epochs.latest:
                    epochs.assign(batch.epoch, batch.base)
            epochs.put_back_empty(doubtful, self.log_start_offset, self.log_end_offset)
        emptied = self.log_start_offset == self.log_end_offset > 0
        epochs.truncate_from_end(self.log_end_offset + (emptied or not self.store.cut))
        epochs.truncate_from_start(self.log_start_offset)
        self.store.cut = False
        self.producers = fold(self.store.removed + self.batches)
        self._write_epochs()

    def _alive(self) -> bool:
        return self._life == self.machine.life

    # Appending

    def append(self, records: Any, leader_epoch: int, now_ms: int, origin: int = 0) -> Appended:
        """Appends batches as leader."""
        (batch,) = records.batches if isinstance(records, Records) else (Batch.of_bytes(bytes(records)),)
        delta = len(batch.values) - 1
        sent = None
        if batch.producer_id >= 0:
            sent = self.producers.check(batch.producer_id, batch.producer_epoch, batch.sequence, delta, False)
        if sent is not None:
            self.machine.world.meet("repeat recognised")
            return Appended(sent.base_offset, sent.last_offset, sent.timestamp, self.log_start_offset, True)
        base = self.log_end_offset
        if leader_epoch != self.epochs.latest:
            self.assign_epoch(leader_epoch, base)
        stamped = batch.stamped(base, leader_epoch, self.machine.world.now)
        self.watcher.appended_as_leader(self, stamped)
        self._add(stamped)
        return Appended(base, stamped.next - 1, -1, self.log_start_offset, False)

    def append_as_follower(self, records: Records, now_ms: int) -> Appended | None:
        """Appends batches as follower."""
        if not records.batches:
            return None
        for batch in records.batches:
            if batch.base < self.log_end_offset:
                raise KafkaError(
                    Error.UNKNOWN_SERVER_ERROR,
                    f"The leader sent offset {batch.base}, this log goes on at {self.log_end_offset}.",
                )
        for batch in records.batches:
            if batch.epoch > self.epochs.latest:
                self.assign_epoch(batch.epoch, batch.base)
            copy = batch.stamped(batch.base, batch.epoch, self.machine.world.now)
            self.watcher.appended_as_follower(self, copy)
            self._add(copy)
        return Appended(records.batches[0].base, self.log_end_offset - 1, -1, self.log_start_offset, False)

    def _add(self, batch: Batch) -> None:
        if not self._alive():
            return
        self.version += 1
        if sum(each.size for each in self._segment(self.store.segments[-1])) + batch.size > self.config.segment_bytes:
            self.store.segments.append(batch.base)
        self.batches.append(batch)
        self.bases.append(batch.base)
        self.log_end_offset = self.store.end = batch.next
        if batch.producer_id >= 0:
            delta = len(batch.values) - 1
            self.producers.update(
                batch.producer_id, batch.producer_epoch, batch.sequence, batch.base, delta, batch.timestamp, False
            )

    # Reading

    def read(self, offset: int, max_bytes: int, limit_offset: int, min_one_batch: bool = True) -> Records | None:
        """Whole batches from the one that holds `offset`, below the limit."""
        if not self.log_start_offset <= offset <= self.log_end_offset:
            raise KafkaError(Error.OFFSET_OUT_OF_RANGE, f"{offset} is not in {self!r}")
        if offset >= limit_offset:
            return None
        first = max(bisect_right(self.bases, offset) - 1, 0)
        found: list[Batch] = []
        size = 0
        for batch in self.batches[first:]:
            if batch.next > limit_offset or (size + batch.size > max_bytes and (found or not min_one_batch)):
                break
            found.append(batch)
            size += batch.size
        return Records(found) if found else None

    def last_stable_offset(self, high_watermark: int) -> int:
        return high_watermark

    def batch_at(self, base: int) -> Batch | None:
        """The batch that begins exactly there."""
        place = bisect_left(self.bases, base)
        return self.batches[place] if place < len(self.bases) and self.bases[place] == base else None

    # Leader epochs

    def epoch_at(self, offset: int) -> int:
        return self.epochs.epoch_for(offset)

    def latest_epoch(self) -> int:
        return self.epochs.latest

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        return self.epochs.end_offset(epoch, self.log_end_offset)

    def assign_epoch(self, epoch: int, start_offset: int) -> None:
        if 0 <= epoch < self.epochs.latest:
            raise KafkaError(
                Error.FENCED_LEADER_EPOCH, f"{self!r} has data of epoch {self.epochs.latest}, after {epoch}."
            )
        if self.epochs.assign(epoch, start_offset):
            self._write_epochs()

    def _write_epochs(self) -> None:
        if self._alive():
            self.version += 1
            self.store.epochs.append(list(self.epochs.entries))

    # Cutting

    def truncate(self, offset: int) -> None:
        """Cuts the log from the batch that holds `offset` on."""
        if offset < self.log_end_offset and self._alive():
            place = max(bisect_right(self.bases, offset) - 1, 0)
            if place < len(self.batches) and self.batches[place].next <= offset:
                place += 1
            if place < len(self.batches):
                offset = self.batches[place].base
                self.watcher.cut(self, offset)
                del self.batches[place:], self.bases[place:]
                self.producers = fold(self.store.removed + self.batches)
            self.cuts += 1
            self.version += 1
            self.recovery_point = self.store.synced = min(self.store.synced, offset)
            self.log_end_offset = self.store.end = offset
            self._lower_start(offset)
            self.store.cut_segments()
        if self.epochs.truncate_from_end(offset):
            self._write_epochs()

    def truncate_fully(self, start_offset: int) -> None:
        """Cuts the whole log, which begins anew at `start_offset`."""
        if not self._alive():
            return
        self.watcher.cut(self, self.log_start_offset)
        self.cuts += 1
        self.version += 1
        self._begin_again(start_offset)
        self._write_epochs()

    def _lower_start(self, offset: int) -> None:
        store = self.store
        self.log_start_offset = store.start = min(self.log_start_offset, offset)
        store.told_start, store.known_from = min(store.told_start, offset), min(store.known_from, offset)

    def _begin_again(self, start_offset: int) -> None:
        self._lower_start(start_offset)
        self.batches.clear()
        self.bases.clear()
        self.producers = Producers()
        self.recovery_point = self.store.synced = start_offset
        self.log_start_offset = self.log_end_offset = self.store.start = self.store.end = start_offset
        self.store.segments[:] = [start_offset]
        self.store.removed.clear()
        self.epochs.entries = []

    def advance_log_start(self, offset: int) -> None:
        if offset > self.log_end_offset:
            raise KafkaError(Error.OFFSET_OUT_OF_RANGE, f"{self!r} ends at {self.log_end_offset}")
        if offset > self.log_start_offset and self._alive():
            self.log_start_offset = self.store.start = self.store.known_from = offset
            self.version += 1
            if self.epochs.truncate_from_start(offset):
                self._write_epochs()

    # The disk

    def flush_due(self, now_ms: int) -> bool:
        return False

    def begin_flush(self, now_ms: int | None = None) -> None:
        return None

    def flush(self) -> None:
        if self._alive():
            self.recovery_point = self.store.synced = self.log_end_offset
            self.store.epochs = [list(self.epochs.entries)]

    def _segment(self, base: int, end: int | None = None) -> list[Batch]:
        """The batches from `base` on, where a segment begins, up to where the next one does."""
        last = None if end is None else bisect_left(self.bases, end)
        return self.batches[bisect_left(self.bases, base) : last]

    def retain(self, now_ms: int, high_watermark: int) -> int:
        """Deletes records as storage.log.Log does: below the start, too many, or too old."""
        config, start = self.config, self.log_start_offset
        excess = self.size_bytes - config.retention_bytes

        def too_much(found: list[Batch], _: int) -> bool:
            nonlocal excess
            excess -= sum(batch.size for batch in found)
            return excess >= 0

        freed = self._remove_oldest(lambda _, end: end <= start, high_watermark)
        if config.deletes and config.retention_bytes >= 0:
            freed += self._remove_oldest(too_much, high_watermark)
        if config.deletes and config.retention_ms >= 0:
            horizon = now_ms - config.retention_ms
            freed += self._remove_oldest(
                lambda found, _: max(batch.timestamp for batch in found) < horizon, high_watermark
            )
        return freed

    def _remove_oldest(self, due: Callable[[list[Batch], int], bool], high_watermark: int) -> int:
        freed, removed = 0, 0
        for base, end in self.store.spans():
            found = self._segment(base, end)
            if end > high_watermark or not found or not due(found, end) or not self._alive():
                break
            freed += sum(batch.size for batch in found)
            removed += len(found)
            self.store.segments.pop(0)
            if not self.store.segments:
                self.store.segments.append(end)
        if removed:
            self.machine.world.meet("segments removed by retention")
            if removed == len(self.batches):
                self.store.epochs = [list(self.epochs.entries)]
            self.store.removed += self.batches[:removed]
            del self.batches[:removed], self.bases[:removed]
            self.version += 1
            self.watcher.removed(self, self.store.segments[0])
            self.advance_log_start(self.store.segments[0])
        return freed

    def expire_producers(self, now_ms: int) -> int:
        return 0


class Uncorrupted:
    """Stands for storage's Corruption: nothing rots here, and what is read is what was written."""

    known = False
    on_suspicion: Any = None

    def begin_verification(self, now_ms: int) -> None:
        """No segment is ever due."""

    def asked_again(self, offset: int, now_ms: int) -> None:
        """Does nothing: no data on this disk are damaged."""


def fold(batches: list[Batch]) -> Producers:
    """The producers' state that these batches make."""
    producers = Producers()
    for batch in batches:
        if batch.producer_id >= 0:
            producers.update(
                batch.producer_id,
                batch.producer_epoch,
                batch.sequence,
                batch.base,
                len(batch.values) - 1,
                batch.timestamp,
                False,
            )
    return producers


class ModelDirectory:
    """storage.directory.LogDirectory, on the disk of the machine that is running."""

    def __init__(self, path: str, *_: Any) -> None:
        self.path = path
        self.machine: Any = WATCHED[0].world.current
        self._disk: Disk = self.machine.disk
        self._life = self.machine.life
        self.logs: dict[Key, ModelLog] = {}
        self.high_watermarks: dict[Key, int] = {}
        self.clean = False
        self.offline: Exception | None = None
        self.full = False
        self.on_offline: Any = None
        self.interrupted = False

    def lock(self) -> None:
        """Does nothing: no other process is on the machine."""

    def _alive(self) -> bool:
        return self._life == self.machine.life

    def open(self, broker_id: int, cluster_id: str, config_for: Callable[[str], Any], now_ms: int) -> ModelDirectory:
        disk = self._disk
        self.clean, disk.clean = disk.clean, False
        for key, store in disk.stores.items():
            store.start = max(store.told_start, store.segments[0])
            opened = ModelLog(self.machine, store, config_for(key[0]), WATCHED[0])
            opened.recover(self.clean)
            self.logs[key] = opened
        self.high_watermarks = {
            key: min(max(offset, self.logs[key].log_start_offset), self.logs[key].log_end_offset)
            for key, offset in disk.high_watermarks.items()
            if key in self.logs
        }
        WATCHED[0].opened(self)
        return self

    def create(self, topic: str, partition: int, topic_id: bytes | None, config: Any, now_ms: int = 0) -> ModelLog:
        store = Store(topic, partition, topic_id)
        created = ModelLog(self.machine, store, config, WATCHED[0])
        if self._alive():
            # What the checkpoint says of an earlier log by that name goes first.
            self._disk.high_watermarks.pop((topic, partition), None)
            self._disk.stores[topic, partition] = store
        self.logs[topic, partition] = created
        return created

    def delete(self, doomed: ModelLog, now_ms: int = 0) -> None:
        key = (doomed.topic, doomed.partition)
        del self.logs[key]
        self.high_watermarks.pop(key, None)
        if self._alive():
            self._disk.stores.pop(key, None)

    def set_aside(self, stray: ModelLog) -> None:
        self.machine.world.meet("stray set aside")
        self.delete(stray)

    def purge(self, now_ms: int) -> int:
        return 0

    def watch_space(self, reserve_bytes: int = 0) -> bool:
        return True

    def checkpoint_high_watermarks(self) -> None:
        if self._alive():
            self._disk.high_watermarks = dict(self.high_watermarks)

    def checkpoint_recovery_points(self) -> None:
        """The recovery point of the model is what is synced."""

    def checkpoint_log_starts(self) -> None:
        if self._alive():
            for log in self.logs.values():
                log.store.told_start = log.log_start_offset

    def close(self, clean: bool = True) -> None:
        for log in self.logs.values():
            log.flush()
        self.checkpoint_log_starts()
        if self._alive():
            self._disk.high_watermarks = dict(self.high_watermarks)
            self._disk.clean = clean

    def abandon(self) -> None:
        """Nothing is kept open."""


# What watches the logs of the run that is under way.
WATCHED: list[Any] = []
