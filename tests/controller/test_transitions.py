"""The tables of the two state machines, and writes under versions."""

from __future__ import annotations

import logging

import pytest

from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller.context import PartitionState as P
from kafkalike.controller.context import ReplicaState as R
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import Superseded
from kafkalike.controller.transitions import (
    PARTITION_PREVIOUS,
    REPLICA_PREVIOUS,
    bring_online,
    move_partitions,
    move_replicas,
    preferred_strategy,
)
from tests.controller.world import World


def world() -> World:
    made = World()
    for broker_id in (1, 2):
        made.broker(broker_id)
    made.topic("t", {0: (1, 2), 1: (2, 1)})
    return made


def test_every_state_can_be_entered() -> None:
    assert set(P) == set(PARTITION_PREVIOUS)
    assert set(R) == set(REPLICA_PREVIOUS)
    assert all(PARTITION_PREVIOUS.values()) and all(REPLICA_PREVIOUS.values())


def test_an_illegal_transition_is_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    w = world()
    context = w.controller()
    context.partition_states["t", 0] = P.NONEXISTENT
    with caplog.at_level(logging.ERROR):
        move_partitions(context, [("t", 0), ("t", 1)], P.OFFLINE)
    assert [P.NONEXISTENT, P.OFFLINE] == [context.partition_states["t", p] for p in (0, 1)]
    assert "partition t-0 cannot go from NonExistentPartition to OfflinePartition" == caplog.messages[-1]
    batch = Batch(context)
    context.replica_states["t", 1, 2] = R.OFFLINE
    w.perform(move_replicas(context, batch, [("t", 0, 1), ("t", 1, 2)], R.DELETION_STARTED))
    assert [R.ONLINE, R.DELETION_STARTED] == [context.replica_state(r) for r in (("t", 0, 1), ("t", 1, 2))]


def test_a_stale_belief_is_read_again_and_the_decision_made_anew() -> None:
    w = world()
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
    w = world()
    context = w.controller()
    w.put(PartitionNode.path("t", 0), PartitionNode(1, 0, (1, 2), 9).encode())
    w.put(ControllerEpoch.path(), b"9")
    with pytest.raises(Superseded):
        w.perform(move_replicas(context, Batch(context), [("t", 0, 2)], R.OFFLINE))
    assert 9 == w.state("t", 0)["controller_epoch"]


def test_a_failed_election_leaves_everything_as_it_was() -> None:
    w = world()
    context = w.controller()
    context.shutting_down |= {1, 2}
    before = w.nodes[PartitionNode.path("t", 0)]
    move_partitions(context, [("t", 0)], P.OFFLINE)
    assert set() == w.perform(bring_online(context, Batch(context), [("t", 0)]))
    assert before == w.nodes[PartitionNode.path("t", 0)]
    assert P.OFFLINE is context.partition_states["t", 0]


def test_a_partition_whose_state_is_garbage_is_not_elected(caplog: pytest.LogCaptureFixture) -> None:
    w = world()
    context = w.controller()
    w.put(PartitionNode.path("t", 0), b"garbage")
    assert set() == w.perform(bring_online(context, Batch(context), [("t", 0)], preferred_strategy(context)))
    assert b"garbage" == w.nodes[PartitionNode.path("t", 0)].data


def test_the_last_member_stays_in_the_isr_without_leading() -> None:
    w = world()
    context = w.controller()
    w.perform(move_replicas(context, Batch(context), [("t", 0, 1)], R.OFFLINE))
    w.perform(move_replicas(context, Batch(context), [("t", 0, 2)], R.OFFLINE))
    assert {"leader": -1, "isr": [2], "leader_epoch": 2}.items() <= w.state("t", 0).items()
    # Out of the ISR already: nothing is written.
    w.perform(move_replicas(context, Batch(context), [("t", 0, 1)], R.OFFLINE))
    assert 2 == w.state("t", 0)["zk"]


def test_a_new_replica_hears_of_its_leader_but_a_leader_is_never_new(caplog: pytest.LogCaptureFixture) -> None:
    w = world()
    context = w.controller()
    w.letters()
    batch = Batch(context)
    context.replica_states.clear()
    w.perform(move_replicas(context, batch, [("t", 0, 1), ("t", 0, 2)], R.NEW))
    w.sent += batch.send().requests
    assert "LAI>2 t-0:1[1,2]@0 new" == w.letters()[0]
    assert R.NONEXISTENT is context.replica_state(("t", 0, 1))
    assert "cannot be new: it leads" in caplog.text
