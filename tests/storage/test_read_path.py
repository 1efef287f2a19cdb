"""Reading: ranges of whole batches, within the log and the limits."""

from __future__ import annotations

from pathlib import Path

from kafkalike.errors import Error
from kafkalike.protocol import batch
from tests.storage.disk import NOW, SMALL, FailingDisk, a_batch, error_of, new_log


def test_reads_stay_within_the_log_and_the_limit(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for _ in range(10):
        log.append(a_batch(2), 0, NOW)
    assert Error.OFFSET_OUT_OF_RANGE == error_of(log.read, 21, 100, 20)
    assert Error.OFFSET_OUT_OF_RANGE == error_of(log.read, -1, 100, 20)
    assert None is log.read(20, 100, 20)
    assert None is log.read(14, 100, 14)
    for limit in range(1, 21):
        seen = []
        offset = 0
        while (given := log.read(offset, 1000, limit)) is not None:
            seen += [h.last_offset for h, _ in batch.split(given.read())]
            offset = seen[-1] + 1
        assert list(range(1, limit // 2 * 2, 2)) == seen


def test_an_offset_inside_a_batch_gives_the_batch(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    for _ in range(4):
        log.append(a_batch(5), 0, NOW)
    for offset in range(20):
        given = log.read(offset, 1, 20)
        assert given is not None and offset // 5 * 5 == batch.read_header(given.read()).base_offset


def test_who_reads_on_has_the_disk_read_ahead(tmp_path: Path) -> None:
    told = []

    class Watched(FailingDisk):
        def will_need(self, fd: int, position: int, size: int) -> None:  # type: ignore[override]
            told.append((position, size))

    log = new_log(tmp_path, files=Watched())
    for _ in range(100):
        log.append(a_batch(1, size=100_000), 0, NOW)
    size = log.size_bytes // 100
    offset = 0
    while (given := log.read(offset, 3 * size, 100)) is not None:
        offset += given.size // size
    assert [(0, 8 << 20), (42 * size, 8 << 20), (84 * size, 8 << 20)] == told
    log.read(1, 3 * size, 100)
    assert size == told[3][0], "somebody else is elsewhere"
    log.read(99, 3 * size, 100)
    assert 4 == len(told), "at its end the log is in memory"


def test_at_least_one_batch_is_given_only_if_asked_for(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    for _ in range(3):
        log.append(a_batch(5), 0, NOW)
    size = len(a_batch(5))
    assert None is log.read(0, size - 1, 15, False)
    for limit, expected in ((1, size), (size, size), (2 * size - 1, size), (2 * size, 2 * size)):
        given = log.read(0, limit, 15, True)
        assert given is not None and expected == given.size
