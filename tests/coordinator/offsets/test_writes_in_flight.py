"""Writes that are not answered yet."""

from __future__ import annotations

from kafkalike.coordinator.offsets.writes_in_flight import WritesInFlight, slices


def test_they_are_settled_when_the_last_one_is_answered() -> None:
    writes = WritesInFlight()
    assert writes.all_answered().called
    answers: list[int] = []
    first, second = writes.counted(answers.append), writes.counted(answers.append)
    settled = writes.all_answered()
    second(2)
    assert (1, False) == (writes.count, settled.called)
    first(1)
    assert ([2, 1], True) == (answers, settled.called)


def test_a_write_that_begins_with_the_answer_to_another_is_waited_for() -> None:
    writes = WritesInFlight()
    later = []
    first = writes.counted(lambda _: later.append(writes.counted(lambda _: None)))
    settled = writes.all_answered()
    first(None)
    assert not settled.called
    later[0](None)
    assert settled.called


def test_slices() -> None:
    assert [[1, 2], [3, 4], [5]] == list(slices([1, 2, 3, 4, 5], 2))
    assert [] == list(slices([], 2))
