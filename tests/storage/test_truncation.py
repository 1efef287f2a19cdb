"""Cutting the end of a log off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.disk import NOW, SMALL, a_batch, contents, new_log, reopened


@pytest.mark.parametrize("offset", range(0, 41, 3))
def test_a_cut_leaves_the_batches_before_it(tmp_path: Path, offset: int) -> None:
    log = new_log(tmp_path, SMALL)
    for n in range(20):
        log.append(a_batch(2, NOW + n, producer_id=3, producer_epoch=0, base_sequence=2 * n), n // 6, NOW)
    log.flush()
    whole = contents(log)
    end = min(offset // 2 * 2, 40)
    log.truncate(offset)
    assert end == log.log_end_offset
    assert whole[:end] == contents(log)
    assert end >= log.recovery_point
    assert all(start < end or offset >= 40 for _, start in log.epochs.entries)
    assert max((e.next_sequence for e in log.producers.entries.values()), default=0) == end
    log.append(a_batch(2, NOW, producer_id=3, producer_epoch=0, base_sequence=end), 9, NOW)
    for clean in (False, True):
        log = reopened(log, clean)
        assert whole[:end] == contents(log)[:end]
        assert end + 2 == log.log_end_offset
        assert 9 == log.latest_epoch()


def test_A10_a_cut_to_the_end_still_drops_epochs(tmp_path: Path) -> None:
    """KAFKA-10706"""
    log = new_log(tmp_path)
    log.append(a_batch(3), 1, NOW)
    log.assign_epoch(2, 3)
    log.truncate(3)
    assert [(1, 0)] == log.epochs.entries
    assert 1 == log.latest_epoch()


def test_a_log_can_begin_again_elsewhere(tmp_path: Path) -> None:
    log = new_log(tmp_path, SMALL)
    for n in range(20):
        log.append(a_batch(1, producer_id=3, producer_epoch=0, base_sequence=n), 0, NOW)
    log.truncate_fully(1000)
    assert (1000, 1000, 0, -1) == (log.log_start_offset, log.log_end_offset, log.size_bytes, log.latest_epoch())
    assert {} == log.producers.entries
    assert 1000 == log.append(a_batch(1), 5, NOW).base_offset
    log = reopened(log, False)
    assert [1000] == [o for o, _ in contents(log)]
