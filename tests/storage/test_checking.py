"""Damage in files is found, wrong bytes are never given to readers, and another replica's bytes mend it."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.storage import checking
from kafkalike.storage.checking import Stopped
from kafkalike.storage.config import LogConfig
from kafkalike.storage.files import DirectoryOffline
from kafkalike.storage.log import CHECK_AGAIN_MS, Log
from tests.storage.disk import NOW, SMALL, FailingDisk, a_batch, contents, error_of, new_log


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Log]:
    """Three segments of batches in three leader epochs, closed."""
    (tmp_path / "whole").mkdir()
    log = new_log(tmp_path / "whole", SMALL)
    for n in range(12):
        log.append(a_batch(1 + n % 3, NOW + n), n // 4, NOW)
    assert 3 <= len(list(Path(log.path).glob("*.log")))
    log.close()
    yield log


def copied(log: Log, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(log.path, to / "t-0"))


def opened(path: Path, end: int, clean: bool = True, config: LogConfig = SMALL, disk: FailingDisk | None = None) -> Log:
    more = {} if disk is None else {"files": disk}
    return Log.open(str(path), "t", 0, config, recovery_point=end, clean=clean, now_ms=NOW, **more)


def check(log: Log) -> int:
    """Everything is looked at; how many segments."""
    count = 0
    while (pending := log.begin_check(NOW)) is not None:
        pending.run()
        pending.finish()
        count += 1
    return count


def given(log: Log) -> list[tuple[int, bytes | None]]:
    """What readers get at each offset; nothing where they are told that it is damaged."""
    found = []
    for offset in range(log.log_end_offset):
        try:
            records = log.read(offset, 1, log.log_end_offset)
        except KafkaError as problem:
            assert Error.CORRUPT_MESSAGE == problem.error
            continue
        assert records is not None
        ((_, data),) = batch.split(records.read())
        assert batch.crc_ok(data)
        found += [(record.offset, record.value) for record in batch.records(data) if record.offset == offset]
    return found


def flipped(file: Path, position: int, bit: int) -> bytes:
    """The damaged contents, which are in the file now."""
    data = bytearray(file.read_bytes())
    data[position] ^= 1 << bit
    file.write_bytes(data)
    return bytes(data)


def mend(log: Log, source: Log) -> int:
    """Every hole, from the other replica; how many."""
    count = 0
    while (found := log.first_hole()) is not None:
        base_offset, hole = found
        records = source.read(hole.first, 1 << 20, hole.last + 1)
        assert records is not None
        log.mend(base_offset, hole, memoryview(records.read()))
        count += 1
    return count


def place_of(data: bytes, position: int) -> tuple[int, int]:
    """The offsets of the batch that has this byte."""
    at = 0
    for header, records in batch.split(data):
        at += len(records)
        if position < at:
            return header.base_offset, header.last_offset
    raise AssertionError(position)


@pytest.mark.parametrize("segment", range(3))
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "recovered"])
def test_any_bit_of_flushed_records_is_found_kept_from_readers_and_mended(
    whole: Log, tmp_path: Path, segment: int, clean: bool
) -> None:
    """Also of those bytes that no checksum covers: every byte of one segment, and some of the others."""
    source = opened(Path(whole.path), whole.log_end_offset)
    everything = contents(source)
    file = sorted(Path(whole.path).glob("*.log"))[segment]
    data = file.read_bytes()
    for position in range(0, len(data), 1 if clean and segment == 1 else 19):
        path = copied(whole, tmp_path / "damaged")
        flipped(path / file.name, position, position % 8)
        log = opened(path, whole.log_end_offset, clean)
        first, last = place_of(data, position)
        # Before anything was looked at, and after.
        for _ in range(2):
            assert set(given(log)) <= set(everything), position
            assert whole.log_end_offset == log.log_end_offset, position
            check(log)
            assert log.holed
        # Nothing but what is damaged is kept from readers.
        assert [item for item in everything if not first <= item[0] <= last] == [
            item for item in given(log) if not first <= item[0] <= last
        ], position
        assert [(first, last)] == log.damage, position
        assert 1 == mend(log, source)
        assert data == (path / file.name).read_bytes(), position
        assert [] == log.damage and everything == contents(log)
        check(log)
        assert not log.holed
        log.abandon()
    source.abandon()


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_E16_any_byte_of_an_index_is_found_and_made_anew(whole: Log, tmp_path: Path, suffix: str) -> None:
    everything = contents(opened(Path(whole.path), whole.log_end_offset))
    file = max(Path(whole.path).glob(f"*{suffix}"), key=lambda each: each.stat().st_size)
    data = file.read_bytes()
    assert data
    for position in range(len(data)):
        path = copied(whole, tmp_path / "damaged")
        flipped(path / file.name, position, position % 8)
        log = opened(path, whole.log_end_offset)
        assert everything == contents(log), position
        check(log)
        assert [] == log.damage
        log.close()
        assert data == (path / file.name).read_bytes(), position


def test_what_is_whole_stays_as_it_is_and_is_looked_at_again_after_a_week(whole: Log) -> None:
    before = {file.name: file.read_bytes() for file in Path(whole.path).iterdir()}
    log = opened(Path(whole.path), whole.log_end_offset)
    count = len(list(Path(whole.path).glob("*.log")))
    assert count == check(log)
    assert 0 == check(log)
    log.close()
    assert before == {file.name: file.read_bytes() for file in Path(whole.path).iterdir()}
    log = opened(Path(whole.path), whole.log_end_offset)
    check(log)
    again = log.begin_check(NOW + CHECK_AGAIN_MS + 1)
    assert again is not None
    # One that was stopped, or whose log was cut meanwhile, says nothing.
    again.finish(Stopped())
    assert 1 == check(log)
    again = log.begin_check(NOW + CHECK_AGAIN_MS + 1)
    assert again is not None
    log.truncate(1)
    again.run()
    again.finish()
    assert [] == log.damage
    log.abandon()


def test_gaps_of_compaction_are_no_damage(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for base in (0, 3, 4, 9, 20, 21):
        log.append_as_follower(a_batch(1, base_offset=base), NOW)
    log.close()
    log = opened(Path(log.path), 22, config=LogConfig(segment_bytes=400, cleanup_policy=("compact",)))
    check(log)
    assert [] == log.damage
    assert [0, 3, 4, 9, 20, 21] == [offset for offset, _ in contents(log)]
    log.abandon()


def test_who_knows_the_wrong_epochs_believes_the_records(whole: Log) -> None:
    """The file of leader epochs has no checksum; two batches that agree have more to say."""
    file = Path(whole.path, "leader-epoch-checkpoint")
    file.write_text(file.read_text().replace("\n1 ", "\n2 ").replace("\n2 14\n", "\n3 14\n"))
    log = opened(Path(whole.path), whole.log_end_offset)
    check(log)
    assert len(log.damage) <= 1
    log.abandon()


def test_what_another_replica_gives_must_be_exactly_what_is_missing(whole: Log, tmp_path: Path) -> None:
    path = copied(whole, tmp_path / "damaged")
    file = min(path.glob("*.log"))
    damaged = flipped(file, 200, 3)
    log = opened(path, whole.log_end_offset)
    check(log)
    found = log.first_hole()
    assert found is not None
    base_offset, hole = found
    count = hole.last - hole.first + 1
    for records in (
        a_batch(count, base_offset=hole.first + 1),
        a_batch(count, base_offset=hole.first, size=9),
        a_batch(count + 1, base_offset=hole.first),
        memoryview(bytes(hole.size)),
        a_batch(count, base_offset=hole.first)[:-1],
    ):
        assert Error.CORRUPT_MESSAGE == error_of(log.mend, base_offset, hole, records)
    assert damaged == file.read_bytes() and log.holed
    source = opened(Path(whole.path), whole.log_end_offset)
    mend(log, source)
    (aside,) = path.glob("*.damaged")
    assert damaged[hole.position : hole.position + hole.size] == aside.read_bytes()
    log.mend(base_offset, hole, memoryview(b"once is enough"))
    log.abandon()
    source.abandon()


def test_a_reader_that_complains_has_the_segment_looked_at(whole: Log) -> None:
    log = opened(Path(whole.path), whole.log_end_offset)
    told: list[Log] = []
    log.on_damage = told.append
    check(log)
    flipped(min(Path(whole.path).glob("*.log")), 65, 0)
    log.doubt(0, NOW + 1000)
    assert [] == told
    log.doubt(0, NOW + 100_000)
    assert [log] == told
    assert Error.CORRUPT_MESSAGE == error_of(log.read, 0, 1, log.log_end_offset)
    assert 1 == check(log) and log.holed
    log.abandon()


def test_a_gap_that_the_others_have_too_is_none_of_the_disks_making(whole: Log, tmp_path: Path) -> None:
    first, second, *_ = sorted(Path(whole.path).glob("*.log"))
    data = first.read_bytes()
    header, records = batch.split(data)[-1]
    first.write_bytes(data[: -len(records)])
    log = opened(Path(whole.path), whole.log_end_offset)
    assert Error.CORRUPT_MESSAGE == error_of(log.read, header.base_offset, 1, log.log_end_offset)
    check(log)
    assert [(header.base_offset, header.last_offset)] == log.damage
    assert Error.CORRUPT_MESSAGE == error_of(log.read, header.base_offset, 1, log.log_end_offset)
    found = log.first_hole()
    assert found is not None
    log.accept(*found)
    assert not log.holed
    records = log.read(header.base_offset, 1, log.log_end_offset)
    assert records is not None and int(second.stem) == batch.read_header(records.read()).base_offset
    log.abandon()


def test_a_disk_that_fails_under_a_check_has_failed(whole: Log) -> None:
    disk = FailingDisk()
    log = opened(Path(whole.path), whole.log_end_offset, disk=disk)
    pending = log.begin_check(NOW)
    assert pending is not None
    disk.fail("pread")
    with pytest.raises(OSError) as raised:
        pending.run()
    assert errno.EIO == raised.value.errno
    with pytest.raises(DirectoryOffline):
        pending.finish(raised.value)
    assert log.begin_check(NOW) is None
    log.abandon()


def test_a_check_takes_its_time_and_stops_when_told(whole: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "CHUNK", 1)
    log = opened(Path(whole.path), whole.log_end_offset)
    naps: list[float] = []
    monkeypatch.setattr(checking.time, "sleep", naps.append)
    pending = log.begin_check(NOW)
    assert pending is not None
    pending.run()
    assert len(naps) >= 3
    pending.stop()
    with pytest.raises(Stopped):
        pending.run()
    pending.finish(Stopped())
    log.abandon()
