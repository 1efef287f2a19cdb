"""File operations that must hold their promise when the disk does not help."""

import errno
import os
from pathlib import Path

import pytest

from kafkalike.errors import Error
from kafkalike.storage.files import DISK, PASSING, DirectoryOffline
from tests.storage.disk import FailingDisk


def test_an_atomic_write_replaces_the_content(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    DISK.write_atomically(str(path), b"old")
    DISK.write_atomically(str(path), b"new")
    assert b"new" == path.read_bytes()
    assert ["checkpoint"] == os.listdir(tmp_path)


@pytest.mark.parametrize("operation", ["pwritev", "fsync", "rename"])
def test_an_atomic_write_that_fails_leaves_the_old_content(tmp_path: Path, operation: str) -> None:
    path = tmp_path / "checkpoint"
    disk = FailingDisk()
    disk.write_atomically(str(path), b"old")
    disk.fail(operation)
    with pytest.raises(OSError):
        disk.write_atomically(str(path), b"new")
    assert b"old" == path.read_bytes()


def test_an_atomic_write_is_on_the_disk_before_it_is_in_place(tmp_path: Path) -> None:
    """File, then name, then directory: any other order can leave an empty file after a power failure."""
    disk = FailingDisk()
    disk.write_atomically(str(tmp_path / "checkpoint"), b"new")
    assert ["pwritev", "fsync", "rename", "fsync"] == disk.calls


def test_a_short_write_is_continued(tmp_path: Path) -> None:
    disk = FailingDisk()
    fd = disk.open(str(tmp_path / "f"), create=True)
    disk.room = 3
    with pytest.raises(OSError, match="No space"):
        disk.write_all(fd, (b"ab", memoryview(b"cdef")), 0)
    disk.room = 1_000
    assert 6 == disk.write_all(fd, (b"ab", memoryview(b"cdef")), 0)
    disk.close(fd)
    assert b"abcdef" == (tmp_path / "f").read_bytes()


def test_what_is_missing_reads_as_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "missing")
    assert None is DISK.read(path)
    assert 0 == DISK.size(path)
    DISK.unlink(path)
    DISK.sync_path(path)


def test_only_what_runs_out_and_comes_back_is_passing() -> None:
    assert errno.ENOSPC in PASSING
    assert errno.EIO not in PASSING
    assert errno.EROFS not in PASSING


def test_an_offline_directory_answers_clients_with_a_storage_error() -> None:
    error = DirectoryOffline("/data", OSError(errno.EIO, "Input/output error"))
    assert Error.KAFKA_STORAGE_ERROR == error.error
    assert "/data" in error.message
