"""Producer state outlives restarts, with its snapshots or without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kafkalike.errors import Error
from kafkalike.protocol.control_records import COMMIT, EndTxnMarker, build_marker
from kafkalike.storage.append_path import COORDINATOR
from tests.storage.disk import NOW, SMALL, a_batch, error_of, names, new_log, reopened


@pytest.mark.parametrize("clean", [True, False])
def test_repeats_are_known_after_a_restart(tmp_path: Path, clean: bool) -> None:
    log = new_log(tmp_path, SMALL)
    for n in range(12):
        log.append(a_batch(1, producer_id=7, producer_epoch=0, base_sequence=n), 0, NOW)
    log = reopened(log, clean)
    assert log.append(a_batch(1, producer_id=7, producer_epoch=0, base_sequence=11), 0, NOW).duplicate
    assert 12 == log.append(a_batch(1, producer_id=7, producer_epoch=0, base_sequence=12), 0, NOW).base_offset


def test_repeats_are_known_after_a_crash_that_took_the_snapshots(tmp_path: Path) -> None:
    """C4: the state is a function of the log."""
    log = new_log(tmp_path, SMALL)
    for n in range(12):
        log.append(a_batch(1, producer_id=7, producer_epoch=0, base_sequence=n), 0, NOW)
    for offset in names(log, ".snapshot"):
        os.unlink(f"{log.path}/{offset:020d}.snapshot")
    log = reopened(log, False)
    for n in range(7, 12):
        assert log.append(a_batch(1, producer_id=7, producer_epoch=0, base_sequence=n), 0, NOW).duplicate, n


def test_a_transaction_holds_back_what_is_stable(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.append(a_batch(2), 0, NOW)
    fields = {"producer_id": 7, "producer_epoch": 0, "transactional": True}
    log.append(a_batch(2, base_sequence=0, **fields), 0, NOW)
    assert 2 == log.last_stable_offset(4)
    marker = memoryview(build_marker(EndTxnMarker(COMMIT, 3), 7, 0, NOW))
    assert Error.INVALID_RECORD == error_of(log.append, marker, 0, NOW)
    log.append(marker, 0, NOW, COORDINATOR)
    assert (2, 5) == (log.last_stable_offset(4), log.last_stable_offset(5))
    log = reopened(log, False)
    assert 5 == log.last_stable_offset(5)
    assert 3 == log.producers.entries[7].coordinator_epoch
