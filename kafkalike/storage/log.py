"""One partition's log: segments in order, and what is derived from them (leader epochs, producer state).

    <topic>-<partition>/
        <base offset>.log .index .timeindex     segment.py
        <offset>.snapshot                       producers.py: at each segment's base, and at the end when closed
        leader-epoch-checkpoint                 epochs.py
        partition.metadata                      "version: 0", "topic_id: <22 characters>"

Blocking, one caller; only Flush.run may be in a thread. A produced batch stays the memoryview it came in: its header
is read once, its checksum verified, and one writev puts a new base offset and leader epoch in front of the untouched
rest. State in memory (end offset, producers) changes only after the bytes are in the file.

A violation by the client is a KafkaError and nothing is written. Of the disk's errors a full disk refuses the one
operation (KAFKA_STORAGE_ERROR) and leaves the log as it was; any other takes the directory offline.
"""

import contextlib
import logging
import os
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from crc32c import crc32c

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.batch import (
    CONTROL,
    CRC_START,
    HEADER,
    HEADER_SIZE,
    LOG_APPEND_TIME,
    LOG_OVERHEAD,
    MAGIC,
    MAX_SEQUENCE,
    STAMP_SIZE,
    TRANSACTIONAL,
    BatchHeader,
    pack_stamp,
)
from kafkalike.protocol.control_records import read_marker
from kafkalike.storage import recovery, snapshots
from kafkalike.storage.config import LogConfig
from kafkalike.storage.damage import Damage
from kafkalike.storage.epochs import Epochs
from kafkalike.storage.files import DISK, NO_DESCRIPTOR, PASSING, DirectoryOffline, Files
from kafkalike.storage.flush import Flush
from kafkalike.storage.identity import decode_topic_id, encode_topic_id
from kafkalike.storage.open_files import OPEN_FILES
from kafkalike.storage.producers import WINDOW, Producers, Sent, back
from kafkalike.storage.recovery import EPOCHS_FILE, Loaded
from kafkalike.storage.segment import (
    CONTINUED,
    MAX_POSITION,
    RECENT,
    Damaged,
    FileRange,
    Segment,
)
from kafkalike.storage.segments import Due, Segments, below, beyond, older
from kafkalike.storage.validation import followed, inspect, plain_attributes

log = logging.getLogger(__name__)

METADATA_FILE: Final = "partition.metadata"

# Who appends. A client's batches are checked for everything a client could get wrong; a coordinator's own may be
# control batches, carry no sequences, and are as large as they need to be.
CLIENT, COORDINATOR = 0, 1

_new = tuple.__new__
_unpack_header = HEADER.unpack_from


class Appended(NamedTuple):
    """Where a batch is. log_append_time_ms is -1 when the records keep their own timestamps."""

    base_offset: int
    last_offset: int
    log_append_time_ms: int
    log_start_offset: int
    duplicate: bool


class Log:
    """See the module."""

    __slots__ = (
        "topic",
        "partition",
        "topic_id",
        "path",
        "files",
        "log_start_offset",
        "log_end_offset",
        "recovery_point",
        "producers",
        "epochs",
        "offline",
        "full",
        "cuts",
        "damage",
        "recovered",
        "on_offline",
        "on_cut",
        "_flushing",
        "last_flush_ms",
        "_config",
        "_segments",
        "_active",
        "_latest_epoch",
        "_plain",
        "_max_message_bytes",
        "_flush_messages",
        "_index_interval",
        "_unflushed",
        "_unsynced",
        "_pwritev",
        "closed",
        "_saved_offset",
    )

    def __init__(
        self,
        path: str,
        topic: str,
        partition: int,
        topic_id: bytes | None,
        config: LogConfig,
        loaded: Loaded,
        now_ms: int = 0,
        files: Files = DISK,
    ) -> None:
        self.path = path
        self.topic = topic
        self.partition = partition
        self.topic_id = topic_id
        self.files = files
        self.log_start_offset = loaded.start_offset
        self.log_end_offset = loaded.end_offset
        self.recovery_point = loaded.recovery_point
        self.producers = loaded.producers
        self.epochs = loaded.epochs
        self.recovered = loaded.recovered
        # Set when the disk failed; nothing is read or written any more.
        self.offline: DirectoryOffline | None = None
        # Set while the disk is so full that only checkpoints and deletions may write (LogDirectory.watch_space).
        self.full = False
        # How often the log was cut: a flush that began before a cut says nothing about what is there now.
        self.cuts = 0
        self.on_offline: Callable[[DirectoryOffline], None] | None = None
        self.on_cut: Callable[[bool], None] | None = None  # told whether the start comes down too
        self._flushing = 0  # flushes under way
        self.last_flush_ms = now_ms
        self._segments = Segments(loaded.segments)
        self.damage = Damage(self, self._segments)
        self._active = self._segments.active
        self._latest_epoch = self.epochs.latest
        self._unflushed = 0
        self._unsynced: list[str] = []
        self._pwritev = files.pwritev
        self.closed = False
        # Where a snapshot says what the producers' state is; before the first record there is none.
        self._saved_offset = 0
        self.config = config
        self._activate(self._active, now_ms)

    # Opening and closing

    @classmethod
    def create(
        cls,
        path: str,
        topic: str,
        partition: int,
        topic_id: bytes | None,
        config: LogConfig,
        now_ms: int = 0,
        files: Files = DISK,
    ) -> "Log":
        """A new, empty log."""
        os.mkdir(path)
        unsynced = [path, os.path.dirname(path)]
        if topic_id is not None:
            unsynced.append(os.path.join(path, METADATA_FILE))
            files.write_atomically(unsynced[-1], encode_topic_id(topic_id), sync=False)
        segment = Segment(path, 0, files)
        segment.create()
        loaded = Loaded([segment], 0, 0, 0, Epochs(), Producers())
        created = cls(path, topic, partition, topic_id, config, loaded, now_ms, files)
        created._unsynced += unsynced
        return created

    @classmethod
    def open(
        cls,
        path: str,
        topic: str,
        partition: int,
        config: LogConfig,
        recovery_point: int = 0,
        log_start_offset: int = 0,
        clean: bool = False,
        now_ms: int = 0,
        files: Files = DISK,
    ) -> "Log":
        """A log that is on the disk; `clean` if it was closed and nothing happened since."""
        loaded = recovery.load(path, recovery_point, log_start_offset, clean, config.index_interval_bytes, files)
        topic_id = decode_topic_id(files.read(os.path.join(path, METADATA_FILE)))
        opened = cls(path, topic, partition, topic_id, config, loaded, now_ms, files)
        opened.producers.expire(now_ms, config.producer_id_expiration_ms)
        data = files.read(os.path.join(path, EPOCHS_FILE))
        if data != opened.epochs.encode() and (data is not None or opened.epochs):
            try:
                opened._write_epochs()
            except DirectoryOffline:
                raise
            except KafkaError as error:
                log.warning("%s", error.message)
        snapshots.prune(path, opened._segments.bases, files)
        if not loaded.recovered and files.size(snapshots.path_of(path, opened.log_end_offset)):
            opened._saved_offset = opened.log_end_offset
        return opened

    def close(self) -> None:
        """Everything to the disk, then lets go of the files. On an error the log must count as not closed."""
        if self.closed:
            return
        if self.offline is None:
            with self.disk():
                self._active.finish()
                for segment in self._segments.all:
                    segment.write_indexes()
                if self.log_end_offset != self._saved_offset:
                    self._take_snapshot()
                if self.recovery_point < self.log_end_offset or self._unsynced:
                    self.flush()
        self.abandon()

    def abandon(self) -> None:
        """Lets go of the files as they are."""
        self.closed = True
        for segment in self._segments.all:
            segment.deleted = True  # a range still being sent closes the file when it is released
            segment.close_file()

    def rest(self) -> None:
        """Closes the files that nobody sends from, until somebody appends or reads. Not within a turn of the reactor
        that has read: a range of a file is held only when it goes out."""
        if not self.closed:
            self._segments.rest()

    def assign_topic_id(self, topic_id: bytes) -> None:
        """Gives the log the id of its topic, for good."""
        assert self.topic_id in (None, topic_id), "a log never changes its topic"
        if self.topic_id is None:
            with self.disk():
                self.files.write_atomically(os.path.join(self.path, METADATA_FILE), encode_topic_id(topic_id))
            self.topic_id = topic_id

    # Configuration

    @property
    def config(self) -> LogConfig:
        """The log's settings; may be replaced at any time."""
        return self._config

    @config.setter
    def config(self, config: LogConfig) -> None:
        self._config = config
        self._max_message_bytes = config.max_message_bytes
        self._flush_messages = config.flush_messages
        self._index_interval = config.index_interval_bytes
        # Batches with other attributes go through validation.inspect.
        self._plain = plain_attributes(config)
        for segment in self._segments.all:
            segment.index_interval = config.index_interval_bytes
        self._set_roll(self._active)

    @property
    def size_bytes(self) -> int:
        """Bytes of records."""
        return self._segments.size_bytes

    @property
    def segment_count(self) -> int:
        """How many segments there are."""
        return len(self._segments.all)

    @property
    def first_base_offset(self) -> int:
        """The base offset of the oldest segment."""
        return self._segments.bases[0]

    # Appending

    def append(self, records: memoryview, leader_epoch: int, now_ms: int, origin: int = CLIENT) -> Appended:
        """One batch from a client, as leader: gets the next offsets. KafkaError, and nothing written, if it may not.

        This is the path of every produced batch; what needs thought is in validation.py and _roll.
        """
        if self.offline is not None or self.full:
            raise self._refused()
        size = len(records)
        if size < HEADER_SIZE:
            inspect(records, self._config, now_ms, True)
        header = _unpack_header(records)
        base, length, _, magic, crc, attributes, delta, _, timestamp, producer_id, epoch, sequence, count = header
        if (
            attributes not in self._plain
            or length + LOG_OVERHEAD != size
            or magic != MAGIC
            or size > self._max_message_bytes
            or delta + 1 != count
            or delta < 0
            or base
            or crc32c(records[CRC_START:]) != crc
        ):
            records = inspect(records, self._config, now_ms, origin == CLIENT)
            size = len(records)
            header = _unpack_header(records)
            _, length, _, _, _, attributes, delta, _, timestamp, producer_id, epoch, sequence, count = header
        if producer_id >= 0:
            producer = self.producers.entries.get(producer_id)
            if (
                producer is None
                or producer.epoch != epoch
                or producer.next_sequence != sequence
                or attributes & (TRANSACTIONAL | CONTROL)
                or producer.txn_first_offset >= 0
            ):
                producer = None
                sent = self._check_producer(records, _new(BatchHeader, header), origin)
                if sent is not None:
                    return sent
        base = self.log_end_offset
        last = base + delta
        segment = self._active
        position = segment.size
        if position + size > segment.roll_size or timestamp > segment.roll_timestamp or last > segment.max_offset:
            segment = self._roll(size, last, now_ms)
            position = segment.size
        if segment.fd < 0:
            self._wake(segment)
        if leader_epoch != self._latest_epoch:
            self.assign_epoch(leader_epoch, base)
        try:
            written = self._pwritev(
                segment.fd, (pack_stamp(base, length, leader_epoch), records[STAMP_SIZE:]), position
            )
        except OSError as error:
            raise self._write_failed(segment, position, error) from error
        if written != size:
            self._write_rest(segment, position, records, pack_stamp(base, length, leader_epoch), written)
        segment.size = position + size
        self.log_end_offset = last + 1
        recent = segment.recent_offsets
        recent.append(base)
        segment.recent_positions.append(position)
        if len(recent) > 2 * RECENT:
            del recent[:RECENT], segment.recent_positions[:RECENT]
        if timestamp > segment.max_timestamp:
            segment.max_timestamp = timestamp
            segment.max_timestamp_offset = last
        since_index = segment.since_index
        if since_index > self._index_interval:
            if segment.add_index_entry(position, last):
                self._write_indexes(segment)
            since_index = 0
        segment.since_index = since_index + size
        if not position:
            self._begun(segment, timestamp, now_ms)
        if producer_id >= 0:
            if producer is not None:
                producer.add((sequence + delta) & MAX_SEQUENCE, last, delta, timestamp)
            else:
                snapshots.note(self.producers, _new(BatchHeader, (base, *header[1:])), lambda: records)
        self._unflushed += count
        if self._unflushed >= self._flush_messages:
            self.flush()
        return _new(
            Appended, (base, last, timestamp if attributes & LOG_APPEND_TIME else -1, self.log_start_offset, False)
        )

    def append_as_follower(self, records: memoryview, now_ms: int) -> Appended | None:
        """Batches from the leader, offsets and epochs as they are; a cut-off last batch is left out. None if there
        was no whole batch."""
        if self.offline is not None or self.full:
            raise self._refused()
        batches = followed(records, self.log_end_offset)
        if not batches:
            return None
        size = batches[-1].position + batches[-1].size
        if size > self._config.segment_bytes and len(batches) > 1:
            for found in batches:
                self.append_as_follower(records[found.position : found.position + found.size], now_ms)
            return Appended(batches[0].base_offset, self.log_end_offset - 1, -1, self.log_start_offset, False)
        last, timestamp = batches[-1].last_offset, max(found.max_timestamp for found in batches)
        segment = self._active
        if segment.size and (
            segment.size + size > segment.roll_size or timestamp > segment.roll_timestamp or last > segment.max_offset
        ):
            segment = self._roll(0, last, now_ms)
        if segment.fd < 0:
            self._wake(segment)
        start = segment.size
        try:
            self.files.write_all(segment.fd, (records[:size],), start)
        except OSError as error:
            raise self._write_failed(segment, start, error) from error
        self.log_end_offset = last + 1
        for found in batches:
            position = start + found.position
            segment.account(position, found.size, found.base_offset, found.last_offset, found.max_timestamp)
            if segment.since_index > self._index_interval:
                if segment.add_index_entry(position, found.last_offset):
                    self._write_indexes(segment)
                segment.since_index = 0
            segment.since_index += found.size
            header = found.header
            if header.partition_leader_epoch > self._latest_epoch:
                self.assign_epoch(header.partition_leader_epoch, found.base_offset)
            if header.producer_id >= 0:
                data = records[found.position : found.position + found.size]
                snapshots.note(self.producers, header, lambda data=data: data)  # type: ignore[misc]
            self._unflushed += header.record_count
        if not start:
            self._begun(segment, batches[0].max_timestamp, now_ms)
        if self._unflushed >= self._flush_messages:
            self.flush()
        return Appended(batches[0].base_offset, last, -1, self.log_start_offset, False)

    def _check_producer(self, records: memoryview, header: BatchHeader, origin: int) -> Appended | None:
        """May this producer write this batch? The place of the first copy if it is a repeat."""
        producer_id, epoch = header.producer_id, header.producer_epoch
        if header.is_control:
            marker = read_marker(records)
            if marker is not None:
                self.producers.check_marker(producer_id, epoch, marker.coordinator_epoch)
            return None
        sequence, delta, transactional = header.base_sequence, header.last_offset_delta, header.is_transactional
        client = origin == CLIENT
        if client and sequence < 0:
            raise KafkaError(Error.INVALID_RECORD, f"Producer {producer_id} sent a batch with sequence {sequence}.")
        try:
            sent = self.producers.check(producer_id, epoch, sequence, delta, transactional, client)
        except KafkaError as problem:
            out_of_order = problem.error is Error.OUT_OF_ORDER_SEQUENCE_NUMBER
            if not (out_of_order and self._recall(producer_id, epoch, sequence)):
                raise
            sent = self.producers.check(producer_id, epoch, sequence, delta, transactional, client)
        if sent is None:
            return None
        return Appended(sent.base_offset, sent.last_offset, sent.timestamp, self.log_start_offset, True)

    def _recall(self, producer_id: int, epoch: int, sequence: int) -> bool:
        """A snapshot holds the last batch of each producer, and a repeat may be of one before it: looks for those at
        the end of the log. Whether more is known now (reliability F3)."""
        entry = self.producers.entries.get(producer_id)
        if entry is None or entry.epoch != epoch or entry.recalled or not 0 < len(entry.batches) < WINDOW:
            return False
        if back(entry.next_sequence, sequence) > MAX_SEQUENCE // 2:
            return False  # it lies ahead
        entry.recalled = True
        try:
            with self.disk():
                found = self._segments.of_producer(producer_id, epoch, entry.batches[0].base_offset)
        except KafkaError:
            return False
        return entry.recall(
            Sent(b.header.last_sequence, b.last_offset, b.header.last_offset_delta, b.max_timestamp) for b in found
        )

    def _begun(self, segment: Segment, timestamp: int, now_ms: int) -> None:
        """The first batch of a segment: its time decides when the segment is old enough to roll."""
        segment.created_ms = now_ms
        segment.roll_base_timestamp = timestamp
        self._set_roll(segment)

    def _set_roll(self, segment: Segment) -> None:
        config = self._config
        segment.roll_size = min(config.segment_bytes, MAX_POSITION)
        segment.index_room = min(config.segment_index_bytes // 12, MAX_POSITION) - len(segment.offsets)
        base = segment.roll_base_timestamp
        segment.roll_timestamp = float("inf") if base is None or base < 0 else base + self._segment_ms()

    def _segment_ms(self) -> int:
        jitter = self._config.segment_jitter_ms
        # Spread over partitions, and the same after a restart.
        return self._config.segment_ms - (zlib.crc32(self.path.encode()) % jitter if jitter else 0)

    def _activate(self, segment: Segment, now_ms: int) -> None:
        """Makes a segment the one that is appended to."""
        self._active = segment
        segment.open()
        segment.index_interval = self._config.index_interval_bytes
        segment.created_ms = now_ms
        first = segment.batch_at(0) if segment.size else None
        segment.roll_base_timestamp = first.max_timestamp if first else None
        segment.load_times()
        self._set_roll(segment)

    def _wake(self, segment: Segment) -> None:
        """Opens a file that was closed for want of descriptors; one refusal if there are none now."""
        OPEN_FILES.make_room()
        with self.disk():
            segment.open()

    def _write_indexes(self, segment: Segment) -> None:
        """Entries that cannot be written go on waiting: the batches they are for are in the log."""
        try:
            segment.write_indexes()
        except OSError as error:
            if error.errno not in PASSING:
                raise self.lost(error) from error

    def _write_failed(self, segment: Segment, position: int, error: OSError) -> KafkaError:
        """Cuts the file back to where the batch began. The log is as it was before."""
        if error.errno not in PASSING:
            return self.lost(error)
        try:
            self.files.ftruncate(segment.fd, position)
        except OSError as second:
            return self.lost(second)
        return KafkaError(Error.KAFKA_STORAGE_ERROR, f"{self} cannot be appended to: {error.strerror}")

    def _write_rest(self, segment: Segment, position: int, records: memoryview, head: bytes, written: int) -> None:
        """After a short write: the rest, or the reason why not."""
        rest = memoryview(head + bytes(records[STAMP_SIZE:]))[written:]
        try:
            self.files.write_all(segment.fd, (rest,), position + written)
        except OSError as error:
            raise self._write_failed(segment, position, error) from error

    # Rolling

    def roll(self, now_ms: int) -> int:
        """Begins a new segment, unless the newest is empty; its base offset."""
        if self._active.size:
            self._roll(0, self.log_end_offset, now_ms)
        return self._active.base_offset

    def _roll(self, size: int, last_offset: int, now_ms: int) -> Segment:
        """The segment to append to when the active one takes no more: usually a new one."""
        if size > self._config.segment_bytes:
            raise KafkaError(Error.RECORD_LIST_TOO_LARGE, f"The batch of {size} bytes does not fit into a segment.")
        old = self._active
        if not old.size and last_offset <= old.max_offset:
            return old
        if old.base_offset == self.log_end_offset:
            raise KafkaError(Error.INVALID_RECORD, "The batch spans more offsets than a segment may have.")
        segment = Segment(self.path, self.log_end_offset, self.files)
        OPEN_FILES.make_room()
        with self.disk():
            old.load_times()
            try:
                segment.create()
            except OSError:
                # The old segment may still grow: a new one in its middle must not be there at the next start.
                segment.delete()
                raise
        with contextlib.suppress(KafkaError), self.disk():
            # On a full disk entries wait in memory, and the state is read from the log if it is needed.
            old.finish()
            self._take_snapshot()
        if self.offline is not None:
            raise self.offline
        self._unsynced.append(self.path)
        self._segments.add(segment)
        self._activate(segment, now_ms)
        return segment

    def _take_snapshot(self) -> None:
        self._unsynced.append(snapshots.take(self.path, self.log_end_offset, self.producers, self.files))
        snapshots.prune(self.path, self._segments.bases, self.files)
        self._saved_offset = self.log_end_offset

    # Reading

    def read(self, offset: int, max_bytes: int, limit_offset: int, min_one_batch: bool = True) -> FileRange | None:
        """Whole batches from the one that holds `offset`, below `limit_offset`, at most `max_bytes` long or, with
        `min_one_batch`, at least one batch. None when there is nothing to give."""
        segment = self._active
        recent = segment.recent_offsets
        # The consumer or follower at the end of the log: it wants all from a batch that was just appended.
        if recent and recent[0] <= offset < limit_offset and offset >= self.log_start_offset and self.offline is None:
            place = bisect_right(recent, offset) - 1
            if recent[place] == offset:
                position = end = segment.recent_positions[place]
                if limit_offset == self.log_end_offset:
                    end = segment.size
                else:
                    last = bisect_right(recent, limit_offset) - 1
                    if recent[last] == limit_offset:
                        end = segment.recent_positions[last]
                if 0 < end - position <= max_bytes and segment.fd >= 0:
                    continued = segment.continued
                    continued[limit_offset] = end
                    if len(continued) > CONTINUED:
                        del continued[next(iter(continued))]
                    return FileRange(segment, segment.fd, position, end - position)
        if self.offline is not None:
            raise self._refused()
        if not self.log_start_offset <= offset <= self.log_end_offset:
            raise KafkaError(
                Error.OFFSET_OUT_OF_RANGE,
                f"Offset {offset} is not within [{self.log_start_offset}, {self.log_end_offset}] of {self}.",
            )
        if offset >= limit_offset:
            return None
        with self.disk():
            end_offset = self.log_end_offset
            limit, gaps = min(limit_offset, end_offset), self._config.compacts
            return self._segments.read(offset, max_bytes, limit, end_offset, min_one_batch, self.epochs, gaps)

    def offset_for_timestamp(self, timestamp: int) -> tuple[int, int, int] | None:
        """The first record with this timestamp or a later one: (its timestamp, offset, leader epoch)."""
        with self.disk():
            return self._segments.first_since(timestamp, self.log_start_offset)

    def max_timestamp(self) -> tuple[int, int, int] | None:
        """The first record with the largest timestamp in the log: (its timestamp, offset, leader epoch)."""
        with self.disk():
            return self._segments.largest()

    def last_stable_offset(self, high_watermark: int) -> int:
        """How far readers of committed data may read."""
        producers = self.producers
        if not producers.open and not producers.undecided:
            return high_watermark
        first = producers.first_unstable_offset(high_watermark)
        return high_watermark if first is None else min(first, high_watermark)

    def segment_starts(self) -> list[tuple[int, int]]:
        """(base offset, time of the last change in milliseconds) of every segment, oldest first."""
        with self.disk():
            return [(each.base_offset, int(os.stat(each.path).st_mtime * 1000)) for each in self._segments.all]

    # Leader epochs

    def epoch_at(self, offset: int) -> int:
        """The leader epoch that an offset belongs to, -1 if none is known."""
        return self.epochs.epoch_for(offset)

    def latest_epoch(self) -> int:
        """The newest leader epoch, -1 if none is known."""
        return self._latest_epoch

    def end_offset_for_epoch(self, epoch: int) -> tuple[int, int]:
        """The largest epoch not above the one asked for, and where it ended; (-1, -1) if not known here."""
        return self.epochs.end_offset(epoch, self.log_end_offset)

    def assign_epoch(self, epoch: int, start_offset: int) -> None:
        """From `start_offset` on the log belongs to `epoch`. A leader does this at its election, data or not."""
        if 0 <= epoch < self._latest_epoch:
            raise KafkaError(
                Error.FENCED_LEADER_EPOCH, f"{self} has data of epoch {self._latest_epoch}, after {epoch}."
            )
        before = list(self.epochs.entries)
        if self.epochs.assign(epoch, start_offset):
            try:
                self._write_epochs()
            except KafkaError:
                self.epochs.entries = before
                raise
        self._latest_epoch = self.epochs.latest

    def _write_epochs(self) -> None:
        """The file reaches the disk with the next flush, together with the records that it could be derived from."""
        path = os.path.join(self.path, EPOCHS_FILE)
        with self.disk():
            self.files.write_atomically(path, self.epochs.encode(), sync=False)
        self._unsynced += [path, self.path]

    # Cutting

    def truncate(self, offset: int) -> None:
        """Drops everything from the batch that holds `offset` on. Nothing may be under way to a reader from there."""
        if offset < self._segments.bases[0]:
            self.truncate_fully(offset)
            return
        if offset < self.log_end_offset:
            with self.disk():
                offset = self._segments.floor(offset)
                self._before_cut(offset, offset)
                self._cut(offset)
        # The epochs go even if no records do (KAFKA-10706).
        if self.epochs.truncate_from_end(offset):
            self._latest_epoch = self.epochs.latest
            self._write_epochs()

    def _cut(self, end: int) -> None:
        """Drops what begins at `end` or above, which is where a batch begins."""
        segments = self._segments
        while segments.bases[-1] >= end and len(segments.all) > 1:
            # The newest first: after a crash the log has no hole.
            segments.drop(segments.active)
        active = segments.active
        active.open()
        position = active.locate(end)
        active.truncate(active.size if position is None else position, end)
        # With the next flush, a second later at most: a loss of power would bring back what was cut.
        self._unsynced += [active.path, self.path]
        self._activate(active, active.created_ms)
        self.log_end_offset = end
        self._saved_offset = 0
        snapshots.drop_above(self.path, end, self.files)
        self.producers = snapshots.replay(self.path, segments.all, self.log_start_offset, end, self.files)

    def truncate_fully(self, start_offset: int) -> None:
        """Drops everything; the log begins again, empty, at `start_offset`."""
        self._before_cut(min(start_offset, self._segments.bases[0]), start_offset)
        with self.disk():
            for segment in reversed(self._segments.all):
                segment.delete()
            snapshots.drop_above(self.path, -1, self.files)
            segment = Segment(self.path, start_offset, self.files)
            segment.create()
        self._segments.replace(segment)
        self._activate(segment, 0)
        self.producers = Producers()
        self._saved_offset = 0
        self.log_start_offset = self.log_end_offset = start_offset
        self.epochs.entries = []
        self._latest_epoch = -1
        self._write_epochs()

    def _before_cut(self, flushed: int, end: int) -> None:
        """The recovery point comes down first, and the start, also in their checkpoints. After a crash with a recovery
        point above the end, what is missing would count as damage, and what is appended next would not be looked at;
        with a start above the end, all of it would be dropped."""
        falls = end < self.log_start_offset
        self.recovery_point = min(self.recovery_point, flushed)
        self.log_start_offset = min(self.log_start_offset, end)
        self.cuts += 1
        if self.on_cut is not None:
            self.on_cut(falls)

    # Retention

    def advance_log_start(self, offset: int) -> None:
        """What lies below is no longer read; retain() removes the segments that are below entirely."""
        if offset > self.log_end_offset:
            raise KafkaError(Error.OFFSET_OUT_OF_RANGE, f"{self} ends at {self.log_end_offset}, before {offset}.")
        if offset > self.log_start_offset:
            self.log_start_offset = offset
            if self.epochs.truncate_from_start(offset):
                self._write_epochs()

    def retain(self, now_ms: int, high_watermark: int) -> int:
        """Removes segments that are below the start, too many or too old, but none that has offsets from the high
        watermark on; the bytes freed. A segment whose turn it is although it is the newest is rolled first."""
        if self.offline is not None:
            return 0
        config, freed = self._config, 0
        with self.disk():
            freed += self._remove_oldest(below(self.log_start_offset), high_watermark, now_ms)
            if config.deletes and config.retention_bytes >= 0:
                freed += self._remove_oldest(beyond(self.size_bytes - config.retention_bytes), high_watermark, now_ms)
            if config.deletes and config.retention_ms >= 0:
                freed += self._remove_oldest(older(now_ms - config.retention_ms), high_watermark, now_ms)
            active = self._active
            untimed = active.size and active.roll_base_timestamp is not None and active.roll_base_timestamp < 0
            if untimed and now_ms - active.created_ms > self._segment_ms():
                self.roll(now_ms)
            if freed:
                snapshots.prune(self.path, self._segments.bases, self.files)
        self._segments.close_idle()
        return freed

    def _remove_oldest(self, due: Due, high_watermark: int, now_ms: int) -> int:
        doomed = self._segments.expendable(due, self.log_end_offset, high_watermark)
        if not doomed:
            return 0
        if doomed[-1] is self._active:
            self.roll(now_ms)
        freed = 0
        for segment in doomed:
            freed += self._segments.drop(segment)
            log.info("Removed segment %d of %s by retention", segment.base_offset, self)
        self.advance_log_start(self._segments.bases[0])
        return freed

    def expire_producers(self, now_ms: int) -> int:
        """Forgets idle producers; how many."""
        return self.producers.expire(now_ms, self._config.producer_id_expiration_ms)

    # Flushing

    def flush_due(self, now_ms: int) -> bool:
        """Whether begin_flush(now_ms) has work: flush.ms has passed, a segment was finished by a roll, or there are
        small files that were written without waiting for the disk."""
        if self._flushing or self.offline is not None:
            return False
        return bool(self._unsynced) or self.recovery_point < self._active.base_offset or self._policy_due(now_ms)

    def _policy_due(self, now_ms: int) -> bool:
        return self._unflushed > 0 and now_ms - self.last_flush_ms >= self._config.flush_ms

    def flush(self) -> None:
        """Everything appended so far is on the disk when this returns."""
        pending = self.begin_flush()
        if pending is None:
            return
        try:
            pending.run()
        except OSError as error:
            pending.finish(error)
        pending.finish()

    def begin_flush(self, now_ms: int | None = None) -> Flush | None:
        """What is to be flushed, for Flush.run in a thread; None when there is nothing. With a time, what the policy
        says is due then: without flush.ms that is finished segments, but not the one being written."""
        if self.offline is not None:
            raise self._refused()
        end_offset = self.log_end_offset
        due = now_ms is not None and self._policy_due(now_ms)
        if now_ms is not None and not due:
            end_offset = self._active.base_offset
        if self.recovery_point >= end_offset and not self._unsynced:
            return None
        with self.disk():
            segments = []
            for segment, following in self._segments.spans(self.log_end_offset + 1):
                if following > self.recovery_point and segment.base_offset < end_offset:
                    self._write_indexes(segment)
                    segments.append(segment)
            paths, cuts = list(dict.fromkeys(self._unsynced)), self.cuts
            counted = self._unflushed if end_offset == self.log_end_offset else 0
            before_ms = self.last_flush_ms

            def done(error: OSError | None) -> None:
                if error is not None and error.errno in NO_DESCRIPTOR:
                    # The disk has not refused anything: all of it is due again.
                    self._unsynced += paths
                    self._unflushed += counted
                    self.last_flush_ms = before_ms
                self._flushed(error, end_offset, cuts)

            flush = Flush(self.files, segments, paths, done)
            self._unsynced = []
            self._unflushed -= counted
            if due and now_ms is not None:
                self.last_flush_ms = now_ms
        self._flushing += 1
        return flush

    def _flushed(self, error: OSError | None, end_offset: int, cuts: int) -> None:
        self._flushing -= 1
        if error is not None and error.errno in NO_DESCRIPTOR:
            raise KafkaError(Error.KAFKA_STORAGE_ERROR, f"{self} is not flushed: {error.strerror}") from error
        if error is not None:
            raise self.lost(error) from error
        if cuts == self.cuts and end_offset > self.recovery_point:
            self.recovery_point = end_offset
        self._segments.close_idle()

    # When the disk fails

    @contextlib.contextmanager
    def disk(self) -> Iterator[None]:
        """Says what an error of the disk means, for everything but the write in append."""
        try:
            yield
        except OSError as error:
            if error.errno not in PASSING:
                raise self.lost(error) from error
            raise KafkaError(Error.KAFKA_STORAGE_ERROR, f"{self}: {error.strerror}") from error
        except Damaged as damaged:
            self.damage.suspect(damaged.path)
            raise KafkaError(Error.CORRUPT_MESSAGE, f"{self} is damaged on the disk.") from damaged

    def lost(self, error: OSError) -> DirectoryOffline:
        """The disk under this log failed: nothing more is done with it."""
        if self.offline is None:
            self.offline = DirectoryOffline(os.path.dirname(self.path), error)
            log.error("%s", self.offline.message)
            if self.on_offline is not None:
                self.on_offline(self.offline)
        return self.offline

    def _refused(self) -> KafkaError:
        if self.offline is not None:
            return KafkaError(Error.KAFKA_STORAGE_ERROR, self.offline.message)
        return KafkaError(Error.KAFKA_STORAGE_ERROR, f"{self} takes no data: the disk is nearly full.")

    def __repr__(self) -> str:
        return f"{self.topic}-{self.partition}"
