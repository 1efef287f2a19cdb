"""SyncGroup."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.broker.apis import join_group, sync_group
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in

messages = sync_group.messages
A = group_in(0)


def joined(broker: FakeBroker) -> str:
    protocols = [join_group.messages.JoinGroupRequestProtocol(name="range", metadata=b"m")]
    request = join_group.messages.Request(
        group_id=A, session_timeout_ms=10_000, rebalance_timeout_ms=60_000, protocol_type="connect", protocols=protocols
    )
    member: str = broker.call(join_group, 3, request).member_id
    return member


@pytest.mark.parametrize("version", range(6))
def test_the_leaders_assignment_comes_back(version: int) -> None:
    broker = FakeBroker()
    member = joined(broker)
    fields: dict[str, Any] = {"protocol_type": "connect", "protocol_name": "range"} if version >= 5 else {}
    assignments = [messages.SyncGroupRequestAssignment(member_id=member, assignment=b"\0all")]
    request = messages.Request(group_id=A, generation_id=1, member_id=member, assignments=assignments, **fields)
    answer = broker.call(sync_group, version, request)
    assert (answer.error_code, bytes(answer.assignment)) == (0, b"\0all")
    assert (answer.protocol_type, answer.protocol_name) == (("connect", "range") if version >= 5 else (None, None))


def test_version_5_must_name_the_protocol() -> None:
    broker = FakeBroker()
    request = messages.Request(group_id=A, generation_id=1, member_id=joined(broker))
    assert broker.call(sync_group, 5, request).error_code == Error.INCONSISTENT_GROUP_PROTOCOL


def test_an_unknown_group_has_no_members() -> None:
    request = messages.Request(group_id=A, generation_id=1, member_id="m")
    assert FakeBroker().call(sync_group, 3, request).error_code == Error.UNKNOWN_MEMBER_ID
