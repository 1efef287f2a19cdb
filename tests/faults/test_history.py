"""Histories: invocations find their outcomes, also after a journey through a file."""

from __future__ import annotations

from pathlib import Path

from tests.faults.history import FAIL, INFO, OK, Event, History, Promise


def example() -> History:
    return History(
        [
            Event(0, "a", INFO, "producer", {"durable": True, "ordered": False}),
            Event(1, "a", "invoke", "send", {"id": "a:0", "partition": 1}),
            Event(2, "a", "invoke", "send", {"id": "a:1", "partition": 0}),
            Event(3, "a", OK, "send", {"id": "a:0", "offset": 7}),
            Event(4, "a", FAIL, "send", {"id": "a:1", "error": 19}),
            Event(5, "a", "invoke", "send", {"id": "a:2", "partition": 0}),
            Event(6, "c", OK, "poll", {"run": 2, "records": [[1, 7, "a:0"]]}),
            Event(7, "g", "invoke", "commit", {"id": 1, "group": "x", "offsets": [[1, 8]]}),
            Event(8, "g", OK, "commit", {"id": 1}),
            Event(8.5, "z", "invoke", "fault", {"id": "kill", "majority": True}),
            Event(9, "z", OK, "fault", {"id": "kill"}),
        ]
    )


def test_invocations_find_their_outcomes() -> None:
    found = example().evidence()
    assert {"a": Promise(True, False)} == found.producers
    assert [("a:0", 1, 1, 3, OK, 7), ("a:1", 0, 2, 4, FAIL, -1), ("a:2", 0, 5, float("inf"), INFO, -1)] == [
        s[1:] for s in found.sends
    ]
    assert [("c", 2, 1, 7, "a:0", 6, "")] == found.reads
    assert [("x", 1, 8, 7, 8, OK)] == found.commits
    assert [("kill", 8.5, 9, True)] == found.faults


def test_a_history_survives_a_file(tmp_path: Path) -> None:
    example().save(tmp_path / "history")
    assert example().events == History.load(tmp_path / "history").events


def test_times_are_taken_when_recorded() -> None:
    history = History()
    assert history.record("a", OK, "x") <= history.record("a", OK, "y")
