"""What is on the disk, and what a flush may claim."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kafkalike.errors import Error
from kafkalike.storage.config import LogConfig
from kafkalike.storage.files import DirectoryOffline, Files
from kafkalike.storage.log import Log
from tests.storage.disk import NOW, SMALL, FailingDisk, a_batch, error_of, new_log


def test_a_flush_moves_the_recovery_point(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for _ in range(10):
        log.append(a_batch(1), 0, NOW)
    pending = log.begin_flush()
    assert pending is not None
    log.append(a_batch(1), 0, NOW)
    pending.run()
    assert 0 == log.recovery_point
    pending.finish()
    assert 10 == log.recovery_point
    log.flush()
    assert 11 == log.recovery_point
    assert None is log.begin_flush()


def test_a_flush_that_a_cut_overtook_says_nothing(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for _ in range(10):
        log.append(a_batch(1), 0, NOW)
    pending = log.begin_flush()
    assert pending is not None
    log.truncate(2)
    for _ in range(10):
        log.append(a_batch(1), 0, NOW)
    pending.run()
    pending.finish()
    assert 2 >= log.recovery_point


def test_a_cut_is_due_at_once_whatever_the_policy(tmp_path: Path) -> None:
    synced: list[str] = []

    class Recording(Files):
        def sync_path(self, path: str) -> None:
            synced.append(path)

    log = new_log(tmp_path, LogConfig(), Recording())
    for _ in range(10):
        log.append(a_batch(1), 0, NOW)
    log.flush()
    synced.clear()
    assert not log.flush_due(NOW)
    log.truncate(2)
    assert log.flush_due(NOW)
    pending = log.begin_flush(NOW)
    assert pending is not None
    pending.run()
    pending.finish()
    assert str(tmp_path / "t-0" / f"{0:020}.log") in synced
    assert not log.flush_due(NOW)


def test_the_flush_policy_is_kept(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(flush_messages=5, flush_ms=1000))
    log.flush()
    for _ in range(4):
        log.append(a_batch(1), -1, NOW)
    assert 0 == log.recovery_point
    assert log.flush_due(NOW + 1000) and not log.flush_due(NOW + 999)
    log.append(a_batch(1), -1, NOW)
    assert 5 == log.recovery_point
    assert not log.flush_due(NOW + 10_000)


def test_a_finished_segment_is_due_and_the_one_being_written_is_left(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    assert log.flush_due(NOW), "the new files themselves"
    log.flush()
    log.append(a_batch(1), -1, NOW)
    assert not log.flush_due(NOW)
    log.roll(NOW)
    log.append(a_batch(1), -1, NOW)
    assert log.flush_due(NOW)
    pending = log.begin_flush(NOW)
    assert pending is not None
    assert not log.flush_due(NOW), "it is under way"
    pending.run()
    pending.finish()
    assert 1 == log.recovery_point
    assert not log.flush_due(NOW)
    log.flush()
    assert 2 == log.recovery_point


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("operation", ["fdatasync", "fsync"])
def test_a_failed_fsync_is_never_repeated(tmp_path: Path, operation: str, error: int) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, files=disk)
    log.append(a_batch(1), 0, NOW)
    disk.fail(operation, error)
    with pytest.raises(DirectoryOffline):
        log.flush()
    disk.heal()
    assert 0 == log.recovery_point
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.flush)


def test_a_directory_that_logs_have_in_common_is_synced_once_for_all(tmp_path: Path) -> None:
    synced: list[str] = []

    class Counting(FailingDisk):
        def sync_path(self, path: str) -> None:
            synced.append(path)

    disk = Counting()
    pending = [Log.create(str(tmp_path / f"t-{p}"), "t", p, None, SMALL, NOW, disk).begin_flush(NOW) for p in range(3)]
    done: set[str] = set()
    for flush in pending:
        assert flush is not None
        flush.run(done)
    assert 1 == synced.count(str(tmp_path))
    assert {str(tmp_path / f"t-{p}") for p in range(3)} < set(synced)


def test_a_log_that_is_closed_as_it_was_opened_writes_no_snapshot_again(tmp_path: Path) -> None:
    path = tmp_path / "t-0"
    log = new_log(tmp_path, SMALL)
    log.close()
    assert [] == list(path.glob("*.snapshot")), "no state before the first record"
    log = Log.open(str(path), "t", 0, SMALL, 0, 0, True, NOW)
    log.append(a_batch(1), 0, NOW)
    log.close()
    (snapshot,) = path.glob("*.snapshot")
    before = snapshot.stat().st_mtime_ns
    log = Log.open(str(path), "t", 0, SMALL, 1, 0, True, NOW)
    log.close()
    assert before == snapshot.stat().st_mtime_ns
    log = Log.open(str(path), "t", 0, SMALL, 1, 0, True, NOW)
    log.truncate(0)
    log.append(a_batch(1), 0, NOW)
    log.close()
    assert before < snapshot.stat().st_mtime_ns, "another record is there now"
