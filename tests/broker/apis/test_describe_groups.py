"""DescribeGroups."""

import pytest

from kafkalike.broker.apis import describe_groups
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.groups import stable
from tests.coordinator.test_group import subscription

Request = describe_groups.messages.Request
A, B = group_in(0), group_in(1)


@pytest.mark.parametrize("version", range(6))
def test_a_stable_group_and_an_unknown_one(version: int) -> None:
    broker = FakeBroker()
    member = stable(broker)
    first, second = broker.call(describe_groups, version, Request(groups=[A, "nobody"])).groups
    assert (first.group_state, first.protocol_type, first.protocol_data) == ("Stable", "consumer", "range")
    (one,) = first.members
    assert (one.member_id, one.client_id, one.client_host) == (member, "c", "/h")
    assert (bytes(one.member_metadata), bytes(one.member_assignment)) == (subscription("t"), b"all")
    assert (second.error_code, second.group_id, second.group_state) == (0, "nobody", "Dead")


def test_operations_are_shown_when_asked_for() -> None:
    broker = FakeBroker(lead=(0,))
    stable(broker)
    answer = broker.call(describe_groups, 5, Request(groups=[A, B], include_authorized_operations=True))
    assert [(each.error_code, each.authorized_operations) for each in answer.groups] == [
        (Error.NONE, 328),
        (Error.NOT_COORDINATOR, -(2**31)),
    ]
