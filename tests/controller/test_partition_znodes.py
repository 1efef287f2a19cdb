"""State znodes are written under the version that the controller knows, and read again where that is old."""

from __future__ import annotations

import pytest

from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller.context import PartitionState as P
from kafkalike.controller.context import ReplicaState as R
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import Superseded
from kafkalike.controller.partition_state_machine import bring_online, move_partitions
from kafkalike.controller.replica_state_machine import move_replicas
from tests.controller.world import world_with_a_topic


def test_a_stale_belief_is_read_again_and_the_decision_made_anew() -> None:
    w = world_with_a_topic()
    context = w.controller()
    w.put(PartitionNode.path("t", 0), PartitionNode(1, 0, (2,), 1).encode())
    context.shutting_down.add(1)
    move_partitions(context, [("t", 0)], P.OFFLINE)
    assert {("t", 0)} == w.perform(bring_online(context, Batch(context), [("t", 0)]))
    assert {"leader": 2, "leader_epoch": 1, "isr": [2], "zk": 2}.items() <= w.state("t", 0).items()
    assert 2 == context.leaderships["t", 0].partition_epoch
    w.put(PartitionNode.path("t", 1), PartitionNode(2, 4, (2, 1), 1).encode())
    w.perform(move_replicas(context, Batch(context), [("t", 1, 1)], R.OFFLINE))
    assert {"leader": 2, "leader_epoch": 5, "isr": [2], "zk": 2}.items() <= w.state("t", 1).items()


def test_a_newer_controllers_mark_ends_the_term() -> None:
    w = world_with_a_topic()
    context = w.controller()
    w.put(PartitionNode.path("t", 0), PartitionNode(1, 0, (1, 2), 9).encode())
    w.put(ControllerEpoch.path(), b"9")
    with pytest.raises(Superseded):
        w.perform(move_replicas(context, Batch(context), [("t", 0, 2)], R.OFFLINE))
    assert 9 == w.state("t", 0)["controller_epoch"]
