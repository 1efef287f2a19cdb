"""Heartbeat."""

import pytest

from kafkalike.broker.apis import heartbeat
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.groups import stable

Request = heartbeat.messages.Request
A, B = group_in(0), group_in(1)


@pytest.mark.parametrize("version", range(5))
def test_a_member_lives(version: int) -> None:
    broker = FakeBroker()
    request = Request(group_id=A, generation_id=1, member_id=stable(broker))
    assert broker.call(heartbeat, version, request).error_code == Error.NONE


def test_refusals() -> None:
    broker = FakeBroker(lead=(0,))
    member = stable(broker)
    asked = {
        Error.ILLEGAL_GENERATION: Request(group_id=A, generation_id=0, member_id=member),
        Error.UNKNOWN_MEMBER_ID: Request(group_id=A, generation_id=1, member_id="x"),
        Error.NOT_COORDINATOR: Request(group_id=B, generation_id=1, member_id=member),
        Error.INVALID_GROUP_ID: Request(group_id="", generation_id=1, member_id=member),
    }
    assert {error: broker.call(heartbeat, 4, request).error_code for error, request in asked.items()} == {
        error: int(error) for error in asked
    }
