"""Elections on demand, and the balance of leaders."""

from __future__ import annotations

import json

import pytest

from kafkalike.cluster.znodes.admin import PreferredElectionNode
from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller import broker_changes, leader_election
from kafkalike.controller.context import Context, Partition
from kafkalike.controller.effects import Pause, Write
from kafkalike.controller.partition_state_machine import UNCLEAN_ELECTIONS
from kafkalike.errors import Error, KafkaError
from tests.controller.world import World, world_with


def world_of(*broker_ids: int, **settings: int) -> tuple[World, Context]:
    """Topic t: partitions that are led by others than they should."""
    world = World()
    for broker_id in broker_ids:
        world.broker(broker_id)
    world.topic("t", {0: (1, 2), 1: (1, 2), 2: (2, 1)})
    world.controller()
    for partition in (0, 1):
        world.put(PartitionNode.path("t", partition), PartitionNode(2, 1, (2, 1), 1).encode())
    context = world.controller(epoch=2, **settings)
    world.requests_sent()
    return world, context


def outcome(world: World, context: Context, partition: Partition, kind: int) -> int | Error:
    found = world.perform(leader_election.elect(context, [partition], kind))[partition]
    return found.error if isinstance(found, KafkaError) else found  # type: ignore[no-any-return]


def test_the_preferred_replica_leads_if_it_may() -> None:
    world, context = world_of(1, 2)
    assert 1 == outcome(world, context, ("t", 0), leader_election.PREFERRED)
    assert {"leader": 1, "isr": [2, 1], "leader_epoch": 2}.items() <= world.state("t", 0).items()
    assert ["LAI>1 t-0:1[2,1]@2", "LAI>2 t-0:1[2,1]@2"] == world.requests_sent()[:2]
    assert Error.ELECTION_NOT_NEEDED == outcome(world, context, ("t", 0), leader_election.PREFERRED)
    assert Error.UNKNOWN_TOPIC_OR_PARTITION == outcome(world, context, ("t", 9), leader_election.PREFERRED)
    world.put(PartitionNode.path("t", 1), PartitionNode(2, 5, (2,), 2).encode())
    context = world.controller(epoch=3)
    assert Error.PREFERRED_LEADER_NOT_AVAILABLE == outcome(world, context, ("t", 1), leader_election.PREFERRED)
    context.topics_to_delete.add("t")
    assert Error.INVALID_TOPIC_EXCEPTION == outcome(world, context, ("t", 1), leader_election.PREFERRED)


def test_an_unclean_election_on_demand_is_made_only_where_nobody_leads() -> None:
    world, context = world_of(1, 2)
    assert Error.ELECTION_NOT_NEEDED == outcome(world, context, ("t", 0), leader_election.UNCLEAN)
    world.put(PartitionNode.path("t", 0), PartitionNode(2, 5, (2,), 2).encode())
    world.remove("/brokers/ids/2")
    context = world.controller(epoch=3)
    assert -1 == world.state("t", 0)["leader"]
    assert 1 == outcome(world, context, ("t", 0), leader_election.UNCLEAN)
    assert {"leader": 1, "isr": [1], "leader_recovery_state": 1}.items() <= world.state("t", 0).items()
    world.put(PartitionNode.path("t", 2), PartitionNode(-1, 5, (7,), 3).encode())
    context = world.controller(epoch=4)
    world.remove("/brokers/ids/1")
    world.perform(broker_changes.brokers_changed(context))
    assert Error.ELIGIBLE_LEADERS_NOT_AVAILABLE == outcome(world, context, ("t", 2), leader_election.UNCLEAN)


def test_old_tools_write_a_znode() -> None:
    """Golden 19: it is gone when the election is over."""
    world, context = world_of(1, 2)
    world.put(PreferredElectionNode.path(), PreferredElectionNode.encode([("t", 0), ("t", 2), ("gone", 1)]))
    world.perform(leader_election.request_changed(context))
    assert PreferredElectionNode.path() not in world.nodes
    assert [1, 2, 2] == [world.state("t", p)["leader"] for p in range(3)]
    # The next controller finds a request that was written while there was none.
    world.put(PreferredElectionNode.path(), PreferredElectionNode.encode([("t", 1)]))
    world.controller(epoch=3)
    assert PreferredElectionNode.path() not in world.nodes and 1 == world.state("t", 1)["leader"]


@pytest.mark.parametrize("garbage", [b"", b"{", b'{"partitions":{}}', b'{"partitions":[{"topic":1,"partition":0}]}'])
def test_garbage_in_the_znode_is_dropped(garbage: bytes) -> None:
    world, context = world_of(1, 2)
    before = dict(world.nodes)
    world.put(PreferredElectionNode.path(), garbage)
    world.perform(leader_election.request_changed(context))
    assert before == dict(world.nodes) and [] == world.requests_sent()


def test_leadership_goes_back_where_too_much_of_it_is_elsewhere() -> None:
    world, context = world_of(1, 2, balance_ms=300_000, imbalance_percentage=50)
    assert [leader_election.BALANCE] == world.reminders
    world.perform(leader_election.balance(context))
    assert [1, 1, 2] == [world.state("t", p)["leader"] for p in range(3)]
    assert [leader_election.BALANCE] * 2 == world.reminders
    assert json.loads(world.nodes[PartitionNode.path("t", 0)].data or b"")["controller_epoch"] == 2
    world.requests_sent()
    world.perform(leader_election.balance(context))
    assert [] == world.requests_sent()


def test_a_little_imbalance_is_borne_and_moves_come_first() -> None:
    world, context = world_of(1, 2, balance_ms=300_000, imbalance_percentage=100)
    world.perform(leader_election.balance(context))
    assert [] == world.requests_sent()
    context.imbalance_percentage = 10
    context.set_assignment(("t", 2), context.assignment(("t", 2)).reassigned((1, 3)))
    world.perform(leader_election.balance(context))
    assert [] == world.requests_sent()


def test_elections_for_everything_are_held_a_slice_at_a_time() -> None:
    world = World()
    for broker_id in (1, 2):
        world.broker(broker_id)
    world.topic("t", {p: (1, 2) for p in range(1200)})
    world.controller()
    for p in range(1200):
        world.put(PartitionNode.path("t", p), PartitionNode(2, 1, (2, 1), 1).encode())
    context = world.controller(epoch=2)
    world.asked.clear()
    wanted = [("t", p) for p in range(1200)]
    assert {1} == set(world.perform(leader_election.elect(context, wanted, leader_election.PREFERRED)).values())
    writes = [len(effect.operations) for effect in world.asked if isinstance(effect, Write)]
    assert [500, 500, 200] == writes
    world.asked.clear()
    results = world.perform(leader_election.elect(context, wanted, leader_election.PREFERRED))
    assert {Error.ELECTION_NOT_NEEDED} == {result.error for result in results.values()}
    assert [Pause(), Pause()] == world.asked


def test_an_unclean_election_happens_only_where_it_is_allowed() -> None:
    world = world_with(1, 2)
    world.topic("safe", {0: (2, 1)})
    world.topic("loose", {0: (2, 1)}, {"unclean.leader.election.enable": "true"})
    context = world.controller()
    for topic in ("safe", "loose"):
        world.put(PartitionNode.path(topic, 0), PartitionNode(2, 3, (2,), 1).encode())
    context = world.controller(epoch=2)
    world.remove("/brokers/ids/2")
    counted = UNCLEAN_ELECTIONS.of().count
    world.perform(broker_changes.brokers_changed(context))
    assert counted + 1 == UNCLEAN_ELECTIONS.of().count
    assert {"leader": -1, "isr": [2]}.items() <= world.state("safe", 0).items()
    assert {"leader": 1, "isr": [1], "leader_recovery_state": 1}.items() <= world.state("loose", 0).items()
