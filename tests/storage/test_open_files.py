"""Files that are closed for want of descriptors and opened again, and what no descriptor at all means."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.storage.config import LogConfig
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.files import StorageError
from kafkalike.storage.log import Log
from kafkalike.storage.open_files import OPEN_FILES, SLACK, OpenFiles
from tests.storage.disk import NOW, SMALL, FailingDisk, a_batch, contents, error_of, new_log

EXHAUSTED = [errno.EMFILE, errno.ENFILE]


def test_who_opens_more_files_than_there_may_be_is_told_each_time() -> None:
    files, told = OpenFiles(), []
    files.most, files.on_many = 2, lambda: told.append(files.count)
    for _ in range(4):
        files.opened()
    files.closed()
    assert 3 == files.count and [3, 4] == told


def test_appends_make_room_for_their_files_and_reads_are_refused_beyond_the_slack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, logs = OPEN_FILES.count, []
    for number in range(SLACK + 6):
        (tmp_path / str(number)).mkdir()
        logs.append(new_log(tmp_path / str(number)))
        logs[-1].append(a_batch(), 0, NOW)
        logs[-1].close_files()
    monkeypatch.setattr(OPEN_FILES, "most", before + 3)
    monkeypatch.setattr(OPEN_FILES, "close_some", lambda: [log.close_files() for log in logs])
    for log in logs:
        log.append(a_batch(), 0, NOW)
        assert OPEN_FILES.count <= before + 3
    for log in logs:
        log.close_files()
    found = []
    for log in logs:
        try:
            found.append(log.read(0, 1000, 2) is not None)
        except KafkaError as refused:
            found.append(refused.error is not Error.KAFKA_STORAGE_ERROR)
    assert [True] * (SLACK + 3) + [False] * 3 == found
    for log in logs:
        log.abandon()


def test_a_log_that_rests_has_no_file_open_and_wakes_when_it_is_wanted(tmp_path: Path) -> None:
    before = OPEN_FILES.count
    log = new_log(tmp_path, SMALL)
    for _ in range(12):
        log.append(a_batch(), 0, NOW)
    log.close_files()
    assert before == OPEN_FILES.count
    assert 12 == log.append(a_batch(), 0, NOW).base_offset
    log.close_files()
    given = log.read(12, 1000, 13)
    assert given is not None and given.fd >= 0
    log.close_files()
    assert 13 == len(contents(log))
    log.close_files()
    log.append_as_follower(_at(13), NOW)
    log.close_files()
    log.truncate(5)
    log.close_files()
    log.append(a_batch(), 0, NOW)
    log.close_files()
    log.flush()
    assert 6 == len(contents(log)) and 6 == log.recovery_point
    log.close()
    assert before == OPEN_FILES.count
    log.close_files()


def test_a_file_that_somebody_sends_from_stays_open(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.append(a_batch(), 0, NOW)
    given = log.read(0, 1000, 1)
    assert given is not None
    given.retain()
    log.close_files()
    assert 61 < len(os.pread(given.fd, given.size, given.position))
    given.release()
    log.close_files()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(given.fd)


@pytest.mark.parametrize("error", EXHAUSTED)
def test_without_a_descriptor_one_append_or_read_is_refused_and_the_log_stays(tmp_path: Path, error: int) -> None:
    disk = FailingDisk()
    log = new_log(tmp_path, files=disk)
    log.append(a_batch(), 0, NOW)
    log.close_files()
    disk.fail("open", error)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.append, a_batch(), 0, NOW)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.append_as_follower, _at(1), NOW)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.read, 0, 1000, 1)
    assert Error.KAFKA_STORAGE_ERROR == error_of(log.begin_flush)
    disk.heal()
    assert 1 == log.append(a_batch(), 0, NOW).base_offset
    log.flush()
    assert 2 == log.recovery_point == len(contents(log)) and log.offline is None


def _at(base: int) -> memoryview:
    data = bytearray(a_batch())
    data[:8] = base.to_bytes(8, "big")
    return memoryview(bytes(data))


@pytest.mark.parametrize("error", EXHAUSTED)
def test_a_flush_that_finds_no_descriptor_is_due_again(
    tmp_path: Path, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = new_log(tmp_path)
    log.append(a_batch(), 0, NOW)

    def refused(path: str) -> None:
        raise OSError(error, os.strerror(error), path)

    with monkeypatch.context() as patched:
        patched.setattr(log.files.__class__, "sync_path", staticmethod(refused))
        with pytest.raises(KafkaError, match="is not flushed") as raised:
            log.flush()
        assert Error.KAFKA_STORAGE_ERROR == raised.value.error
    assert log.offline is None and 0 == log.recovery_point and log.flush_due(NOW)
    log.flush()
    assert 1 == log.recovery_point and not log.flush_due(NOW)


def test_a_new_log_that_finds_no_descriptor_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk()
    directory = LogDirectory(str(tmp_path), disk).open(1, "cluster", lambda topic: LogConfig(), NOW)
    # What is to be removed cannot be listed either.
    monkeypatch.setattr("shutil.rmtree", lambda *args, **kwargs: None)
    for after in range(3):
        disk.fail("open", errno.EMFILE, after)
        with pytest.raises(KafkaError) as raised:
            directory.create("t", 0, bytes(range(16)), LogConfig(), NOW)
        assert Error.KAFKA_STORAGE_ERROR == raised.value.error and directory.offline is None
        assert not (tmp_path / "t-0").exists()
    disk.heal()
    assert 0 == directory.create("t", 0, bytes(range(16)), LogConfig(), NOW).log_end_offset
    directory.close()


def test_new_logs_beyond_the_bound_rest_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = LogDirectory(str(tmp_path)).open(1, "cluster", lambda topic: SMALL, NOW)
    before = OPEN_FILES.count
    monkeypatch.setattr(OPEN_FILES, "most", before + 3)
    for partition in range(8):
        directory.create("t", partition, None, SMALL, NOW)
    assert before + 3 == OPEN_FILES.count
    directory.close()


def test_a_start_opens_no_more_files_than_one_log_at_a_time(tmp_path: Path) -> None:
    directory = LogDirectory(str(tmp_path)).open(1, "cluster", lambda topic: SMALL, NOW)
    for partition in range(5):
        created = directory.create("t", partition, None, SMALL, NOW)
        for _ in range(10):
            created.append(a_batch(), 0, NOW)
    directory.close()
    before = OPEN_FILES.count
    again = LogDirectory(str(tmp_path)).open(1, "cluster", lambda topic: SMALL, NOW)
    assert before == OPEN_FILES.count and 5 == len(again.logs)
    assert [10] * 5 == [len(contents(each)) for each in again.logs.values()]
    again.close()


def test_a_start_without_descriptors_says_what_to_raise(tmp_path: Path) -> None:
    LogDirectory(str(tmp_path)).open(1, "cluster", lambda topic: SMALL, NOW).close()
    disk = FailingDisk()
    directory = LogDirectory(str(tmp_path), disk)
    disk.read = lambda path: _raise(errno.EMFILE)  # type: ignore[method-assign, assignment]
    with pytest.raises(StorageError, match=r"Too many open files. Raise ulimit -n."):
        directory.open(1, "cluster", lambda topic: SMALL, NOW)
    assert directory.offline is None


def test_a_deleted_log_whose_files_cannot_be_listed_is_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = LogDirectory(str(tmp_path)).open(1, "cluster", lambda topic: SMALL, NOW)
    directory.delete(directory.create("t", 0, None, LogConfig(file_delete_delay_ms=0), NOW), NOW)
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", lambda *args, **kwargs: _raise(errno.EMFILE))
        assert 0 == directory.purge(NOW)
    assert 1 == directory.purge(NOW)
    assert not [name for name in os.listdir(tmp_path) if name.endswith("-delete")]
    directory.close()


def _raise(error: int) -> None:
    raise OSError(error, os.strerror(error))


def test_a_resting_log_is_what_it_was(tmp_path: Path) -> None:
    """Across rolls, retention and a reopening."""
    log = new_log(tmp_path, SMALL)
    for number in range(30):
        log.append(a_batch(timestamp=NOW + number), 0, NOW)
        log.close_files()
    assert list(range(30)) == [offset for offset, _ in contents(log)]
    log.close()
    again = Log.open(log.path, "t", 0, SMALL, 30, 0, True, NOW)
    assert 30 == again.log_end_offset
    again.close()
