"""One flush of a log: taken down at one moment on the log's own thread, run in any, finished on the log's own."""

from collections.abc import Callable, Sequence

from kafkalike.storage.files import Files
from kafkalike.storage.segment import FileRange, Segment


class Flush:
    """run() may be called in a thread; finish() must be called after it, where the log is called."""

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
        """The recovery point moves, or the directory goes offline: then DirectoryOffline is raised."""
        for segment in self._segments:
            FileRange(segment, segment.fd, 0, 0).release()
        self._done(error)
