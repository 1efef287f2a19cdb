"""The lock of a log directory, as Apache's brokers take it too: one process uses the directory, and once."""

import fcntl
import os
from typing import Final

from kafkalike.storage.files import StorageError

LOCK: Final = ".lock"

# POSIX locks do not keep a process from itself.
_locked: set[str] = set()


class DirectoryLock:
    """Taken and given back by LogDirectory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = ""
        self._fd = -1

    @property
    def held(self) -> bool:
        """Whether the directory is locked."""
        return self._fd >= 0

    def acquire(self) -> None:
        """StorageError if somebody else has it, OSError if the file cannot be opened."""
        path = os.path.join(os.path.realpath(self._directory), LOCK)
        taken = StorageError(
            f"Failed to acquire lock on file .lock in {self._directory}. "
            "A Kafka instance in another process or thread is using this directory."
        )
        if path in _locked:
            raise taken
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # Java's file locks are these.
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise taken from error
        self._fd, self._path = fd, path
        _locked.add(path)

    def release(self) -> None:
        """Lets others use the directory."""
        if self.held:
            os.close(self._fd)
            self._fd = -1
            _locked.discard(self._path)
