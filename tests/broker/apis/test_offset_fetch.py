"""OffsetFetch."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.broker.apis import offset_fetch
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in

messages = offset_fetch.messages
A, B = group_in(0), group_in(1)


def request(version: int, group: str, topics: dict[str, list[int]] | None) -> Any:
    if version >= 8:
        asked = (
            None
            if topics is None
            else [messages.OffsetFetchRequestTopics(name=name, partition_indexes=each) for name, each in topics.items()]
        )
        return messages.Request(groups=[messages.OffsetFetchRequestGroup(group_id=group, topics=asked)])
    asked = (
        None
        if topics is None
        else [messages.OffsetFetchRequestTopic(name=name, partition_indexes=each) for name, each in topics.items()]
    )
    return messages.Request(group_id=group, topics=asked)


def found(version: int, answer: Any) -> dict[tuple[str, int], tuple[int, int, str, int]]:
    (group,) = answer.groups if version >= 8 else [answer]
    return {
        (topic.name, each.partition_index): (
            each.committed_offset,
            each.committed_leader_epoch,
            each.metadata,
            each.error_code,
        )
        for topic in group.topics
        for each in topic.partitions
    }


@pytest.mark.parametrize("version", range(1, 10))
def test_what_was_committed_and_what_was_not(version: int) -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 5, 3, "note"))
    answer = broker.call(offset_fetch, version, request(version, A, {"t": [0, 1], "nope": [0]}))
    assert found(version, answer) == {
        ("t", 0): (5, 3 if version >= 5 else -1, "note", 0),
        ("t", 1): (-1, -1, "", 0),
        ("nope", 0): (-1, -1, "", 0),
    }


@pytest.mark.parametrize("version", range(2, 10))
def test_null_topics_are_all_that_there_are(version: int) -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 5), ("u", 1, 6))
    answer = broker.call(offset_fetch, version, request(version, A, None))
    assert found(version, answer) == {("t", 0): (5, -1, "", 0), ("u", 1): (6, -1, "", 0)}


def test_version_0_reads_the_znode_on_any_broker() -> None:
    broker = FakeBroker(lead=())
    broker.zk.put(f"/consumers/{A}/offsets/t/0", b"5")
    broker.zk.put(f"/consumers/{A}/offsets/nope/0", b"5")
    answer = broker.call(offset_fetch, 0, request(0, A, {"t": [0, 1], "nope": [0]}))
    unknown = (-1, -1, "", Error.UNKNOWN_TOPIC_OR_PARTITION)
    assert found(0, answer) == {("t", 0): (5, -1, "", 0), ("t", 1): unknown, ("nope", 0): unknown}


@pytest.mark.parametrize("version", range(1, 10))
def test_another_broker_is_the_coordinator(version: int) -> None:
    answer = FakeBroker(lead=(0,)).call(offset_fetch, version, request(version, B, {"t": [0]}))
    if version == 1:
        assert found(version, answer) == {("t", 0): (-1, -1, "", Error.NOT_COORDINATOR)}
    else:
        (group,) = answer.groups if version >= 8 else [answer]
        assert (group.error_code, group.topics) == (Error.NOT_COORDINATOR, [])


def test_several_groups_each_with_its_error() -> None:
    broker = FakeBroker(lead=(0,))
    broker.committed(A, ("t", 0, 5))
    groups = [messages.OffsetFetchRequestGroup(group_id=each, topics=None) for each in (A, B)]
    answer = broker.call(offset_fetch, 9, messages.Request(groups=groups, require_stable=True))
    assert [(each.group_id, each.error_code, len(each.topics)) for each in answer.groups] == [
        (A, Error.NONE, 1),
        (B, Error.NOT_COORDINATOR, 0),
    ]
