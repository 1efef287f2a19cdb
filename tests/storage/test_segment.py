"""Finding things in a segment: remembered positions, indexes, and indexes that lie."""

import logging
from pathlib import Path

import pytest

from kafkalike.storage.config import LogConfig
from kafkalike.storage.file_ranges import CorruptBatch
from kafkalike.storage.log import Log
from kafkalike.storage.segment import Segment
from tests.storage.disk import NOW, a_batch

COUNTS = [1 + n % 3 for n in range(36)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A closed log of one segment, with an index entry for every second batch."""
    made = Log.create(str(tmp_path / "t-0"), "t", 0, None, LogConfig(index_interval_bytes=100))
    for n, count in enumerate(COUNTS):
        made.append(a_batch(count, NOW + 100 * n), 0, NOW)
    made.close()
    return tmp_path / "t-0"


def places(segment: Segment) -> dict[int, int]:
    """Position of the batch of every offset, by reading everything."""
    return {
        offset: found.position
        for found in segment.batches(0)
        for offset in range(found.base_offset, found.last_offset + 1)
    }


def test_every_offset_is_found_through_the_index(directory: Path) -> None:
    segment = Segment(str(directory), 0)
    assert len(segment.offsets) >= len(COUNTS) // 3
    expected = places(segment)
    assert sum(COUNTS) == len(expected)
    assert expected == {offset: segment.locate(offset) for offset in expected}
    assert None is segment.locate(sum(COUNTS))


def test_a_search_reads_only_a_little(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment(str(directory), 0)
    seen: list[int] = []
    whole = segment.batches

    def counted(self: Segment, position: int, end: int | None = None):  # type: ignore[no-untyped-def]
        for found in whole(position, end):
            seen.append(found.position)
            yield found

    monkeypatch.setattr(Segment, "batches", counted)
    segment.locate(sum(COUNTS) - 1)
    assert len(seen) <= 4


def test_a_continued_read_does_not_search(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment(str(directory), 0)
    expected = places(segment)
    segment.remember(50, expected[50])
    monkeypatch.setattr(Segment, "find", None)
    assert expected[50] == segment.locate(50)


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_a_flipped_byte_in_an_index_never_gives_wrong_data(
    directory: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """E16: every byte of the file, one after the other."""
    caplog.set_level(logging.CRITICAL)
    path = directory / f"{0:020d}{suffix}"
    whole = path.read_bytes()
    segment = Segment(str(directory), 0)
    expected = places(segment)
    batches = list(segment.batches(0))
    times = {t: next(f.position for f in batches if f.max_timestamp >= t) for t in range(NOW, NOW + 3600, 450)}
    assert len(whole) > 100
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        path.write_bytes(broken)
        segment = Segment(str(directory), 0)
        for offset in (1, 17, 50, sum(COUNTS) - 1):
            assert expected[offset] == segment.locate(offset), (at, offset)
        for timestamp, position in times.items():
            found = next(segment.find_timestamp(timestamp, 0))
            assert position == found.position, (at, timestamp)
        segment.load_times()
        assert batches[-1].max_timestamp == segment.max_timestamp
        segment.close_file()


def test_ranges_end_with_a_batch(directory: Path) -> None:
    segment = Segment(str(directory), 0)
    ends = {found.position: found.base_offset for found in segment.batches(0)}
    size = segment.batches(0).__next__().size
    assert None is segment.cut(0, size - 1)
    for limit in range(size, segment.size, 37):
        cut = segment.cut(0, limit)
        assert cut is not None
        assert 0 < cut[0] <= limit
        assert ends[cut[0]] == cut[1]


def test_bytes_that_are_no_batch_are_damage(directory: Path) -> None:
    path = directory / f"{0:020d}.log"
    data = bytearray(path.read_bytes())
    segment = Segment(str(directory), 0)
    third = list(segment.batches(0))[2].position
    data[third + 16] = 9
    path.write_bytes(data)
    with pytest.raises(CorruptBatch) as raised:
        list(Segment(str(directory), 0).batches(0))
    assert third == raised.value.position
