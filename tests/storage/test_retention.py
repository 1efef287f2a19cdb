"""Deleting from the beginning of a log."""

from __future__ import annotations

from pathlib import Path

from kafkalike.errors import Error
from kafkalike.protocol import batch
from kafkalike.storage.config import LogConfig
from kafkalike.storage.files import Files
from kafkalike.storage.log import Log
from tests.storage.disk import NOW, SMALL, a_batch, contents, error_of, names, new_log


def test_deleted_records_are_out_of_range_and_their_segments_go(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for n in range(20):
        log.append(a_batch(1), n // 5, NOW)
    bases = names(log, ".log")
    log.advance_log_start(bases[2] + 1)
    assert Error.OFFSET_OUT_OF_RANGE == error_of(log.read, bases[2], 100, 20)
    assert log.retain(NOW, 20) > 0
    assert bases[2:] == names(log, ".log")
    assert bases[2] + 1 == log.log_start_offset
    assert Error.OFFSET_OUT_OF_RANGE == error_of(log.advance_log_start, 21)
    log.advance_log_start(3)
    assert bases[2] + 1 == log.log_start_offset


def test_nothing_goes_by_default(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for _ in range(20):
        log.append(a_batch(1, 1000), 0, NOW)
    assert 0 == log.retain(NOW + 10**12, 20)
    assert 20 == len(contents(log))


def test_old_segments_go_up_to_the_high_watermark(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(segment_bytes=400, retention_ms=1000))
    for n in range(20):
        log.append(a_batch(1, NOW + n), 0, NOW)
    bases = names(log, ".log")
    assert log.retain(NOW + 1000, 20) == 0
    assert log.retain(NOW + 1000 + bases[1], 20) > 0
    assert bases[1:] == names(log, ".log")
    assert bases[1] == log.log_start_offset
    assert log.retain(NOW + 5000, bases[2]) > 0
    assert bases[2:] == names(log, ".log"), "not past the high watermark (A16)"
    assert log.retain(NOW + 5000, 20) > 0
    assert ([20], 20, 0) == (names(log, ".log"), log.log_start_offset, log.size_bytes)
    assert 20 == log.append(a_batch(1, NOW), 0, NOW).base_offset
    assert [(0, 20)] == log.epochs.entries


def test_a_log_that_becomes_empty_syncs_its_epochs_before_its_last_records_go(tmp_path: Path) -> None:
    """Simulation, seed 1795904578657: no record tells of the epochs then, and a loss of power brought their file of
    before back; in a comparison of logs the log counted as one of no epoch."""
    done: list[str] = []

    class Recording(Files):
        def write_atomically(self, path: str, data: bytes, sync: bool = True) -> None:
            done.append(f"{'sync' if sync else 'write'} {data.decode().splitlines()[-1]}")
            super().write_atomically(path, data, sync)

    log = new_log(tmp_path, LogConfig(segment_bytes=400, retention_ms=1000), Recording())
    for n in range(20):
        log.append(a_batch(1, NOW), 3 + n // 10, NOW)
    before = len(done)
    log.retain(NOW + 5000, 10)
    assert "sync" not in " ".join(done[before:]), "records that stay tell of their epochs"
    before = len(done)
    log.retain(NOW + 5000, 20)
    assert ["sync 4 10", "write 4 20"] == done[before:]
    log.abandon()
    # What a loss of power leaves when only the first of the two has reached the disk.
    file = tmp_path / "t-0" / "leader-epoch-checkpoint"
    for content in (b"0\n1\n4 20\n", b"0\n2\n3 0\n4 10\n"):
        file.write_bytes(content)
        again = Log.open(str(tmp_path / "t-0"), "t", 0, SMALL, recovery_point=0, now_ms=NOW)
        assert ([(4, 20)], 20, 20) == (again.epochs.entries, again.log_start_offset, again.log_end_offset)
        again.abandon()


def test_size_is_kept_above_what_is_wanted(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(segment_bytes=400, retention_bytes=900))
    for _ in range(30):
        log.append(a_batch(1), 0, NOW)
    size = log.size_bytes
    freed = log.retain(NOW, 30)
    assert size - freed == log.size_bytes
    assert 900 <= log.size_bytes < 900 + 400


def test_a_compacted_topic_is_not_cut_by_time(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(segment_bytes=400, retention_ms=1, cleanup_policy=("compact",)))
    for _ in range(10):
        log.append(a_batch(1, 1000), 0, NOW)
    assert 0 == log.retain(NOW, 10)


def test_a_reader_keeps_a_segment_that_retention_removes(tmp_path: Path) -> None:
    log = new_log(tmp_path, LogConfig(segment_bytes=400, retention_bytes=0))
    for _ in range(10):
        log.append(a_batch(1), 0, NOW)
    given = log.read(0, 10_000, 10)
    assert given is not None
    given.retain()
    log.retain(NOW, 10)
    assert 0 == batch.read_header(given.read()).base_offset
    given.release()
