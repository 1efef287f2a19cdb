"""The active segment, leader epochs, and what an error of the disk means for a log."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kafkalike.errors import Error
from kafkalike.protocol import batch
from kafkalike.storage.config import LogConfig
from kafkalike.storage.files import DirectoryOffline
from tests.storage.disk import NOW, SMALL, FailingDisk, a_batch, contents, error_of, names, new_log, reopened


def test_a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for n in range(20):
        log.append(a_batch(1, NOW + n), 0, NOW)
    assert names(log, ".log") == names(log, ".index") == names(log, ".timeindex")
    assert len(names(log, ".log")) > 3
    assert all(os.path.getsize(f"{log.path}/{base:020d}.log") <= 400 for base in names(log, ".log"))
    assert set(names(log, ".snapshot")) == set(names(log, ".log")) - {0}
    assert list(range(20)) == [offset for offset, _ in contents(log)]


def test_time_rolls_by_the_records_timestamps(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(segment_ms=1000))
    for timestamp in (NOW, NOW + 1000, NOW + 1001, NOW + 1500):
        log.append(a_batch(1, timestamp), 0, NOW)
    assert [0, 2] == names(log, ".log")
    log = reopened(log)
    log.append(a_batch(1, NOW + 2002), 0, NOW)
    assert [0, 2, 4] == names(log, ".log")


def test_a_full_index_rolls(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(index_interval_bytes=1, segment_index_bytes=60))
    for _ in range(30):
        log.append(a_batch(1), 0, NOW)
    assert len(names(log, ".log")) > 3
    assert all(os.path.getsize(f"{log.path}/{base:020d}.index") <= 60 for base in names(log, ".log"))


def test_a_relative_offset_never_exceeds_31_bits(tmp_path: Path) -> None:
    """E4. A gap that wide comes from a compacted leader."""
    log = new_log(tmp_path)
    for base in (0, 2**31 - 2, 2**31 + 5):
        data = bytearray(a_batch(3))
        data[0:8] = base.to_bytes(8, "big")
        log.append_as_follower(memoryview(data), NOW)
    assert [0, 3] == names(log, ".log")[:2]
    assert [0, 2**31 - 2, 2**31 + 5] == [o for o, _ in contents(log)][::3]
    given = log.read(100, 10_000, log.log_end_offset)
    assert given is not None and 2**31 - 2 == batch.read_header(given.read()).base_offset


def test_a_batch_larger_than_a_segment_is_refused(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(segment_bytes=100))
    assert Error.RECORD_LIST_TOO_LARGE == error_of(log.append, a_batch(1, size=100), 0, NOW)


def test_an_old_leader_may_not_append(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.append(a_batch(1), 3, NOW)
    assert Error.FENCED_LEADER_EPOCH == error_of(log.append, a_batch(1), 2, NOW)
    assert 1 == log.log_end_offset


@pytest.mark.parametrize("operation", ["pwritev", "create", "open"])
def test_a_full_disk_at_a_roll_refuses_the_batch_or_does_without(tmp_path: Path, operation: str) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, SMALL, disk)
    while log.size_bytes + len(a_batch(1)) <= 400:
        log.append(a_batch(1), 0, NOW)
    end = log.log_end_offset
    disk.fail(operation, errno.ENOSPC)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.append, a_batch(1), 0, NOW)
    assert (end, None) == (log.log_end_offset, log.offline)
    disk.heal()
    assert end == log.append(a_batch(1), 0, NOW).base_offset
    assert end + 1 == len(contents(log))
    assert end + 1 == len(contents(reopened(log, False)))
    assert end + 1 == len(contents(reopened(log)))


def test_a_roll_that_failed_leaves_no_segment_in_the_middle_of_the_old_one(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, SMALL, disk)
    while log.size_bytes + len(a_batch(3)) <= 400:
        log.append(a_batch(1), 0, NOW)
    disk.fail("create", errno.ENOSPC, after=1)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.append, a_batch(3), 0, NOW)
    disk.heal()
    assert [0] == names(log, ".log")
    log.append(a_batch(1, size=1), 0, NOW)
    end = log.log_end_offset
    assert (end, [0]) == (reopened(log, False).log_end_offset, names(log, ".log"))


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS])
def test_a_failing_disk_takes_the_log_offline(tmp_path: Path, error: int) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, files=disk)
    log.append(a_batch(1), 0, NOW)
    told = []
    log.on_offline = told.append
    disk.fail("pwritev", error)
    with pytest.raises(DirectoryOffline) as raised:
        log.append(a_batch(1), 0, NOW)
    assert str(tmp_path) == raised.value.path
    assert [raised.value] == told
    disk.heal()
    disk.calls.clear()
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.append, a_batch(1), 0, NOW)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.read, 0, 100, 1)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.flush)
    assert 0 == log.retain(NOW, 1)
    log.close()
    assert [] == disk.calls, "nothing is tried again"


def test_a_failed_read_takes_the_log_offline(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, SMALL, disk)
    for _ in range(20):
        log.append(a_batch(1), 0, NOW)
    disk.fail("pread")
    with pytest.raises(DirectoryOffline):
        log.read(1, 100, 20)


def test_too_many_open_files_are_no_failing_disk(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, SMALL, disk)
    for _ in range(20):
        log.append(a_batch(1), 0, NOW)
    log.flush()
    disk.fail("open", errno.EMFILE)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.read, 0, 100, 20)
    disk.heal()
    assert None is not log.read(0, 100, 20)


def test_an_epoch_that_cannot_be_written_is_not_taken(tmp_path: Path) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, files=disk)
    log.assign_epoch(1, 0)
    disk.room = 0
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.assign_epoch, 2, 0)
    assert ([(1, 0)], 1) == (log.epochs.entries, log.latest_epoch())
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.append, a_batch(1), 2, NOW)
    disk.heal()
    log.append(a_batch(1), 2, NOW)
    assert [(2, 0)] == log.epochs.entries


def test_damage_under_a_reader_is_one_partitions_trouble(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(segment_bytes=2000, index_interval_bytes=200))
    for _ in range(40):
        log.append(a_batch(1), 0, NOW)
    log = reopened(log)
    size = len(a_batch(1))
    with open(f"{log.path}/{0:020d}.log", "r+b") as file:
        file.seek(9 * size)
        file.write(b"\xff" * size)
    assert Error.CORRUPT_MESSAGE == error_of(log.read, 9, 3 * size, 40)
    assert None is not log.read(3, 100, 40)
    assert None is not log.read(30, 100, 40)
    assert None is log.offline
