"""The states of the groups add up to their number."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kafkalike.coordinator import group_gauges
from kafkalike.coordinator.group import State


class Topic(SimpleNamespace):
    """An internal topic of which two partitions are led here."""

    __hash__ = object.__hash__


def served(group_id: str, state: State, members: int) -> Any:
    return SimpleNamespace(group=SimpleNamespace(group_id=group_id, state=state, members=range(members)))


def test_groups_are_counted_by_state() -> None:
    groups = [
        {"a": served("a", State.STABLE, 3), "b": served("b", State.EMPTY, 0)},
        {"c": served("c", State.STABLE, 1)},
    ]
    partitions = {index: SimpleNamespace(contents=SimpleNamespace(groups=each)) for index, each in enumerate(groups)}
    topic: Any = Topic(partitions=partitions)
    group_gauges.watch(topic)
    assert 3 == group_gauges.GROUPS._watched[topic](topic)
    counts = {state: gauge._watched[topic](topic) for state, gauge in group_gauges.IN_STATE.items()}
    assert counts == dict.fromkeys(State, 0) | {State.STABLE: 2, State.EMPTY: 1}
    assert {("a",): 3, ("b",): 0, ("c",): 1} == dict(group_gauges.MEMBERS._watched[topic](topic))
