"""OffsetForLeaderEpoch: who answers it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import offset_for_leader_epoch as messages
from tests.broker.apis.calls import ask

CONTROLLER, FOLLOWER = -2, 1


def follower() -> Any:
    """A broker that has records of epoch 7 up to 73, and does not lead."""

    def leader(*_: Any) -> Any:
        raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)

    log = SimpleNamespace(end_offset_for_epoch=lambda epoch: (epoch, 73))
    partition = SimpleNamespace(check_epoch=lambda epoch: None)
    return SimpleNamespace(
        partitions=SimpleNamespace(leader=leader, find=lambda *_: SimpleNamespace(log=log, partition=partition))
    )


@pytest.mark.parametrize(
    ("replica_id", "version", "expected"),
    [
        (CONTROLLER, 4, (Error.NONE, 7, 73)),
        (FOLLOWER, 4, (Error.NOT_LEADER_OR_FOLLOWER, -1, -1)),
        # The request does not say who asks, which reads as -2.
        (CONTROLLER, 2, (Error.NOT_LEADER_OR_FOLLOWER, -1, -1)),
    ],
)
def test_a_replica_that_does_not_lead_answers_nobody_but_a_controller_that_compares_logs(
    replica_id: int, version: int, expected: tuple[Error, int, int]
) -> None:
    topic = messages.OffsetForLeaderTopic(
        topic="t", partitions=[messages.OffsetForLeaderPartition(partition=0, leader_epoch=7)]
    )
    asked = ask(follower(), "offset_for_leader_epoch", messages.Request(replica_id=replica_id, topics=[topic]), version)
    (answer,) = Deferred.fromCoroutine(asked).result.topics[0].partitions
    assert expected == (Error(answer.error_code), answer.leader_epoch, answer.end_offset)
