"""The table of the replicas' state machine, and what its transitions write and tell."""

from __future__ import annotations

import logging

import pytest

from kafkalike.controller.context import PartitionState as P
from kafkalike.controller.context import ReplicaState as R
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.partition_state_machine import move_partitions
from kafkalike.controller.replica_state_machine import move_replicas
from tests.controller.world import world_with_a_topic


def test_an_illegal_transition_is_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    w = world_with_a_topic()
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


def test_the_last_member_stays_in_the_isr_without_leading() -> None:
    w = world_with_a_topic()
    context = w.controller()
    w.perform(move_replicas(context, Batch(context), [("t", 0, 1)], R.OFFLINE))
    w.perform(move_replicas(context, Batch(context), [("t", 0, 2)], R.OFFLINE))
    assert {"leader": -1, "isr": [2], "leader_epoch": 2}.items() <= w.state("t", 0).items()
    # Out of the ISR already: nothing is written.
    w.perform(move_replicas(context, Batch(context), [("t", 0, 1)], R.OFFLINE))
    assert 2 == w.state("t", 0)["zk"]


def test_a_new_replica_hears_of_its_leader_but_a_leader_is_never_new(caplog: pytest.LogCaptureFixture) -> None:
    w = world_with_a_topic()
    context = w.controller()
    w.requests_sent()
    batch = Batch(context)
    context.replica_states.clear()
    w.perform(move_replicas(context, batch, [("t", 0, 1), ("t", 0, 2)], R.NEW))
    w.sent += batch.send().requests
    assert "LAI>2 t-0:1[1,2]@0 new" == w.requests_sent()[0]
    assert R.NONEXISTENT is context.replica_state(("t", 0, 1))
    assert "cannot be new: it leads" in caplog.text
