"""Which tests the options of bin/test.sh leave in, and what the ledger keeps of a hunt."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests import hypothesis_examples

ROOT = Path(__file__).resolve().parent.parent


def chosen(*arguments: str) -> set[str]:
    """Names of the tests that pytest would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    return {line.rpartition("::")[2] for line in done.stdout.splitlines() if "::" in line}


def test_a_hunt_is_for_what_has_examples() -> None:
    found = chosen("--hunt=2", "tests/storage/test_leader_epochs.py", "tests/storage/test_log.py")
    assert "test_the_log_agrees_with_a_list" in found
    assert 3 == len(found), found


def test_fast_leaves_out_what_is_slow_and_what_is_not_ours() -> None:
    found = chosen("--fast", "tests/zk/server/test_crash.py", "tests/zk/test_client.py", "tests/clients")
    assert "test_nodes_are_made_read_written_and_deleted[embedded]" in found
    assert not any("[apache]" in name or "confluent" in name or "acknowledged_changes" in name for name in found)


def test_the_ledger_names_what_failed() -> None:
    line = hypothesis_examples.line(20, 60, ["test_x", "test_y"], datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    assert line.startswith("| 2026-01-02 03:04 | ")
    assert line.endswith(" | 60 | 20 | 2 | test_x, test_y |\n")
