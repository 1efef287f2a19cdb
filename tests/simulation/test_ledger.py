"""A run leaves a line in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.simulation.campaign import Totals
from tests.simulation.conftest import Simulate
from tests.simulation.ledger import HEAD, line


def test_a_line_says_what_ran_and_what_failed() -> None:
    totals = Totals()
    totals.runs, totals.last, totals.events, totals.simulated_s = 99, 200, 12345, 7200.0
    totals.failed = {150: "LogMatching"}
    assert "| 2026-01-02 03:04 | abc | 101-200 | 99 | 12345 | 2.0 | 1 | 150 LogMatching |\n" == line(
        totals, 101, "abc", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    )


def test_the_run_itself_appends_it(simulate: Simulate, tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    for first in (1, 5):
        simulate("--from", first, "--seeds", 2, "--jobs", 2, "--time", 0.1, "--ledger", file)
    text = file.read_text()
    assert text.startswith(HEAD)
    rows = [row.split(" | ")[2:4] for row in text.splitlines()[8:]]
    assert [["1-2", "2"], ["5-6", "2"]] == rows


def test_a_hunt_leaves_a_line_of_its_own(simulate: Simulate, tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    told = simulate("--hunt", 0, "--ledger", file)
    assert told.startswith("0 seeds from ")
    assert " | 0 | 0 | 0.0 | 0 | none |\n" in file.read_text()
