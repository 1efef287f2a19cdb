"""A run of whole files leaves a line in the ledger."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tests.faults.ledger import HEAD, Run, append


def test_a_line_says_what_ran_and_what_failed() -> None:
    run = Run("kafkalike", "embedded", "cut", 40, 0, ["test_x"], 2, 9000, 8800, 630)
    assert (
        "| 2026-01-02 03:04 | abc | kafkalike | embedded | cut | 40 | 0 | 1 | 2 | 9000 | 8800 | 10.5 min | test_x |\n"
        == run.line(datetime(2026, 1, 2, 3, 4), "abc")
    )


def test_lines_follow_one_another(tmp_path: Path) -> None:
    for _ in range(2):
        append(Run("kafkalike", "embedded"), tmp_path / "l")
    text = (tmp_path / "l").read_text()
    assert text.startswith(HEAD)
    assert 2 == text.count("\n| 2") == len({line.count("|") for line in text.splitlines()[7:]}) + 1
