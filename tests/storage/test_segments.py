"""Across segments: readers that go on, timestamps, files that stay open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kafkalike.protocol import batch
from kafkalike.storage import segment as segments
from kafkalike.storage.config import LogConfig
from tests.storage.disk import NOW, SMALL, a_batch, contents, new_log, reopened


def test_only_some_old_segments_stay_open(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for _ in range(100):
        log.append(a_batch(1), 0, NOW)
    log.flush()
    before = len(os.listdir("/proc/self/fd"))
    contents(log)
    assert len(os.listdir("/proc/self/fd")) - before <= 10


@pytest.mark.parametrize("clean", [True, False])
def test_timestamps_are_found_wherever_they_are(tmp_path: Path, clean: bool) -> None:
    log = new_log(tmp_path, SMALL)
    stamps: list[int] = []
    for n in range(40):
        first = NOW + (n * 37) % 100 + n
        log.append(a_batch(1 + n % 3, first, codec=n % 5), n // 15, NOW)
        stamps += [first + i for i in range(1 + n % 3)]
    log = reopened(log, clean)
    for target in range(min(stamps) - 1, max(stamps) + 2):
        expected = next(((t, o) for o, t in enumerate(stamps) if t >= target), None)
        found = log.offset_for_timestamp(target)
        assert expected == (found[:2] if found else None), target
    assert (max(stamps), stamps.index(max(stamps))) == log.max_timestamp()[:2]  # type: ignore[index]
    log.advance_log_start(30)
    assert next((t, o) for o, t in enumerate(stamps) if t >= NOW and o >= 30) == log.offset_for_timestamp(NOW)[:2]  # type: ignore[index]


def test_an_empty_log_has_no_timestamps(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    assert (None, None) == (log.max_timestamp(), log.offset_for_timestamp(0))
    log.append(a_batch(1, -1), 0, NOW)
    assert None is log.max_timestamp()


def test_a_consumer_that_goes_on_never_searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "RECENT", 4)
    log = new_log(tmp_path, LogConfig(segment_bytes=20_000))
    for n in range(600):
        log.append(a_batch(1 + n % 2), 0, NOW)
    log = reopened(log)
    found = []
    monkeypatch.setattr(segments.Segment, "find", lambda *_: found.append(1))
    offset = 0
    while (given := log.read(offset, 1000, log.log_end_offset)) is not None:
        offset = batch.split(given.read())[-1][0].last_offset + 1
    assert (900, []) == (offset, found)
