"""A log directory is used by one process, and once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kafkalike.storage.directory_lock import DirectoryLock
from kafkalike.storage.files import StorageError


def test_another_process_is_told_that_the_directory_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.mkdir()
    code = (
        "import fcntl, sys\n"
        f"f = open({str(path / '.lock')!r}, 'w')\n"
        "fcntl.lockf(f, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and b"locked\n" == other.stdout.readline()
        with pytest.raises(StorageError, match="Failed to acquire lock on file .lock in .*A Kafka instance"):
            DirectoryLock(str(path)).acquire()
        other.communicate(b"")
    lock = DirectoryLock(str(path))
    lock.acquire()
    lock.release()


def test_a_directory_is_used_once_in_a_process(tmp_path: Path) -> None:
    first, second = DirectoryLock(str(tmp_path)), DirectoryLock(str(tmp_path))
    first.acquire()
    with pytest.raises(StorageError, match="Failed to acquire lock"):
        second.acquire()
    assert first.held and not second.held
    first.release()
    second.acquire()
    second.release()
