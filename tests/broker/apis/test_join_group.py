"""JoinGroup."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.broker.apis import join_group, sync_group
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in

messages = join_group.messages
A, B = group_in(0), group_in(1)


def request(**fields: Any) -> Any:
    protocols = [messages.JoinGroupRequestProtocol(name="range", metadata=b"m")]
    values = {"group_id": A, "session_timeout_ms": 10_000, "protocol_type": "consumer", "protocols": protocols}
    values["rebalance_timeout_ms"] = 60_000
    return messages.Request(**values | fields)


@pytest.mark.parametrize("version", range(10))
def test_a_first_member_leads(version: int) -> None:
    broker = FakeBroker()
    member = ""
    if version >= 4:
        answer = broker.call(join_group, version, request())
        assert answer.error_code == Error.MEMBER_ID_REQUIRED
        assert (answer.protocol_name, answer.generation_id) == (None if version >= 7 else "", -1)
        member = answer.member_id
    answer = broker.call(join_group, version, request(member_id=member))
    assert (answer.error_code, answer.generation_id, answer.protocol_name) == (0, 1, "range")
    assert answer.leader == answer.member_id
    assert answer.member_id.startswith("c-")
    assert [(each.member_id, bytes(each.metadata)) for each in answer.members] == [(answer.member_id, b"m")]
    assert answer.protocol_type == ("consumer" if version >= 7 else None)


def test_version_0_has_one_timeout() -> None:
    broker = FakeBroker()
    answer = broker.call(join_group, 0, request())
    member = broker.group_coordinator.topic.partitions[0].contents.groups[A].group.members[answer.member_id]
    assert (member.session_timeout_ms, member.rebalance_timeout_ms) == (10_000, 10_000)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"group_id": ""}, Error.INVALID_GROUP_ID),
        ({"group_id": B}, Error.NOT_COORDINATOR),
        ({"session_timeout_ms": 1}, Error.INVALID_SESSION_TIMEOUT),
        ({"member_id": "x"}, Error.UNKNOWN_MEMBER_ID),
        ({"protocols": []}, Error.INCONSISTENT_GROUP_PROTOCOL),
    ],
)
def test_refusals(fields: dict[str, Any], error: Error) -> None:
    assert FakeBroker(lead=(0,)).call(join_group, 9, request(**fields)).error_code == error


def test_a_static_leader_that_restarts_skips_the_assignment() -> None:
    broker = FakeBroker()
    joined = broker.call(join_group, 9, request(group_instance_id="i"))
    sync = sync_group.messages.Request(
        group_id=A,
        generation_id=1,
        member_id=joined.member_id,
        group_instance_id="i",
        protocol_type="consumer",
        protocol_name="range",
    )
    broker.call(sync_group, 5, sync)
    again = broker.call(join_group, 9, request(group_instance_id="i"))
    assert (again.error_code, again.skip_assignment, again.leader) == (0, True, again.member_id)
    assert again.members[0].group_instance_id == "i"
