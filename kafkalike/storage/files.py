"""The few file operations that storage uses, so that tests can swap in a disk that fails.

Every byte that `log`, `segment`, `index` and `directory` put on disk goes through a `Files`. The calls of the hot
paths are the bare functions of `os`: a bound attribute costs nothing. What an error means for the broker is decided
here too: a full disk refuses one write, anything else takes the whole directory offline (DESIGN.md, Surviving).
"""

import contextlib
import errno
import os
from collections.abc import Sequence

from kafkalike.errors import Error, KafkaError

# Errors that pass: there is space again when data are deleted, and descriptors when connections close.
# Nothing else about a failing disk comes back.
PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
# Errors of open() alone: they say nothing of what the disk has written, so that a flush may be tried again.
NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})


class DirectoryOffline(KafkaError):
    """The disk under a log directory failed. Nothing is tried again: after a failed fsync the kernel holds the
    lost pages for clean, and a second one would succeed. Clients get KAFKA_STORAGE_ERROR."""

    def __init__(self, path: str, cause: OSError | None) -> None:
        super().__init__(Error.KAFKA_STORAGE_ERROR, f"The log directory {path} is offline: {cause}")
        self.path = path
        self.cause = cause


class StorageError(Exception):
    """A log directory cannot be used. The text is one line for the operator."""


class DirectoryLost(StorageError):
    """A log directory whose disk fails; other directories may work."""


class Files:
    """The operations of the real disk."""

    close = staticmethod(os.close)
    pread = staticmethod(os.pread)
    pwritev = staticmethod(os.pwritev)
    ftruncate = staticmethod(os.ftruncate)
    fsync = staticmethod(os.fsync)
    fdatasync = staticmethod(os.fdatasync)
    rename = staticmethod(os.rename)

    @staticmethod
    def will_need(fd: int, position: int, size: int) -> None:
        """Has these bytes read into the page cache in the background."""
        os.posix_fadvise(fd, position, size, os.POSIX_FADV_WILLNEED)

    def open(self, path: str, create: bool = False, write: bool = True) -> int:
        """A descriptor; `create` makes the file if it is not there, and never cuts it."""
        flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return os.open(path, flags, 0o644)

    def size(self, path: str) -> int:
        """Bytes in the file; a missing file has none."""
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return 0

    def read(self, path: str) -> bytes | None:
        """The whole file, None when there is none."""
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def names(self, path: str) -> list[str]:
        """What the directory holds, sorted."""
        return sorted(os.listdir(path))

    def unlink(self, path: str) -> None:
        """Removes the file if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def write_all(self, fd: int, buffers: Sequence[bytes | memoryview], position: int) -> int:
        """Writes every byte or raises: a short write is followed by another, which tells why."""
        total = sum(map(len, buffers))
        done = self.pwritev(fd, buffers, position)
        if done < total:
            rest = memoryview(b"".join(buffers))
            while done < total:
                done += self.pwritev(fd, (rest[done:],), position + done)
        return total

    def write_new(self, path: str, data: bytes, sync: bool = False) -> None:
        """Replaces the file's content in place: for files that carry their own checksum."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            self.write_all(fd, (data,), 0)
            if sync:
                self.fsync(fd)
        finally:
            self.close(fd)

    def write_atomically(self, path: str, data: bytes, sync: bool = True) -> None:
        """After this the file holds the old content or the new, also across a power failure: a temporary file,
        fsync, rename, fsync of the directory. Without `sync` only a crash of the process is covered; for what can be
        had from elsewhere, and is synced later."""
        temporary = path + ".tmp"
        self.write_new(temporary, data, sync)
        self.rename(temporary, path)
        if sync:
            self.sync_path(os.path.dirname(path))

    def sync_path(self, path: str) -> None:
        """fsync of a file or a directory by name; one that is gone needs none."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            self.fsync(fd)
        finally:
            self.close(fd)


DISK = Files()
