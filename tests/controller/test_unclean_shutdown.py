"""A broker that was not stopped cleanly leaves the ISRs, or is marked as suspect in them."""

from __future__ import annotations

from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller import broker_changes
from tests.controller.unclean import crashed, has, marked, questions, world_of


def test_A4_a_broker_that_crashed_leaves_the_isr_while_another_member_is_live() -> None:
    world, context = world_of(1, 2, 3)
    world.sent = []
    # The broker restarts so quickly that the controller sees only another registration.
    crashed(world, 2)
    world.perform(broker_changes.brokers_changed(context))
    has(world, leader=1, isr=[1, 3])
    assert not marked(world, 2)
    assert not context.brokers[2].node.unclean or not marked(world, 2)
    # A leader too; and it is not struck again once it is back in the ISR, for its mark is gone.
    crashed(world, 1)
    world.perform(broker_changes.brokers_changed(context))
    has(world, leader=3, isr=[3])
    world.put(PartitionNode.path("t", 0), PartitionNode(3, 9, (3, 1), 1).encode())
    context = world.controller(3, epoch=2)
    has(world, leader=3, leader_epoch=9, isr=[3, 1])


def test_A4_a_state_that_was_written_before_the_controller_read_the_registration_proves_nothing() -> None:
    """Simulation, seed 962: 2 is back with an empty disk before the controller has noticed that it was gone."""
    world, context = world_of(1, 2, 3)
    crashed(world, 2)
    world.put(PartitionNode.path("t", 0), PartitionNode(2, 5, (2,), 1, former=(3,)).encode())
    world.perform(broker_changes.brokers_changed(context))
    has(world, leader=-1, isr=[2], suspect_isr=[2])


def test_a_single_replica_leads_on_without_a_comparison() -> None:
    world, context = world_of(1)
    crashed(world, 1)
    world.controller(1, epoch=2)
    has(world, leader=1, isr=[1], suspect_isr=None, zk=0)
    assert [] == questions(world) and not marked(world, 1)


def test_a_leader_without_another_log_to_compare_leads_on_in_another_epoch() -> None:
    """Simulation, seed 180377: the last broker loses power, elects itself, and writes other records at the offsets of
    those that it has lost. A replica that has copied the lost ones would never notice."""
    world, _ = world_of(1, 2, 3)
    world.put(PartitionNode.path("t", 0), PartitionNode(1, 5, (1,), 1).encode())
    world.remove(BrokerNode.path(2))
    world.remove(BrokerNode.path(3))
    crashed(world, 1)
    world.controller(1, epoch=2)
    has(world, leader=1, leader_epoch=6, isr=[1], suspect_isr=None)
    assert [] == questions(world) and not marked(world, 1)
