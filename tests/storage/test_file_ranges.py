"""Ranges of segments' files, which may outlive the segment."""

from pathlib import Path

import pytest

from kafkalike.storage.file_ranges import CorruptBatch, FileRange
from kafkalike.storage.segment import Segment
from tests.storage.disk import NOW, a_batch, new_log


def test_a_retained_range_outlives_its_segment(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    for n in range(9):
        log.append(a_batch(1 + n % 3), 0, NOW)
    log.close()
    directory = Path(log.path)
    segment = Segment(str(directory), 0)
    given = FileRange(segment, segment.open(), 0, segment.size)
    expected = given.read()
    given.retain()
    segment.delete()
    assert [] == [p.name for p in directory.iterdir() if p.name.endswith(("log", "index"))]
    assert expected == given.read()
    assert segment.fd >= 0
    given.release()
    assert segment.fd < 0


def test_a_range_that_the_file_does_not_have_is_corrupt(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.append(a_batch(1), 0, NOW)
    log.close()
    segment = Segment(log.path, 0)
    with pytest.raises(CorruptBatch) as raised:
        FileRange(segment, segment.open(), 0, segment.size + 1).read()
    assert segment.size == raised.value.position
    segment.close_file()
