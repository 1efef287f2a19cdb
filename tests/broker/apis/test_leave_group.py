"""LeaveGroup."""

import pytest

from kafkalike.broker.apis import leave_group
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.groups import stable, state_of

messages = leave_group.messages
A, B = group_in(0), group_in(1)


@pytest.mark.parametrize("version", range(6))
def test_the_last_member_leaves(version: int) -> None:
    broker = FakeBroker()
    member = stable(broker)
    if version < 3:
        request = messages.Request(group_id=A, member_id=member)
    else:
        request = messages.Request(group_id=A, members=[messages.MemberIdentity(member_id=member)])
    assert broker.call(leave_group, version, request).error_code == Error.NONE
    assert state_of(broker) == "Empty"


def test_each_member_has_its_error() -> None:
    broker = FakeBroker()
    members = [messages.MemberIdentity(member_id=stable(broker)), messages.MemberIdentity(group_instance_id="i")]
    answer = broker.call(leave_group, 5, messages.Request(group_id=A, members=members))
    assert [each.error_code for each in answer.members] == [Error.NONE, Error.UNKNOWN_MEMBER_ID]


@pytest.mark.parametrize("version", [0, 2])
def test_old_versions_have_one_error(version: int) -> None:
    broker = FakeBroker(lead=(0,))
    asked = [messages.Request(group_id=group, member_id="x") for group in (A, B)]
    assert [broker.call(leave_group, version, each).error_code for each in asked] == [
        Error.UNKNOWN_MEMBER_ID,
        Error.NOT_COORDINATOR,
    ]
