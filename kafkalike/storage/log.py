"""One partition's log: segments in order, and what is derived from them (leader epochs, producer state).

    <topic>-<partition>/
        <base offset>.log .index .timeindex     segment.py
        <offset>.snapshot                       producer_state.py: at each segment's base, and at the end when closed
        leader-epoch-checkpoint                 leader_epochs.py
        partition.metadata                      partition_metadata.py

Blocking, one caller; only Flush.run and Verification.run may be in a thread. A Log is its open files (log_files.py)
with all that can be done with them, each in a file of its own: append_path.py, flush.py, read_path.py, truncation.py,
retention.py, corruption.py. Here it is made, opened (recovery.py) and closed.
"""

import logging
import os

from kafkalike.errors import KafkaError
from kafkalike.storage import producer_snapshots, recovery
from kafkalike.storage.append_path import AppendPath
from kafkalike.storage.checkpoints import LEADER_EPOCHS
from kafkalike.storage.config import LogConfig
from kafkalike.storage.corruption import Corruption
from kafkalike.storage.files import DISK, DirectoryOffline, Files
from kafkalike.storage.leader_epochs import LeaderEpochs
from kafkalike.storage.partition_metadata import PARTITION_METADATA, decode_topic_id, encode_topic_id
from kafkalike.storage.producer_state import Producers
from kafkalike.storage.read_path import ReadPath
from kafkalike.storage.recovery import Loaded
from kafkalike.storage.retention import Retention
from kafkalike.storage.segment import Segment
from kafkalike.storage.truncation import Truncation

log = logging.getLogger(__name__)


class Log(AppendPath, ReadPath, Truncation, Retention):
    """See the module."""

    __slots__ = ("corruption",)

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
        super().__init__(path, topic, partition, topic_id, config, loaded, now_ms, files)
        self.corruption = Corruption(self, self._segments)
        self.on_damaged = self.corruption.suspect

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
            unsynced.append(os.path.join(path, PARTITION_METADATA))
            files.write_atomically(unsynced[-1], encode_topic_id(topic_id), sync=False)
        segment = Segment(path, 0, files)
        segment.create()
        loaded = Loaded([segment], 0, 0, 0, LeaderEpochs(), Producers())
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
        topic_id = decode_topic_id(files.read(os.path.join(path, PARTITION_METADATA)))
        opened = cls(path, topic, partition, topic_id, config, loaded, now_ms, files)
        opened.producers.expire(now_ms, config.producer_id_expiration_ms)
        data = files.read(os.path.join(path, LEADER_EPOCHS))
        if data != opened.epochs.encode() and (data is not None or opened.epochs):
            try:
                opened._write_epochs()
            except DirectoryOffline:
                raise
            except KafkaError as error:
                log.warning("%s", error.message)
        producer_snapshots.prune(path, opened._segments.bases, files)
        if not loaded.recovered and files.size(producer_snapshots.path_of(path, opened.log_end_offset)):
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

    def assign_topic_id(self, topic_id: bytes) -> None:
        """Gives the log the id of its topic, for good."""
        assert self.topic_id in (None, topic_id), "a log never changes its topic"
        if self.topic_id is None:
            with self.disk():
                self.files.write_atomically(os.path.join(self.path, PARTITION_METADATA), encode_topic_id(topic_id))
            self.topic_id = topic_id
