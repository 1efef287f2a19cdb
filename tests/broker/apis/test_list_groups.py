"""ListGroups."""

import pytest

from kafkalike.broker.apis import list_groups
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.groups import stable

Request = list_groups.messages.Request
A, B = group_in(0), group_in(1)


@pytest.mark.parametrize("version", range(6))
def test_modern_and_classic_groups(version: int) -> None:
    broker = FakeBroker()
    stable(broker)
    broker.zk.put(f"/consumers/{B}/offsets/t/0", b"1")
    answer = broker.call(list_groups, version, Request())
    listed = {each.group_id: (each.protocol_type, each.group_state, each.group_type) for each in answer.groups}
    states, kind = (("Stable", "Empty") if version >= 4 else ("", "")), "classic" if version >= 5 else ""
    assert listed == {A: ("consumer", states[0], kind), B: ("", states[1], kind)}


@pytest.mark.parametrize(
    ("states", "types", "found"),
    [
        (["stable"], [], [A]),
        (["EMPTY"], [], [B]),
        (["Dead"], [], []),
        ([], ["Classic"], [A, B]),
        ([], ["consumer"], []),
    ],
)
def test_filters(states: list[str], types: list[str], found: list[str]) -> None:
    broker = FakeBroker()
    stable(broker)
    broker.committed(B, ("t", 0, 1))
    answer = broker.call(list_groups, 5, Request(states_filter=states, types_filter=types))
    assert sorted(each.group_id for each in answer.groups) == sorted(found)
