"""How appended batches reach the disk: one flush is taken down at one moment on the log's own thread, run in any, and
finished on the log's own.

The recovery point says up to where everything was flushed. Without flush.messages and flush.ms only finished segments
are flushed, and small files that were written without waiting for the disk.
"""

from collections.abc import Callable, Sequence

from kafkalike.errors import Error, KafkaError
from kafkalike.storage.file_ranges import FileRange
from kafkalike.storage.files import NO_DESCRIPTOR, Files
from kafkalike.storage.log_files import LogFiles
from kafkalike.storage.segment import Segment


class Flush:
    """One flush. run() may be called in a thread; then finish() must be called on the log's own thread."""

    __slots__ = ("_files", "_segments", "_paths", "_done")

    def __init__(
        self,
        files: Files,
        segments: Sequence[Segment],
        paths: Sequence[str],
        done: Callable[[OSError | None], None],
    ) -> None:
        self._files = files
        self._segments = segments
        self._paths = paths
        self._done = done
        for segment in segments:
            segment.open()
        for segment in segments:
            segment.users += 1

    def run(self, done: set[str] | None = None) -> None:
        """fsync of everything; an OSError here means that the directory is lost, unless it is for want of descriptors.
        `done` are paths that were synced since this was taken down, and those that now are: logs have their directory
        in common."""
        files = self._files
        for segment in self._segments:
            if segment.deleted:
                continue
            files.fdatasync(segment.fd)
            for index in (segment.offsets, segment.times):
                if len(index):
                    files.sync_path(index.path)
        done = set() if done is None else done
        for path in self._paths:
            if path not in done:
                files.sync_path(path)
                done.add(path)

    def finish(self, error: OSError | None = None) -> None:
        """Moves the recovery point. After an error the directory goes offline, and DirectoryOffline is raised."""
        for segment in self._segments:
            FileRange(segment, segment.fd, 0, 0).release()
        self._done(error)


class Flushing(LogFiles):
    """The part of a Log that flushes it."""

    __slots__ = ()

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
