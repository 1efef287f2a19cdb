"""A log directory: whose it is, who uses it now, and what is known of its logs after a stop or a crash."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.storage.config import LogConfig
from kafkalike.storage.directory import Interrupted, LogDirectory
from kafkalike.storage.files import DirectoryLost, DirectoryOffline, StorageError
from kafkalike.storage.log import Log
from tests.storage.disk import NOW, FailingDisk, a_batch, contents, error_of

CONFIG = LogConfig(segment_bytes=400, index_interval_bytes=100)


def opened(path: Path, broker_id: int = 1, cluster_id: str = "c1", disk: FailingDisk | None = None) -> LogDirectory:
    directory = LogDirectory(str(path), disk) if disk else LogDirectory(str(path))
    return directory.open(broker_id, cluster_id, lambda topic: CONFIG, NOW)


def filled(path: Path, disk: FailingDisk | None = None) -> LogDirectory:
    """A directory with three logs of 10 records."""
    directory = opened(path, disk=disk)
    for topic, partition in (("a", 0), ("a", 1), ("b-c.d_e-7", 12)):
        log = directory.create(topic, partition, b"i" * 16, CONFIG, NOW)
        for n in range(10):
            log.append(a_batch(1, NOW + n), 0, NOW)
    return directory


def test_logs_are_there_again_after_a_clean_stop(tmp_path: Path) -> None:
    directory = filled(tmp_path / "d")
    directory.logs["a", 1].advance_log_start(5)
    directory.high_watermarks |= {("a", 0): 7, ("a", 1): 9}
    directory.checkpoint_high_watermarks()
    directory.close()
    assert (tmp_path / "d" / ".kafka_cleanshutdown").exists()
    assert (
        "0\n3\na 0 10\na 1 10\nb-c.d_e-7 12 10\n" == (tmp_path / "d" / "recovery-point-offset-checkpoint").read_text()
    )
    assert "0\n1\na 1 5\n" == (tmp_path / "d" / "log-start-offset-checkpoint").read_text()
    assert "0\n2\na 0 7\na 1 9\n" == (tmp_path / "d" / "replication-offset-checkpoint").read_text()
    again = opened(tmp_path / "d")
    assert again.clean
    assert {("a", 0), ("a", 1), ("b-c.d_e-7", 12)} == set(again.logs)
    assert {("a", 0): 7, ("a", 1): 9} == again.high_watermarks
    assert 5 == again.logs["a", 1].log_start_offset
    assert all(10 == log.log_end_offset and not log.recovered for log in again.logs.values())
    assert b"i" * 16 == again.logs["a", 0].topic_id
    again.abandon()


def test_the_clean_marker_is_gone_before_anything_is_loaded_and_comes_last(tmp_path: Path) -> None:
    """E1"""
    filled(tmp_path / "d").close()
    marker = tmp_path / "d" / ".kafka_cleanshutdown"
    assert '{"version":0,"brokerEpoch":-1}' == marker.read_text()
    seen = []

    def config_for(topic: str) -> LogConfig:
        seen.append(marker.exists())
        return CONFIG

    directory = LogDirectory(str(tmp_path / "d")).open(1, "c1", config_for, NOW)
    assert [False] * 3 == seen
    directory.abandon()
    again = opened(tmp_path / "d")
    assert not again.clean
    assert all(log.recovered for log in again.logs.values())
    again.abandon()


@pytest.mark.parametrize("operation", ["fsync", "fdatasync", "pwritev", "rename"])
def test_a_stop_that_fails_is_not_clean(tmp_path: Path, operation: str) -> None:
    disk = FailingDisk()
    directory = filled(tmp_path / "d", disk)
    disk.fail(operation, errno.EIO)
    with pytest.raises(DirectoryOffline):
        directory.close()
    assert not (tmp_path / "d" / ".kafka_cleanshutdown").exists()
    again = opened(tmp_path / "d")
    assert 10 == len(contents(again.logs["a", 0]))
    again.abandon()


def test_a_stop_may_be_made_to_count_as_unclean(tmp_path: Path) -> None:
    directory = filled(tmp_path / "d")
    directory.close(clean=False)
    again = opened(tmp_path / "d")
    assert not again.clean
    assert 10 == len(contents(again.logs["a", 0]))
    again.abandon()


def test_meta_properties_are_kafkas(tmp_path: Path) -> None:
    opened(tmp_path / "d", 3, "abc").abandon()
    lines = (tmp_path / "d" / "meta.properties").read_text().splitlines()
    assert lines[0].startswith("#")
    assert {"version=0", "broker.id=3", "cluster.id=abc"} == {line for line in lines if line[0] != "#"}


@pytest.mark.parametrize(
    "content, text",
    [
        ("version=0\nbroker.id=1\ncluster.id=other\n", "Invalid cluster.id in: .*Expected c1, but read other"),
        ("version=0\nbroker.id=2\ncluster.id=c1\n", "Stored node id 2 doesn't match previous node id 1 in "),
        ("version=1\nnode.id=1\ncluster.id=c1\n", "Found unexpected version in .*only support version 0"),
    ],
)
def test_a_foreign_directory_is_refused_in_one_line(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "d"
    filled(path).close()
    (path / "meta.properties").write_text(content)
    with pytest.raises(StorageError, match=text) as raised:
        opened(path)
    assert "\n" not in str(raised.value)
    assert (path / ".kafka_cleanshutdown").exists(), "nothing was touched"
    (path / "meta.properties").write_text("#\n#date\nbroker.id=1\nversion=0\ncluster.id=c1\ndirectory.id=xyz\n")
    again = opened(path)
    assert again.clean
    again.abandon()
    assert "directory.id=xyz" in (path / "meta.properties").read_text()


def test_an_incomplete_meta_properties_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.mkdir()
    for content in (b"", b"\0\xff", b"directory.id=x\n"):
        (path / "meta.properties").write_bytes(content)
        opened(path).abandon()
        assert "cluster.id=c1" in (path / "meta.properties").read_text()


def test_a_path_that_cannot_be_a_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Failed to create data directory"):
        opened(tmp_path / "file" / "d")


@pytest.mark.parametrize("content", [None, b"", b"0\n", b"0\n2\na 0 5\n", b"1\n0\n", b"\0\xff\0", b"0\n1\na 0 -5\n"])
def test_garbled_checkpoints_are_absent(tmp_path: Path, content: bytes | None) -> None:
    """E13"""
    directory = filled(tmp_path / "d")
    directory.high_watermarks |= {("a", 0): 5}
    directory.checkpoint_high_watermarks()
    directory.close()
    for name in ("recovery-point-offset", "replication-offset", "log-start-offset"):
        file = tmp_path / "d" / f"{name}-checkpoint"
        file.unlink()
        if content is not None:
            file.write_bytes(content)
    again = opened(tmp_path / "d")
    assert {} == again.high_watermarks
    assert all(10 == log.log_end_offset for log in again.logs.values())
    again.abandon()


def test_the_high_watermark_stays_within_the_log(tmp_path: Path) -> None:
    directory = filled(tmp_path / "d")
    directory.high_watermarks |= {("a", 0): 99, ("gone", 3): 5}
    directory.checkpoint_high_watermarks()
    directory.abandon()
    again = opened(tmp_path / "d")
    assert {("a", 0): 10} == again.high_watermarks
    again.abandon()


@pytest.mark.parametrize("kept", ["none", "deleted before", "a day ago"])
def test_a_log_is_not_taken_for_an_earlier_one_of_its_name_after_a_crash(tmp_path: Path, kept: str) -> None:
    """Checkpoints name a partition, whatever topic it is of: the earlier one was flushed further, and began later."""
    directory = filled(tmp_path / "d")
    log = directory.logs["a", 0]
    log.flush()
    log.advance_log_start(7)
    directory.high_watermarks["a", 0] = 9
    if kept != "none":
        directory.checkpoint_recovery_points()
        directory.checkpoint_log_starts()
        directory.checkpoint_high_watermarks()
    directory.delete(log, NOW)
    if kept == "a day ago":
        directory.abandon()
        directory = opened(tmp_path / "d")
    log = directory.create("a", 0, b"j" * 16, CONFIG, NOW)
    for n in range(3):
        log.append(a_batch(1, NOW + n), 0, NOW)
    directory.abandon()
    again = opened(tmp_path / "d")
    log = again.logs["a", 0]
    assert (0, 3, []) == (log.log_start_offset, log.log_end_offset, log.corruption.ranges)
    assert [0, 1, 2] == [offset for offset, _ in contents(log)]
    assert ("a", 0) not in again.high_watermarks
    assert 10 == again.logs["a", 1].log_end_offset
    again.abandon()


def test_a_stray_log_goes_at_once_and_its_files_stay(tmp_path: Path) -> None:
    directory = filled(tmp_path / "d")
    files = {file.name: file.read_bytes() for file in (tmp_path / "d" / "a-0").iterdir()}
    directory.set_aside(directory.logs["a", 0])
    assert ("a", 0) not in directory.logs
    directory.create("a", 0, b"j" * 16, CONFIG, NOW)
    assert 0 == directory.purge(NOW + 1_000_000_000)
    directory.abandon()
    again = opened(tmp_path / "d")
    assert (0, b"j" * 16) == (again.logs["a", 0].log_end_offset, again.logs["a", 0].topic_id)
    (kept,) = (tmp_path / "d").glob("a-0.*-stray")
    assert files == {file.name: file.read_bytes() for file in kept.iterdir()}
    again.abandon()


def test_what_somebody_put_there_is_not_overwritten(tmp_path: Path) -> None:
    directory = filled(tmp_path / "d")
    (tmp_path / "d" / "c-0").mkdir()
    (tmp_path / "d" / "c-0" / "backup").write_text("mine")
    with pytest.raises(KafkaError, match="c-0 was not there when the broker started") as raised:
        directory.create("c", 0, b"j" * 16, CONFIG, NOW)
    assert Error.KAFKA_STORAGE_ERROR == raised.value.error and directory.offline is None
    assert "mine" == (tmp_path / "d" / "c-0" / "backup").read_text()
    directory.abandon()


def test_a_log_that_cannot_be_renamed_stays(tmp_path: Path) -> None:
    disk = FailingDisk()
    directory = filled(tmp_path / "d", disk)
    for away in (directory.delete, directory.set_aside):
        disk.fail("rename", errno.ENOSPC)
        assert Error.KAFKA_STORAGE_ERROR == error_of(away, directory.logs["a", 0])
        disk.heal()
    assert 10 == len(contents(directory.logs["a", 0])) and directory.offline is None
    directory.abandon()


def test_a_cut_is_checkpointed_before_anything_is_appended(tmp_path: Path) -> None:
    directory = filled(tmp_path / "d")
    log = directory.logs["a", 0]
    log.flush()
    directory.checkpoint_recovery_points()
    log.truncate(4)
    for _ in range(6):
        log.append(a_batch(1), 0, NOW)
    log._active.files.ftruncate(log._active.fd, log._active.size - 1)
    directory.abandon()
    again = opened(tmp_path / "d")
    assert 9 == again.logs["a", 0].log_end_offset
    assert [] == again.logs["a", 0].corruption.ranges
    again.abandon()


@pytest.mark.parametrize("removed", [False, True])
def test_a_cut_below_the_start_is_checkpointed_before_anything_is_appended(tmp_path: Path, removed: bool) -> None:
    """An elected leader may end below where its follower begins. What the follower copies from it after the cut is
    not taken for what is left of a log that began behind it."""
    directory = filled(tmp_path / "d")
    log = directory.logs["a", 0]
    log.flush()
    log.advance_log_start(9)
    if removed:
        log.retain(NOW, 10)
    assert removed == (log.first_base_offset > 4)
    directory.checkpoint_log_starts()
    log.truncate(4)
    for _ in range(3):
        log.append(a_batch(1), 1, NOW)
    directory.abandon()
    again = opened(tmp_path / "d")
    log = again.logs["a", 0]
    assert (4, 7) == (log.log_start_offset, log.log_end_offset)
    assert [4, 5, 6] == [offset for offset, _ in contents(log)][-3:]
    again.abandon()


def test_a_deleted_log_goes_at_once_and_its_files_later(tmp_path: Path) -> None:
    directory = filled(tmp_path / "d")
    doomed = directory.logs["a", 0]
    given = doomed.read(0, 100, 10)
    assert given is not None
    given.retain()
    directory.delete(doomed, NOW)
    assert ("a", 0) not in directory.logs
    assert not (tmp_path / "d" / "a-0").exists()
    (left,) = (tmp_path / "d").glob("a-0.*-delete")
    assert 42 + len("a-0.") - 3 == len(left.name)
    assert given.size == len(given.read())
    given.release()
    assert 0 == directory.create("a", 0, b"j" * 16, CONFIG).log_end_offset, "a new topic of that name"
    assert 0 == directory.purge(NOW + 59_999)
    assert 1 == directory.purge(NOW + 60_000)
    assert not left.exists()
    directory.abandon()


def test_deleted_logs_go_at_the_next_start(tmp_path: Path) -> None:
    directory = filled(tmp_path / "d")
    directory.delete(directory.logs["a", 0], NOW)
    directory.close()
    again = opened(tmp_path / "d")
    assert ("a", 0) not in again.logs
    assert 1 == again.purge(NOW)
    again.abandon()


def test_a_long_name_is_cut_when_it_is_deleted(tmp_path: Path) -> None:
    directory = opened(tmp_path / "d")
    log = directory.create("x" * 249, 0, None, CONFIG)
    directory.delete(log, NOW)
    (left,) = (tmp_path / "d").glob("*-delete")
    assert 255 == len(left.name)
    directory.abandon()


def test_what_is_no_log_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "d"
    for name in ("lost+found", f"t-0.{'0a' * 16}-future", f"t-1.{'0a' * 16}-stray"):
        (path / name).mkdir(parents=True)
    directory = opened(path)
    assert {} == directory.logs
    assert 3 == caplog.text.count("leaving it alone")
    directory.abandon()


def test_one_log_that_cannot_be_closed_does_not_keep_the_others_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = filled(tmp_path / "d")
    whole = Log.close

    def close(log: Log) -> None:
        if (log.topic, log.partition) == ("a", 0):
            raise KafkaError(Error.KAFKA_STORAGE_ERROR, "full")
        whole(log)

    monkeypatch.setattr(Log, "close", close)
    with pytest.raises(KafkaError, match="full"):
        directory.close()
    monkeypatch.undo()
    assert not (tmp_path / "d" / ".kafka_cleanshutdown").exists()
    assert 10 == directory.logs["a", 1].recovery_point
    again = opened(tmp_path / "d")
    assert all(10 == len(contents(log)) for log in again.logs.values())
    again.abandon()


def test_a_full_disk_makes_no_half_log(tmp_path: Path) -> None:
    disk = FailingDisk()
    directory = filled(tmp_path / "d", disk)
    disk.fail("create", errno.ENOSPC)
    with pytest.raises(KafkaError) as raised:
        directory.create("n", 0, None, CONFIG)
    assert Error.KAFKA_STORAGE_ERROR == raised.value.error
    assert not (tmp_path / "d" / "n-0").exists()
    assert None is directory.offline
    disk.heal()
    directory.create("n", 0, None, CONFIG)
    directory.abandon()


def test_a_failing_disk_takes_every_log_in_the_directory_offline(tmp_path: Path) -> None:
    disk = FailingDisk()
    directory = filled(tmp_path / "d", disk)
    told: list[DirectoryOffline] = []
    directory.on_offline = told.append
    disk.fail("pwritev")
    with pytest.raises(DirectoryOffline):
        directory.logs["a", 0].append(a_batch(1), 0, NOW)
    disk.heal()
    assert [directory.offline] == told
    for log in directory.logs.values():
        with pytest.raises(KafkaError) as raised:
            log.append(a_batch(1), 0, NOW)
        assert Error.KAFKA_STORAGE_ERROR == raised.value.error
    with pytest.raises(DirectoryOffline):
        directory.create("n", 0, None, CONFIG)
    disk.calls.clear()
    directory.checkpoint_high_watermarks()
    directory.close()
    assert [] == disk.calls
    assert not (tmp_path / "d" / ".kafka_cleanshutdown").exists()


def test_a_directory_that_has_vanished_is_noticed(tmp_path: Path) -> None:
    """Its open files go on working, which means nothing."""
    directory = filled(tmp_path / "d")
    told: list[DirectoryOffline] = []
    directory.on_offline = told.append
    (tmp_path / "d").rename(tmp_path / "elsewhere")
    with pytest.raises(DirectoryOffline):
        directory.watch_space()
    assert [directory.offline] == told
    assert not directory.watch_space()
    directory.close()


def test_a_disk_that_fails_at_the_start_is_told_apart_from_a_directory_that_is_not_ours(tmp_path: Path) -> None:
    filled(tmp_path / "d").close()
    for operation in ("open", "pread"):
        disk = FailingDisk()
        disk.fail(operation)
        with pytest.raises(DirectoryLost, match="Failed to open data directory .*Input/output error"):
            opened(tmp_path / "d", disk=disk)
    with pytest.raises(DirectoryLost, match="Failed to create data directory"):
        opened(tmp_path / "d" / "meta.properties" / "e")
    with pytest.raises(StorageError, match="cluster.id") as raised:
        opened(tmp_path / "d", cluster_id="other")
    assert DirectoryLost is not type(raised.value)


def test_appends_are_refused_below_the_reserve(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    directory = filled(tmp_path / "d")
    log = directory.logs["a", 0]
    assert directory.watch_space(1)
    assert not directory.watch_space(1 << 60)
    assert not directory.watch_space(1 << 60)
    with pytest.raises(KafkaError, match="nearly full") as raised:
        log.append(a_batch(1), 0, NOW)
    assert Error.KAFKA_STORAGE_ERROR == raised.value.error
    assert 10 == len(contents(log))
    log.advance_log_start(10)
    assert log.retain(NOW, 10) > 0
    directory.high_watermarks |= {("a", 0): 10}
    directory.checkpoint_high_watermarks()
    assert directory.watch_space(1)
    assert 10 == log.append(a_batch(1), 0, NOW).base_offset
    assert ["refused", "taken"] == [line.rsplit(" ", 1)[1] for line in caplog.messages if "appends are" in line]
    directory.abandon()


def test_a_load_that_fails_lets_go_of_the_lock(tmp_path: Path) -> None:
    filled(tmp_path / "d").close()

    def config_for(topic: str) -> LogConfig:
        raise RuntimeError("no configuration")

    with pytest.raises(RuntimeError):
        LogDirectory(str(tmp_path / "d")).open(1, "c1", config_for, NOW)
    opened(tmp_path / "d").abandon()


def test_the_recovery_of_many_logs_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    filled(tmp_path / "d").abandon()
    with caplog.at_level("INFO"):
        directory = opened(tmp_path / "d")
    assert [f"Recovered 3 of 3 logs in {tmp_path / 'd'}: the last stop was not clean"] == caplog.messages
    directory.close()
    caplog.clear()
    with caplog.at_level("INFO"):
        opened(tmp_path / "d").abandon()
    assert [] == caplog.messages


@pytest.mark.parametrize("clean", [True, False])
def test_an_interrupted_opening_leaves_the_directory_as_the_last_stop_did(tmp_path: Path, clean: bool) -> None:
    filled(tmp_path / "d").close(clean=clean)
    checkpoints = {path.name: path.read_bytes() for path in (tmp_path / "d").glob("*-checkpoint")}
    assert 3 == len(checkpoints)
    directory = LogDirectory(str(tmp_path / "d"))
    directory.lock()

    def config_for(topic: str) -> LogConfig:
        directory.interrupted = True
        return LogConfig()

    with pytest.raises(Interrupted):
        directory.open(1, "c1", config_for, NOW)
    assert checkpoints == {path.name: path.read_bytes() for path in (tmp_path / "d").glob("*-checkpoint")}
    again = opened(tmp_path / "d")
    assert clean == again.clean
    assert 10 == len(contents(again.logs["a", 0]))
    again.abandon()


def test_a_directory_that_is_only_locked_is_let_go_as_it_was(tmp_path: Path) -> None:
    filled(tmp_path / "d").close()
    before = sorted(path.name for path in (tmp_path / "d").iterdir())
    directory = LogDirectory(str(tmp_path / "d"))
    directory.lock()
    directory.close()
    assert before == sorted(path.name for path in (tmp_path / "d").iterdir())


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    filled(tmp_path / "d").close()
    opened(tmp_path / "d").close()
    assert before == len(os.listdir("/proc/self/fd"))
