"""What is damaged is looked for when it should be, mended by exactly what was there, and not looked for in vain."""

from __future__ import annotations

from pathlib import Path

from kafkalike.errors import Error
from kafkalike.protocol import batch
from kafkalike.storage.corruption import CHECK_AGAIN_MS
from kafkalike.storage.log import Log
from kafkalike.storage.verification import Stopped
from tests.storage.corrupted import check, copied, flipped, mend, opened
from tests.storage.disk import NOW, a_batch, error_of


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
    again = log.corruption.begin_verification(NOW + CHECK_AGAIN_MS + 1)
    assert again is not None
    # One that was stopped, or whose log was cut meanwhile, says nothing.
    again.finish(Stopped())
    assert 1 == check(log)
    again = log.corruption.begin_verification(NOW + CHECK_AGAIN_MS + 1)
    assert again is not None
    log.truncate(1)
    again.run()
    again.finish()
    assert [] == log.corruption.ranges
    log.abandon()


def test_what_another_replica_gives_must_be_exactly_what_is_missing(whole: Log, tmp_path: Path) -> None:
    path = copied(whole, tmp_path / "damaged")
    file = min(path.glob("*.log"))
    damaged = flipped(file, 200, 3)
    log = opened(path, whole.log_end_offset)
    check(log)
    found = log.corruption.first()
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
        assert Error.CORRUPT_MESSAGE == error_of(log.corruption.repair, base_offset, hole, records)
    assert damaged == file.read_bytes() and log.corruption.known
    source = opened(Path(whole.path), whole.log_end_offset)
    mend(log, source)
    (aside,) = path.glob("*.damaged")
    assert damaged[hole.position : hole.position + hole.size] == aside.read_bytes()
    log.corruption.repair(base_offset, hole, memoryview(b"once is enough"))
    log.abandon()
    source.abandon()


def test_a_reader_that_complains_has_the_segment_looked_at(whole: Log) -> None:
    log = opened(Path(whole.path), whole.log_end_offset)
    told: list[Log] = []
    log.corruption.on_suspicion = told.append
    check(log)
    flipped(min(Path(whole.path).glob("*.log")), 65, 0)
    log.corruption.asked_again(0, NOW + 1000)
    assert [] == told
    log.corruption.asked_again(0, NOW + 100_000)
    assert [log] == told
    assert Error.CORRUPT_MESSAGE == error_of(log.read, 0, 1, log.log_end_offset)
    assert 1 == check(log) and log.corruption.known
    log.abandon()


def test_a_gap_that_the_others_have_too_is_none_of_the_disks_making(whole: Log, tmp_path: Path) -> None:
    first, second, *_ = sorted(Path(whole.path).glob("*.log"))
    data = first.read_bytes()
    header, records = batch.split(data)[-1]
    first.write_bytes(data[: -len(records)])
    log = opened(Path(whole.path), whole.log_end_offset)
    assert Error.CORRUPT_MESSAGE == error_of(log.read, header.base_offset, 1, log.log_end_offset)
    check(log)
    assert [(header.base_offset, header.last_offset)] == log.corruption.ranges
    assert Error.CORRUPT_MESSAGE == error_of(log.read, header.base_offset, 1, log.log_end_offset)
    found = log.corruption.first()
    assert found is not None
    log.corruption.accept_gap(*found)
    assert not log.corruption.known
    records = log.read(header.base_offset, 1, log.log_end_offset)
    assert records is not None and int(second.stem) == batch.read_header(records.read()).base_offset
    log.abandon()
