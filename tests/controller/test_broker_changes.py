"""Brokers that start, fail, come back or leave."""

from __future__ import annotations

from kafkalike.cluster.znodes.brokers import BrokerNode, Endpoint
from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller import broker_changes, topic_creation
from kafkalike.controller.context import ReplicaState
from tests.controller.world import told_everything, world_with


def test_a_new_broker_hears_everything_and_the_others_hear_of_it() -> None:
    world = world_with(1)
    world.topic("t", {0: (1, 2), 1: (2,)})
    context = world.controller()
    world.requests_sent()
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    assert [
        "UM>1",
        "UM>2 t-0:1[1]@0",
        "LAI>2 t-0:1[1]@0",
        "UM>1 t-0:1[1]@0",
        "UM>2 t-0:1[1]@0",
        "LAI>2 t-1:2[2]@0 new",
        "UM>1 t-1:2[2]@0",
        "UM>2 t-1:2[2]@0",
    ] == world.requests_sent()
    assert {1, 2} == world.connected and "/brokers/ids/2" in world.listening


def test_a_dead_brokers_partitions_get_other_leaders_then_it_leaves_the_isrs() -> None:
    world = world_with(1, 2, 3)
    world.topic("t", {0: (2, 1, 3), 1: (1, 2, 3), 2: (2,)})
    context = world.controller()
    world.requests_sent()
    world.remove("/brokers/ids/2")
    world.perform(broker_changes.brokers_changed(context))
    assert {"leader": 1, "leader_epoch": 1, "isr": [1, 3], "zk": 1}.items() <= world.state("t", 0).items()
    assert {"leader": 1, "leader_epoch": 1, "isr": [1, 3], "zk": 1}.items() <= world.state("t", 1).items()
    assert {"leader": -1, "leader_epoch": 1, "isr": [2], "zk": 1}.items() <= world.state("t", 2).items()
    letters = world.requests_sent()
    assert ["LAI>1 t-0:1[1,3]@1", "LAI>3 t-0:1[1,3]@1"] == letters[:2]
    assert not any(">2" in letter for letter in letters)
    assert {1, 3} == world.connected and "/brokers/ids/2" not in world.listening
    assert ReplicaState.OFFLINE is context.replica_state(("t", 2, 2))


def test_a_dead_broker_without_replicas_is_told_to_the_others() -> None:
    world = world_with(1, 2)
    context = world.controller()
    world.requests_sent()
    world.remove("/brokers/ids/2")
    world.perform(broker_changes.brokers_changed(context))
    assert ["UM>1"] == world.requests_sent()


def test_a_broker_that_was_away_between_two_looks_is_treated_as_dead_then_new() -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (2, 1), 1: (2,)})
    context = world.controller()
    old = context.brokers[2].epoch
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    assert old < context.brokers[2].epoch
    assert {"leader": 1, "leader_epoch": 1, "isr": [1]}.items() <= world.state("t", 0).items()
    assert {"leader": 2, "leader_epoch": 2, "isr": [2]}.items() <= world.state("t", 1).items()
    epochs = {request.broker_epoch for broker_id, request in world.sent if broker_id == 2}
    assert context.brokers[2].epoch == max(epochs)
    assert {1, 2} == world.connected
    world.requests_sent()
    world.perform(broker_changes.brokers_changed(context))
    assert [] == world.requests_sent()


def test_new_endpoints_are_told_to_everybody() -> None:
    world = world_with(1, 2)
    context = world.controller()
    world.requests_sent()
    world.perform(broker_changes.broker_modified(context, 2))
    assert [] == world.requests_sent()
    world.put(BrokerNode.path(2), BrokerNode((Endpoint("PLAINTEXT", "PLAINTEXT", "new", 1),)).encode())
    world.perform(broker_changes.broker_modified(context, 2))
    assert "new" == context.brokers[2].node.endpoints[0].host
    assert ["UM>1", "UM>2"] == world.requests_sent()


def test_a_leaving_broker_hands_over_and_leaves_the_isrs() -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (1, 2), 1: (2, 1), 2: (1,)})
    context = world.controller()
    world.requests_sent()
    assert [] == world.perform(broker_changes.shut_down(context, 1))
    assert {"leader": 2, "isr": [2], "leader_epoch": 1}.items() <= world.state("t", 0).items()
    assert {"leader": 2, "isr": [2], "leader_epoch": 1}.items() <= world.state("t", 1).items()
    assert {"leader": 1, "isr": [1], "zk": 0}.items() <= world.state("t", 2).items()
    assert "SR>1 t-1 @0" in world.requests_sent()
    assert [("t", 0), ("t", 1)] == world.perform(broker_changes.shut_down(context, 2))


def test_a_broker_is_presumed_dead_until_it_answers_or_registers_anew() -> None:
    world = world_with(1, 2, 3)
    world.topic("t", {0: (2, 1, 3)})
    context = world.controller()
    world.requests_sent()
    epoch = context.brokers[2].epoch
    world.perform(broker_changes.presume_dead(context, 2, epoch))
    assert {"leader": 1, "isr": [1, 3]}.items() <= world.state("t", 0).items()
    assert {2} == world.awaited and 2 not in world.connected
    assert not any(">2" in letter for letter in world.requests_sent())
    # The broker is still registered, and that changes nothing.
    world.perform(broker_changes.brokers_changed(context))
    assert [] == world.requests_sent() and {1, 3} == set(context.brokers)
    world.perform(broker_changes.broker_answers(context, 2, epoch - 1))
    assert [2] == list(context.presumed_dead)
    world.perform(broker_changes.broker_answers(context, 2, epoch))
    assert {1, 2, 3} == set(context.brokers) == world.connected and {} == context.presumed_dead
    assert any(letter.startswith("LAI>2 t-0:1[1,3]") for letter in world.requests_sent())
    world.perform(broker_changes.presume_dead(context, 2, epoch))
    world.broker(2)
    world.requests_sent()
    world.perform(broker_changes.brokers_changed(context))
    assert {1, 2, 3} == set(context.brokers) and {} == context.presumed_dead
    assert any(letter.startswith("LAI>2 t-0:1[1,3]") for letter in world.requests_sent())


def test_a_broker_that_is_presumed_dead_leaves_the_metadata_when_its_registration_goes() -> None:
    world = world_with(1, 2, 3)
    world.topic("t", {0: (1, 2)})
    context = world.controller()
    world.perform(broker_changes.presume_dead(context, 3, context.brokers[3].epoch))
    world.requests_sent()
    world.remove("/brokers/ids/3")
    world.perform(broker_changes.brokers_changed(context))
    told = [(to, {live.id for live in request.live_brokers}) for to, request in world.sent]
    assert [(1, {1, 2}), (2, {1, 2})] == sorted(told)


def test_a_presumption_is_about_one_life_and_never_about_the_controller_itself() -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (2, 1), 1: (1, 2)})
    context = world.controller()
    world.requests_sent()
    world.perform(broker_changes.presume_dead(context, 2, context.brokers[2].epoch - 1))
    world.perform(broker_changes.presume_dead(context, 1, context.brokers[1].epoch))
    world.perform(broker_changes.presume_dead(context, 9, 1))
    assert {1, 2} == set(context.brokers) and [] == world.requests_sent()


def test_no_unclean_election_is_made_on_a_presumption() -> None:
    world = world_with(1, 2)
    world.topic("loose", {0: (2, 1)}, {"unclean.leader.election.enable": "true"})
    context = world.controller()
    world.put(PartitionNode.path("loose", 0), PartitionNode(2, 3, (2,), 1).encode())
    context = world.controller(epoch=2)
    world.perform(broker_changes.presume_dead(context, 2, context.brokers[2].epoch))
    assert {"leader": -1, "isr": [2]}.items() <= world.state("loose", 0).items()
    # The next controller, which tries the addresses itself, makes no unclean election either.
    world.refusing = {2}
    context = world.controller(epoch=3)
    assert {"leader": -1, "isr": [2]}.items() <= world.state("loose", 0).items()
    assert [2] == list(context.presumed_dead)
    world.remove("/brokers/ids/2")
    world.perform(broker_changes.brokers_changed(context))
    assert {"leader": 1, "isr": [1], "leader_recovery_state": 1}.items() <= world.state("loose", 0).items()
    assert {} == context.presumed_dead


def test_a_broker_that_may_have_missed_the_end_of_a_topic_is_told_everything_there_is() -> None:
    """A broker that comes, and everybody by a new controller: nobody hears of a deletion while it has no session."""
    world = world_with(1, 2)
    world.topic("t", {0: (1,)})
    context = world.controller()
    assert [(1, ["t"]), (2, ["t"])] == told_everything(world)
    world.sent.clear()
    world.topic("u", {0: (1,)})
    world.perform(topic_creation.topics_changed(context, world.new_id))
    assert [] == told_everything(world)
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    assert [(2, ["t", "u"])] == told_everything(world)
