"""OffsetCommit."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.broker.apis import offset_commit
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.groups import stable

messages = offset_commit.messages
A, B = group_in(0), group_in(1)


def request(*offsets: tuple[str, int, int, str | None], **fields: Any) -> Any:
    topics: dict[str, list[Any]] = {}
    for topic, partition, offset, metadata in offsets:
        topics.setdefault(topic, []).append(
            messages.OffsetCommitRequestPartition(
                partition_index=partition, committed_offset=offset, committed_metadata=metadata
            )
        )
    return messages.Request(
        **{"group_id": A} | fields,
        topics=[messages.OffsetCommitRequestTopic(name=name, partitions=each) for name, each in topics.items()],
    )


def errors(answer: Any) -> dict[tuple[str, int], int]:
    return {(topic.name, each.partition_index): each.error_code for topic in answer.topics for each in topic.partitions}


@pytest.mark.parametrize("version", range(10))
def test_a_commit_is_in_zookeeper_when_it_is_answered(version: int) -> None:
    broker = FakeBroker()
    answer = broker.call(offset_commit, version, request(("t", 0, 5, None), ("t", 1, 6, ""), ("u", 0, 7, "note")))
    assert errors(answer) == dict.fromkeys([("t", 0), ("t", 1), ("u", 0)], 0)
    assert broker.zk.below(f"/consumers/{A}/offsets") == {
        f"/consumers/{A}/offsets/t/0": b"5",
        f"/consumers/{A}/offsets/t/1": b"6",
        f"/consumers/{A}/offsets/u/0": b"7",
    }
    extras = broker.zk.below(f"/consumers/{A}/offsets-extra")
    assert len(extras) == (1 if version >= 1 else 0)


@pytest.mark.parametrize("version", [0, 9])
def test_what_cannot_be_committed_does_not_stop_the_rest(version: int) -> None:
    broker = FakeBroker()
    asked = request(("nope", 0, 1, None), ("t", 9, 1, None), ("t", 0, 1, "x" * 11), ("t", 1, 1, "x" * 10))
    assert errors(broker.call(offset_commit, version, asked)) == {
        ("nope", 0): Error.UNKNOWN_TOPIC_OR_PARTITION,
        ("t", 9): Error.UNKNOWN_TOPIC_OR_PARTITION,
        ("t", 0): Error.OFFSET_METADATA_TOO_LARGE,
        ("t", 1): Error.NONE,
    }


def test_nothing_to_commit() -> None:
    assert FakeBroker().call(offset_commit, 9, request()).topics == []


def test_a_member_is_checked() -> None:
    broker = FakeBroker(lead=(0,))
    member = stable(broker)
    asked = [
        ({"generation_id_or_member_epoch": 1, "member_id": member}, Error.NONE),
        ({"generation_id_or_member_epoch": 2, "member_id": member}, Error.ILLEGAL_GENERATION),
        ({"generation_id_or_member_epoch": 1, "member_id": "x"}, Error.UNKNOWN_MEMBER_ID),
        ({"generation_id_or_member_epoch": 1, "member_id": member, "group_instance_id": "i"}, Error.UNKNOWN_MEMBER_ID),
        ({}, Error.UNKNOWN_MEMBER_ID),
        ({"group_id": B}, Error.NOT_COORDINATOR),
    ]
    for fields, error in asked:
        assert errors(broker.call(offset_commit, 8, request(("t", 0, 5, None), **fields))) == {("t", 0): error}


def test_version_0_asks_no_coordinator() -> None:
    broker = FakeBroker(lead=(0,))
    stable(broker)
    for group in (A, B):
        assert errors(broker.call(offset_commit, 0, request(("t", 0, 5, "note"), group_id=group))) == {("t", 0): 0}
        assert broker.zk.below(f"/consumers/{group}") == {f"/consumers/{group}/offsets/t/0": b"5"}
