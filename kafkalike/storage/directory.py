"""One log directory: its lock, its identity, every log in it, and the checkpoints that tell how far each is.

    .lock                              held while a broker, ours or Apache's, uses the directory
    meta.properties                    version=0, broker.id, cluster.id
    .kafka_cleanshutdown               last thing written at a clean stop, first thing removed at a start
    recovery-point-offset-checkpoint   all below is flushed
    log-start-offset-checkpoint        where logs begin that begin inside their first segment
    replication-offset-checkpoint      high watermarks
    <topic>-<partition>/               log.py
    <topic>-<partition>.<32 hex>-delete/   deleted, removed after file.delete.delay.ms
    <topic>-<partition>.<32 hex>-stray/    of a topic that is gone, whose name another topic has; left alone

A checkpoint that is missing or garbled counts as absent: nothing flushed, nothing known, and the logs are read
instead. Blocking; `replicas` calls it, in a thread where it takes long: checkpoint..., watch_space and purge may run
beside everything else.
"""

import contextlib
import logging
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from kafkalike.errors import Error, KafkaError
from kafkalike.storage import meta_properties
from kafkalike.storage.checkpoints import (
    HIGH_WATERMARKS,
    LOG_STARTS,
    RECOVERY_POINTS,
    Partition,
    decode_offsets,
    encode_offsets,
)
from kafkalike.storage.config import LogConfig
from kafkalike.storage.directory_lock import DirectoryLock
from kafkalike.storage.files import DISK, NO_DESCRIPTOR, PASSING, DirectoryLost, DirectoryOffline, Files, StorageError
from kafkalike.storage.log import Log
from kafkalike.storage.open_files import OPEN_FILES
from kafkalike.storage.partition_metadata import PARTITION_METADATA
from kafkalike.storage.segment import INDEX, LOG, TIME_INDEX, name

log = logging.getLogger(__name__)

CLEAN: Final = ".kafka_cleanshutdown"

# Below this much free space nothing is appended, so that checkpoints and deletions still work.
RESERVE_BYTES: Final = 16 << 20

_NAME = re.compile(r"^(.+)-(\d+)$")
_DELETED = re.compile(r"^.*\.[0-9a-f]{32}-delete$")
_MOVED = re.compile(r"^.*\.[0-9a-f]{32}-(future|stray)$")


class Interrupted(StorageError):
    """The broker was told to stop while it opened its logs."""


class LogDirectory:
    """See the module."""

    def __init__(self, path: str, files: Files = DISK) -> None:
        self.path = os.path.abspath(path)
        self.files = files
        self.logs: dict[Partition, Log] = {}
        self.high_watermarks: dict[Partition, int] = {}
        self.clean = False  # whether the last stop was
        self.offline: DirectoryOffline | None = None
        self.full = False
        self.on_offline: Callable[[DirectoryOffline], None] | None = None
        self.interrupted = False  # set while logs are being opened: the next one is not
        self._lock = DirectoryLock(self.path)
        self._loaded = False
        self._condemned: list[tuple[str, int]] = []
        # Logs that have gone, of which checkpoints may say something still.
        self._gone: set[Partition] = set()
        self._writing = threading.Lock()

    # Opening

    def lock(self) -> None:
        """Makes sure that the directory exists and that nobody else uses it: before, nothing in it is touched.
        After DirectoryLost it is offline."""
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            self.fail(DirectoryOffline(self.path, error))
            raise DirectoryLost(f"Failed to create data directory {self.path}: {error.strerror}") from error
        try:
            self._lock.acquire()
        except OSError as error:
            self.fail(DirectoryOffline(self.path, error))
            raise DirectoryLost(f"Failed to open data directory {self.path}: {error}") from error

    def open(
        self, broker_id: int, cluster_id: str, config_for: Callable[[str], LogConfig], now_ms: int
    ) -> "LogDirectory":
        """Makes sure that the directory is this broker's, and opens every log in it; locks it first if that was not
        done. After DirectoryLost it is offline."""
        if not self._lock.held:
            self.lock()
        try:
            self._open(broker_id, cluster_id, config_for, now_ms)
        except (OSError, DirectoryOffline) as error:
            cause = error.cause if isinstance(error, DirectoryOffline) else error
            if cause is not None and cause.errno in NO_DESCRIPTOR:
                raise StorageError(f"{self.path} cannot be opened: {cause.strerror}. Raise ulimit -n.") from error
            self.fail(error if isinstance(error, DirectoryOffline) else DirectoryOffline(self.path, error))
            raise DirectoryLost(f"Failed to open data directory {self.path}: {error}") from error
        return self

    def _open(self, broker_id: int, cluster_id: str, config_for: Callable[[str], LogConfig], now_ms: int) -> None:
        try:
            meta_properties.claim(self.path, broker_id, cluster_id, self.files)
            marker = os.path.join(self.path, CLEAN)
            self.clean = os.path.exists(marker)
            if self.clean:
                self.files.unlink(marker)
                self.files.sync_path(self.path)
            self._load(config_for, now_ms)
        except Interrupted:
            self._undo_open()
            raise
        except BaseException:
            for each in self.logs.values():
                each.abandon()
            self.logs.clear()
            self._lock.release()
            raise
        self._loaded = True

    def _undo_open(self) -> None:
        """Nothing has been written to the logs: if the last stop was clean, the directory is as that one left it."""
        try:
            if self.clean:
                for each in self.logs.values():
                    each.close()
                self._mark_clean()
        finally:
            self.abandon()
            self.logs.clear()

    def _mark_clean(self) -> None:
        self.files.write_new(os.path.join(self.path, CLEAN), b'{"version":0,"brokerEpoch":-1}', sync=True)
        self.files.sync_path(self.path)

    def _load(self, config_for: Callable[[str], LogConfig], now_ms: int) -> None:
        recovery_points = self._read(RECOVERY_POINTS)
        starts = self._read(LOG_STARTS)
        self.high_watermarks = self._read(HIGH_WATERMARKS)
        for entry in self.files.names(self.path):
            if self.interrupted:
                raise Interrupted("The broker was told to stop while it opened its logs.")
            path = os.path.join(self.path, entry)
            if not os.path.isdir(path):
                continue
            if _DELETED.match(entry):
                self._condemned.append((path, now_ms))
                continue
            match = _NAME.match(entry)
            if match is None or _MOVED.match(entry):
                log.warning("%s is not a partition's directory; leaving it alone", path)
                continue
            partition = match[1], int(match[2])
            opened = Log.open(
                path,
                *partition,
                config_for(partition[0]),
                recovery_points.get(partition, 0),
                starts.get(partition, 0),
                self.clean,
                now_ms,
                self.files,
            )
            opened.close_files()
            self._adopt(opened)
        recovered = sum(each.recovered for each in self.logs.values())
        if recovered:
            log.info("Recovered %d of %d logs in %s: the last stop was not clean", recovered, len(self.logs), self.path)
        self._gone = {*recovery_points, *starts, *self.high_watermarks} - self.logs.keys()
        self.high_watermarks = {
            partition: min(max(offset, self.logs[partition].log_start_offset), self.logs[partition].log_end_offset)
            for partition, offset in self.high_watermarks.items()
            if partition in self.logs
        }

    def _adopt(self, opened: Log) -> None:
        opened.on_offline = self.fail
        opened.on_cut = self._before_cut
        self.logs[opened.topic, opened.partition] = opened

    def _before_cut(self, start_falls: bool) -> None:
        self.checkpoint_recovery_points()
        if start_falls:
            self.checkpoint_log_starts()

    # Logs come and go

    def create(self, topic: str, partition: int, topic_id: bytes | None, config: LogConfig, now_ms: int = 0) -> Log:
        """A new, empty log."""
        if self.offline is not None:
            raise self.offline
        if (topic, partition) in self._gone:
            self._forget_gone()
        path = os.path.join(self.path, f"{topic}-{partition}")
        if os.path.lexists(path):
            raise KafkaError(Error.KAFKA_STORAGE_ERROR, f"{path} was not there when the broker started: move it away.")
        try:
            created = Log.create(path, topic, partition, topic_id, config, now_ms, self.files)
        except OSError as error:
            _remove_new(path)
            raise self.failure(error) from error
        if OPEN_FILES.count > OPEN_FILES.most:
            # Many logs are made in one turn, and this one has not been read yet.
            created.close_files()
        self._adopt(created)
        return created

    def delete(self, doomed: Log, now_ms: int = 0) -> None:
        """Takes the log out of the directory at once; purge() removes its files after file.delete.delay.ms."""
        self._condemned.append((self._take_away(doomed, "delete"), now_ms + doomed.config.file_delete_delay_ms))

    def set_aside(self, stray: Log) -> None:
        """Takes the log out of the directory at once, and keeps its files under another name for the operator."""
        log.warning("Log for partition %s is marked as stray and renamed to %s", stray, self._take_away(stray, "stray"))

    def _take_away(self, gone: Log, why: str) -> str:
        tail = f"-{gone.partition}.{uuid.uuid4().hex}-{why}"
        target = os.path.join(self.path, gone.topic[: 255 - len(tail)] + tail)
        try:
            self.files.rename(gone.path, target)
            del self.logs[gone.topic, gone.partition]
            self.high_watermarks.pop((gone.topic, gone.partition), None)
            self._gone.add((gone.topic, gone.partition))
            gone.abandon()
            gone.on_offline = (
                None  # A caller that still uses the log does not find its files; that is no failure of the disk.
            )
            self.files.sync_path(self.path)
        except OSError as error:
            raise self.failure(error) from error
        return target

    def _forget_gone(self) -> None:
        """Before a log gets the name of one that has gone. After a crash it would be taken for that one: for damaged
        if it does not reach its recovery point, for empty if it does not reach its start."""
        self.checkpoint_recovery_points()
        self.checkpoint_log_starts()
        self.checkpoint_high_watermarks()
        self._gone.clear()

    def purge(self, now_ms: int) -> int:
        """Removes the files of logs that were deleted long enough ago; how many logs."""
        due = [entry for entry in self._condemned if entry[1] <= now_ms]
        for entry in due:
            self._condemned.remove(entry)
            try:
                shutil.rmtree(entry[0])
            except OSError as error:
                if error.errno in NO_DESCRIPTOR:
                    self._condemned.append(entry)
                    return 0
                shutil.rmtree(entry[0], ignore_errors=True)
        return len(due)

    # Checkpoints

    def checkpoint_high_watermarks(self) -> None:
        """Writes `high_watermarks`. A log keeps its entry until it is led or followed again (KAFKA-1647)."""
        self._write(HIGH_WATERMARKS, lambda: dict(self.high_watermarks))

    def checkpoint_recovery_points(self) -> None:
        """Writes how far every log is flushed."""
        self._write(RECOVERY_POINTS, lambda: {partition: each.recovery_point for partition, each in self._all()})

    def checkpoint_log_starts(self) -> None:
        """Writes where logs begin that do not begin at a segment's base."""
        self._write(
            LOG_STARTS,
            lambda: {
                partition: each.log_start_offset
                for partition, each in self._all()
                if each.log_start_offset > each.first_base_offset
            },
        )

    def _all(self) -> list[tuple[Partition, Log]]:
        return list(self.logs.items())

    def _write(self, file: str, offsets: Callable[[], Mapping[Partition, int]]) -> None:
        if self.offline is not None:
            return
        # Checkpoints are written in threads and, before a log is cut, at once. The offsets are looked at under the
        # lock: an old recovery point never overwrites a lower, newer one.
        with self._writing:
            try:
                self.files.write_atomically(os.path.join(self.path, file), encode_offsets(offsets()))
            except OSError as error:
                raise self.failure(error) from error

    def _read(self, file: str) -> dict[Partition, int]:
        path = os.path.join(self.path, file)
        data = self.files.read(path)
        offsets = decode_offsets(data) if data is not None else {}
        if offsets is None:
            log.warning("%s cannot be believed; going on without it", path)
            return {}
        return offsets

    # Closing

    def close(self, clean: bool = True) -> None:
        """Flushes and closes every log; the clean marker comes last, and only if all went well (and `clean`)."""
        if not self._lock.held:
            return
        try:
            if self._loaded and self.offline is None:
                self.checkpoint_high_watermarks()
                self._close_logs()
                self.checkpoint_recovery_points()
                self.checkpoint_log_starts()
                if clean:
                    self._mark_clean()
        finally:
            for each in self.logs.values():
                each.abandon()
            self._lock.release()

    def _close_logs(self) -> None:
        """Each is closed, whatever happened to the ones before; the first error tells that the stop was not clean."""
        first: KafkaError | None = None
        for _, each in self._all():
            try:
                each.close()
            except KafkaError as error:
                log.error("%s could not be closed: %s", each, error.message)
                first = first or error
        if first is not None:
            self.checkpoint_recovery_points()
            raise first

    def abandon(self) -> None:
        """Closes all files without writing anything, as a crash would."""
        for each in self.logs.values():
            each.abandon()
        self._lock.release()

    # When the disk fails

    def watch_space(self, reserve_bytes: int = RESERVE_BYTES) -> bool:
        """Whether the disk has enough free space for appends. Called every few seconds; logs hear when this changes."""
        if self.offline is not None:
            return False
        try:
            state = os.statvfs(self.path)
        except OSError as error:
            raise self.failure(error) from error
        full = state.f_bavail * state.f_frsize < reserve_bytes
        if full != self.full:
            log.log(
                logging.ERROR if full else logging.INFO,
                "%s has %s %d MiB free: appends are %s",
                self.path,
                "less than" if full else "again",
                reserve_bytes >> 20,
                "refused" if full else "taken",
            )
            self.full = full
            for _, each in self._all():
                each.full = full
        return not full

    def failure(self, error: OSError) -> Exception:
        """What an error of the disk means here: one refused operation, or the end of the directory."""
        if error.errno in PASSING:
            return KafkaError(Error.KAFKA_STORAGE_ERROR, f"{self.path}: {error.strerror}")
        offline = DirectoryOffline(self.path, error)
        self.fail(offline)
        return offline

    def fail(self, offline: DirectoryOffline) -> None:
        """The disk failed: no log in this directory is read or written any more."""
        if self.offline is None:
            self.offline = offline
            for _, each in self._all():
                each.offline = each.offline or offline
            if self.on_offline is not None:
                self.on_offline(offline)


def _remove_new(path: str) -> None:
    """Removes the directory of a log that could not be made; opens no file, as there may be no descriptor for one."""
    for file in (
        PARTITION_METADATA,
        PARTITION_METADATA + ".tmp",
        *(name(0) + suffix for suffix in (LOG, INDEX, TIME_INDEX)),
    ):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(path, file))
    with contextlib.suppress(OSError):
        os.rmdir(path)
