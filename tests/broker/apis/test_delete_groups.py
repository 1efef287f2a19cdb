"""DeleteGroups."""

import pytest

from kafkalike.broker.apis import delete_groups
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.groups import stable

Request = delete_groups.messages.Request
A, B = group_in(0), group_in(1)


@pytest.mark.parametrize("version", range(3))
def test_each_group_has_its_error(version: int) -> None:
    broker = FakeBroker()
    stable(broker)
    broker.committed(B, ("t", 0, 1))
    answer = broker.call(delete_groups, version, Request(groups_names=[A, B, "nobody", B]))
    assert [(each.group_id, each.error_code) for each in answer.results] == [
        (A, Error.NON_EMPTY_GROUP),
        (B, Error.NONE),
        ("nobody", Error.GROUP_ID_NOT_FOUND),
    ]
    assert f"/consumers/{B}" not in broker.zk.tree.nodes
