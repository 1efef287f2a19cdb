"""The table of the partitions' state machine, and elections that find nobody."""

from __future__ import annotations

import pytest

from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller.context import PartitionState as P
from kafkalike.controller.context import ReplicaState as R
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.partition_state_machine import (
    PARTITION_PREVIOUS,
    bring_online,
    move_partitions,
    preferred_strategy,
)
from kafkalike.controller.replica_state_machine import REPLICA_PREVIOUS
from tests.controller.world import world_with_a_topic


def test_every_state_can_be_entered() -> None:
    assert set(P) == set(PARTITION_PREVIOUS)
    assert set(R) == set(REPLICA_PREVIOUS)
    assert all(PARTITION_PREVIOUS.values()) and all(REPLICA_PREVIOUS.values())


def test_a_failed_election_leaves_everything_as_it_was() -> None:
    w = world_with_a_topic()
    context = w.controller()
    context.shutting_down |= {1, 2}
    before = w.nodes[PartitionNode.path("t", 0)]
    move_partitions(context, [("t", 0)], P.OFFLINE)
    assert set() == w.perform(bring_online(context, Batch(context), [("t", 0)]))
    assert before == w.nodes[PartitionNode.path("t", 0)]
    assert P.OFFLINE is context.partition_states["t", 0]


def test_a_partition_whose_state_is_garbage_is_not_elected(caplog: pytest.LogCaptureFixture) -> None:
    w = world_with_a_topic()
    context = w.controller()
    w.put(PartitionNode.path("t", 0), b"garbage")
    assert set() == w.perform(bring_online(context, Batch(context), [("t", 0)], preferred_strategy(context)))
    assert b"garbage" == w.nodes[PartitionNode.path("t", 0)].data
