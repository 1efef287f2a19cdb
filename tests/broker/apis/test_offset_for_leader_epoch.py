"""OffsetForLeaderEpoch: the leader answers clients and followers, any replica answers who is none of these."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kafkalike.broker.apis.offset_for_leader_epoch import offset_for_leader_epoch
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import offset_for_leader_epoch as messages


def not_leader(*_: Any) -> Any:
    raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)


@pytest.mark.parametrize(
    ("version", "replica", "answer"),
    [
        (4, -2, (Error.NONE, 7, 94)),
        (3, -2, (Error.NONE, 7, 94)),
        (2, -2, (Error.NOT_LEADER_OR_FOLLOWER, -1, -1)),  # it cannot say who it is: that is the default
        (4, -1, (Error.NOT_LEADER_OR_FOLLOWER, -1, -1)),
        (4, 1, (Error.NOT_LEADER_OR_FOLLOWER, -1, -1)),
    ],
)
def test_a_follower_answers_only_who_is_nobody(version: int, replica: int, answer: tuple[Error, int, int]) -> None:
    log = SimpleNamespace(end_offset_for_epoch=lambda epoch: (epoch, 94))
    broker = SimpleNamespace(replicas=SimpleNamespace(leader=not_leader, log=lambda *_: log))
    asked = messages.OffsetForLeaderPartition(partition=0, leader_epoch=7)
    topic = messages.OffsetForLeaderTopic(topic="t", partitions=[asked])
    call = SimpleNamespace(version=version, request=messages.Request(replica_id=replica, topics=[topic]))
    (told,) = offset_for_leader_epoch(broker, call).topics[0].partitions
    assert answer == (told.error_code, told.leader_epoch, told.end_offset)
