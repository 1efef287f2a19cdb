"""Damage in files is found, wrong bytes are never given to readers, and another replica's bytes mend it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from kafkalike.storage import verification
from kafkalike.storage.config import LogConfig
from kafkalike.storage.files import DirectoryOffline
from kafkalike.storage.log import Log
from kafkalike.storage.verification import Stopped
from tests.storage.corrupted import check, copied, flipped, mend, opened
from tests.storage.disk import NOW, SMALL, FailingDisk, a_batch, contents, new_log


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
            assert log.corruption.known
        # Nothing but what is damaged is kept from readers.
        assert [item for item in everything if not first <= item[0] <= last] == [
            item for item in given(log) if not first <= item[0] <= last
        ], position
        assert [(first, last)] == log.corruption.ranges, position
        assert 1 == mend(log, source)
        assert data == (path / file.name).read_bytes(), position
        assert [] == log.corruption.ranges and everything == contents(log)
        check(log)
        assert not log.corruption.known
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
        assert [] == log.corruption.ranges
        log.close()
        assert data == (path / file.name).read_bytes(), position


def test_gaps_of_compaction_are_no_damage(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for base in (0, 3, 4, 9, 20, 21):
        log.append_as_follower(a_batch(1, base_offset=base), NOW)
    log.close()
    log = opened(Path(log.path), 22, config=LogConfig(segment_bytes=400, cleanup_policy=("compact",)))
    check(log)
    assert [] == log.corruption.ranges
    assert [0, 3, 4, 9, 20, 21] == [offset for offset, _ in contents(log)]
    log.abandon()


def test_who_knows_the_wrong_epochs_believes_the_records(whole: Log) -> None:
    """The file of leader epochs has no checksum; two batches that agree have more to say."""
    file = Path(whole.path, "leader-epoch-checkpoint")
    file.write_text(file.read_text().replace("\n1 ", "\n2 ").replace("\n2 14\n", "\n3 14\n"))
    log = opened(Path(whole.path), whole.log_end_offset)
    check(log)
    assert len(log.corruption.ranges) <= 1
    log.abandon()


def test_a_disk_that_fails_under_a_check_has_failed(whole: Log) -> None:
    disk = FailingDisk()
    log = opened(Path(whole.path), whole.log_end_offset, disk=disk)
    pending = log.corruption.begin_verification(NOW)
    assert pending is not None
    disk.fail("pread")
    with pytest.raises(OSError) as raised:
        pending.run()
    assert errno.EIO == raised.value.errno
    with pytest.raises(DirectoryOffline):
        pending.finish(raised.value)
    assert log.corruption.begin_verification(NOW) is None
    log.abandon()


def test_a_check_takes_its_time_and_stops_when_told(whole: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "CHUNK", 1)
    log = opened(Path(whole.path), whole.log_end_offset)
    naps: list[float] = []
    monkeypatch.setattr(verification.time, "sleep", naps.append)
    pending = log.corruption.begin_verification(NOW)
    assert pending is not None
    pending.run()
    assert len(naps) >= 3
    pending.stop()
    with pytest.raises(Stopped):
        pending.run()
    pending.finish(Stopped())
    log.abandon()
