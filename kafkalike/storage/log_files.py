"""The files of one partition's log while it is open, and what an error of the disk means for it.

Here is the state that everything else of a log works on: where it begins and ends, its segments and which one is
appended to, its leader epochs, its producers, how far it is flushed. log.py makes a Log of it and of what can be done
with it: append_path.py, read_path.py, truncation.py, retention.py, flush.py.

Of the disk's errors a full disk refuses the one operation (KAFKA_STORAGE_ERROR) and leaves the log as it was; any other
takes the directory offline.
"""

import contextlib
import logging
import os
import zlib
from collections.abc import Callable, Iterator

from kafkalike.errors import Error, KafkaError
from kafkalike.storage import producer_snapshots
from kafkalike.storage.checkpoints import LEADER_EPOCHS
from kafkalike.storage.config import LogConfig
from kafkalike.storage.file_ranges import CorruptBatch
from kafkalike.storage.files import DISK, PASSING, DirectoryOffline, Files
from kafkalike.storage.open_files import OPEN_FILES
from kafkalike.storage.recovery import Loaded
from kafkalike.storage.segment import MAX_POSITION, Segment
from kafkalike.storage.segments import Segments
from kafkalike.storage.validation import plain_attributes

log = logging.getLogger(__name__)


class LogFiles:
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
        "recovered",
        "on_offline",
        "on_cut",
        "on_damaged",
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
        self.on_damaged: Callable[[str], None] = lambda path: None  # told of the file in which something is wrong
        self.on_cut: Callable[[bool], None] | None = None  # told whether the start comes down too
        self._flushing = 0  # flushes under way
        self.last_flush_ms = now_ms
        self._segments = Segments(loaded.segments)
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

    def __repr__(self) -> str:
        return f"{self.topic}-{self.partition}"

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

    # The active segment

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

    def _first_batch_written(self, segment: Segment, timestamp: int, now_ms: int) -> None:
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

    def _reopen(self, segment: Segment) -> None:
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
            # While the disk is full the entries wait in memory, and the state is read from the log if it is needed.
            old.finish()
            self._take_snapshot()
        if self.offline is not None:
            raise self.offline
        self._unsynced.append(self.path)
        self._segments.add(segment)
        self._activate(segment, now_ms)
        return segment

    def _take_snapshot(self) -> None:
        self._unsynced.append(producer_snapshots.take(self.path, self.log_end_offset, self.producers, self.files))
        producer_snapshots.prune(self.path, self._segments.bases, self.files)
        self._saved_offset = self.log_end_offset

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
        """Notes that the log belongs to `epoch` from `start_offset` on. A leader does this at its election, with data
        or without."""
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

    def _write_epochs(self, sync: bool = False) -> None:
        """Without `sync` the file reaches the disk with the next flush, together with the records that it could be
        derived from."""
        path = os.path.join(self.path, LEADER_EPOCHS)
        with self.disk():
            self.files.write_atomically(path, self.epochs.encode(), sync)
        if not sync:
            self._unsynced += [path, self.path]

    # Letting go

    def abandon(self) -> None:
        """Lets go of the files as they are."""
        self.closed = True
        for segment in self._segments.all:
            segment.deleted = True  # a range still being sent closes the file when it is released
            segment.close_file()

    def close_files(self) -> None:
        """Closes the files that nobody sends from, until somebody appends or reads. Not within a turn of the reactor
        that has read: a range of a file is held only when it goes out."""
        if not self.closed:
            self._segments.close_files()

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
        except CorruptBatch as damaged:
            self.on_damaged(damaged.path)
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
