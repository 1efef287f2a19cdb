"""Topics created, extended and deleted, and what the brokers hear of it."""

from __future__ import annotations

import json

import pytest

from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.topics import PartitionNode, TopicNode
from kafkalike.controller import changes, failover
from kafkalike.controller.context import Context, PartitionState, ReplicaState
from kafkalike.controller.effects import Children, CreateNode, DeleteNode, Steps, Write
from tests.controller.world import Crash, World, replicas
from tests.oracle import znodes_golden as golden


def written(world: World) -> list[str]:
    """Paths of all writes, in order."""
    return [op.path for effect in world.asked if isinstance(effect, Write) for op in effect.operations]


def two_brokers() -> World:
    world = World()
    world.broker(11)
    world.broker(12, 9093)
    return world


def test_a_new_topic_gets_the_znodes_that_kafka_makes_in_its_order() -> None:
    world = two_brokers()
    context = world.controller(11)
    world.asked.clear()
    world.topic("gold-d", {0: (11, 12), 1: (12, 11)})
    before = set(world.nodes)
    world.perform(changes.topics_changed(context, world.new_id))
    dump = golden.dump("33")["created"]
    expected = {node["path"]: json.loads(node["data"]) for node in dump if node["path"].endswith("/state")}
    made = [path for path in world.nodes if path not in before]
    assert expected == {path: json.loads(world.nodes[path].data or b"") for path in made if path.endswith("/state")}
    dumped = sorted((n for n in dump if n["path"].startswith("/brokers/topics/gold-d/")), key=lambda n: n["czxid"])
    assert [node["path"] for node in dumped] == written(world) == made
    assert "/brokers/topics/gold-d" in world.listening


def test_each_broker_hears_once_what_it_leads_and_follows() -> None:
    world = two_brokers()
    context = world.controller(11)
    world.letters()
    world.topic("t", {0: (11, 12), 1: (12,)})
    world.perform(changes.topics_changed(context, world.new_id))
    assert [
        "LAI>11 t-0:11[11,12]@0 new",
        "LAI>12 t-0:11[11,12]@0 new t-1:12[12]@0 new",
        "UM>11 t-0:11[11,12]@0 t-1:12[12]@0",
        "UM>12 t-0:11[11,12]@0 t-1:12[12]@0",
    ] == world.letters()
    assert {PartitionState.ONLINE} == set(context.partition_states.values())
    assert {ReplicaState.ONLINE} == set(context.replica_states.values())
    world.perform(changes.topics_changed(context, world.new_id))
    assert [] == world.letters()


def test_only_live_replicas_are_in_the_first_isr() -> None:
    world = two_brokers()
    context = world.controller(11)
    world.letters()
    world.topic("t", {0: (99, 12, 11), 1: (99,)})
    world.perform(changes.topics_changed(context, world.new_id))
    assert {"leader": 12, "isr": [12, 11]}.items() <= world.state("t", 0).items()
    assert PartitionNode.path("t", 1) not in world.nodes
    assert PartitionState.NEW is context.partition_states["t", 1]
    assert ["LAI>11 t-0:12[12,11]@0 new", "LAI>12 t-0:12[12,11]@0 new"] == world.letters()[:2]


def test_a_topic_without_an_id_is_given_one() -> None:
    world = two_brokers()
    world.put(TopicNode.path("old"), b'{"version":1,"partitions":{"0":[11]}}')
    context = world.controller(11)
    assert world.new_id() == context.topic_id("old")
    assert world.new_id() == TopicNode.decode("old", world.nodes[TopicNode.path("old")].data).topic_id


def test_garbage_in_a_topic_hides_that_topic_only(caplog: pytest.LogCaptureFixture) -> None:
    world = two_brokers()
    world.put(TopicNode.path("bad"), b'{"partitions":{"0":["x"]}}')
    world.topic("good", {0: (11,)})
    context = world.controller(11)
    assert ["good"] == list(context.assignments)
    assert 1 == len(caplog.records)
    world.topic("bad", {0: (12,)})
    world.perform(changes.topic_changed(context, "bad"))
    assert 12 == world.state("bad", 0)["leader"]


def test_a_state_that_is_there_already_is_adopted_if_it_is_what_was_wanted() -> None:
    world = two_brokers()
    context = world.controller(11)
    world.topic("t", {0: (11, 12), 1: (11, 12)})
    world.put(PartitionNode.path("t", 0), PartitionNode(11, 0, (11, 12), 1).encode())
    world.put(PartitionNode.path("t", 1), PartitionNode(12, 5, (12,), 1).encode())
    world.perform(changes.topics_changed(context, world.new_id))
    assert PartitionState.ONLINE is context.partition_states["t", 0]
    assert PartitionState.NEW is context.partition_states["t", 1]
    assert {"leader": 12, "leader_epoch": 5, "zk": 0}.items() <= world.state("t", 1).items()


def test_added_partitions_get_leaders_and_the_others_are_left_alone() -> None:
    world = two_brokers()
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    world.letters()
    world.topic("t", {0: (11, 12), 1: (12, 11)})
    world.perform(changes.topic_changed(context, "t"))
    assert ["LAI>11 t-1:12[12,11]@0 new", "LAI>12 t-1:12[12,11]@0 new"] == world.letters()[:2]
    assert 0 == world.state("t", 0)["zk"]
    world.perform(changes.topic_changed(context, "t"))
    world.perform(changes.topic_changed(context, "never-heard-of"))
    assert [] == world.letters()


def test_a_vanished_topic_is_forgotten() -> None:
    world = two_brokers()
    world.topic("t", {0: (11,)})
    context = world.controller(11)
    world.remove(TopicNode.path("t"))
    world.perform(changes.topics_changed(context, world.new_id))
    assert {} == context.assignments == context.leaderships == context.replica_states
    assert TopicNode.path("t") not in world.listening


def test_deletion_ends_every_znode_and_tells_brokers_first() -> None:
    world = two_brokers()
    world.topic("t", {0: (11, 12), 1: (12,)})
    context = world.controller(11)
    world.letters()
    world.put("/admin/delete_topics/t")
    world.perform(changes.deletions_changed(context, world.new_id))
    # As in golden 23: one step of the leader epoch for each replica that stops, the last one stays in the ISR.
    assert {"leader": -1, "leader_epoch": 2, "isr": [12], "zk": 2}.items() <= world.state("t", 0).items()
    assert {"leader": -1, "leader_epoch": 1, "isr": [12], "zk": 1}.items() <= world.state("t", 1).items()
    sent = world.sent
    assert [
        "UM>11 t-0:-2[11,12]@0 t-1:-2[12]@0",
        "UM>12 t-0:-2[11,12]@0 t-1:-2[12]@0",
        "SR>11 t-0 @-2",
        "SR>12 t-0 @-2 t-1 @-2",
        "SR>11 t-0 delete @-2",
        "SR>12 t-0 delete @-2 t-1 delete @-2",
    ] == world.letters()
    world.sent = sent
    world.asked.clear()
    world.attend(context)
    assert [] == world.children("/brokers/topics") == world.children("/config/topics")
    assert [] == world.children("/admin/delete_topics")
    assert {} == context.assignments == context.leaderships == context.replica_states
    assert set() == context.topics_to_delete | context.deletion_started | context.deletion_ineligible
    assert ["/brokers/topics/t", "/config/topics/t", "/admin/delete_topics/t"] == written(world)[-3:]


def test_what_somebody_else_put_below_a_topic_is_deleted_too() -> None:
    world = two_brokers()
    world.topic("t", {0: (11,)})
    context = world.controller(11)
    world.put(TopicNode.path("t") + "/partitions/0/extra/deep")
    world.put("/admin/delete_topics/t")
    world.perform(changes.deletions_changed(context, world.new_id))
    world.attend(context)
    assert [] == world.children("/brokers/topics")


def test_deletion_waits_for_a_dead_broker_and_goes_on_when_it_is_back() -> None:
    """Goldens 34, 35 and 36."""
    world = two_brokers()
    world.topic("gold-d", {0: (11, 12), 1: (12, 11)})
    context = world.controller(11)
    world.remove("/brokers/ids/12")
    world.perform(failover.brokers_changed(context))
    for partition, number in ((0, "34"), (1, "34")):
        path = PartitionNode.path("gold-d", partition)
        (node,) = [n for n in golden.dump(number)["changed"] if n["path"] == path]
        assert (json.loads(node["data"]), node["dataVersion"]) == _node(world, path)
    world.put("/admin/delete_topics/gold-d")
    world.perform(changes.deletions_changed(context, world.new_id))
    world.attend(context)
    for node in golden.dump("35")["changed"]:
        assert (json.loads(node["data"]), node["dataVersion"]) == _node(world, node["path"])
    assert ["gold-d"] == world.children("/brokers/topics")
    assert {"gold-d"} == context.deletion_ineligible
    world.broker(12)
    world.perform(failover.brokers_changed(context))
    world.attend(context)
    assert [] == [path for path in golden.dump("36")["deleted"] if path in world.nodes]
    assert {} == context.assignments


def _node(world: World, path: str) -> tuple[object, int]:
    return golden.parsed((world.nodes[path].data or b"").decode()), world.nodes[path].version


def test_a_deletion_that_has_begun_ends_though_somebody_removes_its_order() -> None:
    """The data are gone: a topic that stayed would be made anew, empty, at the next look."""
    world = two_brokers()
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.perform(changes.deletions_changed(context, world.new_id))
    del world.nodes["/admin/delete_topics/t"]
    world.perform(changes.deletions_changed(context, world.new_id))
    world.attend(context)
    assert [] == world.children("/brokers/topics") == world.children("/admin/delete_topics")


def test_a_replica_that_cannot_be_deleted_stops_the_deletion_until_its_broker_restarts() -> None:
    world = two_brokers()
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.perform(changes.deletions_changed(context, world.new_id))
    epochs = {broker_id: broker.epoch for broker_id, broker in context.brokers.items()}
    world.perform(changes.replicas_deleted(context, 11, epochs[11], [("t", 0, 11)], []))
    world.perform(changes.replicas_deleted(context, 12, epochs[12], [], [("t", 0, 12)]))
    assert {"t"} == context.deletion_ineligible
    assert ["t"] == world.children("/admin/delete_topics")
    world.sent.clear()
    world.broker(12)
    world.perform(failover.brokers_changed(context))
    world.attend(context)
    assert [] == world.children("/brokers/topics")


def test_what_a_broker_answered_in_an_earlier_life_does_not_count() -> None:
    """Simulation, seed 450: it was refused there, came late, and the deletion waited for another restart."""
    world = two_brokers()
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    before = context.brokers[12].epoch
    world.put("/admin/delete_topics/t")
    world.perform(changes.deletions_changed(context, world.new_id))
    world.broker(12)
    world.perform(failover.brokers_changed(context))
    world.perform(changes.replicas_deleted(context, 12, before, [], [("t", 0, 12)]))
    world.attend(context)
    assert [] == world.children("/brokers/topics") == world.children("/admin/delete_topics")


@pytest.mark.parametrize("ordered", [False, True], ids=["stays", "is to be deleted too"])
def test_what_ends_a_deletion_does_nothing_to_a_topic_made_anew_when_the_answer_was_lost(ordered: bool) -> None:
    """Simulation, seed 172: what ends a deletion is sent again, and somebody was quick. The order to delete the new
    topic is another one."""
    world = two_brokers()
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.perform(changes.deletions_changed(context, world.new_id))
    world.attend(context)
    (last,) = [effect for effect in world.asked if isinstance(effect, Write)][-1:]
    assert 3 == len(last.operations)
    world.topic("t", {0: (12,)})
    if ordered:
        world.put("/admin/delete_topics/t")
    made = {path: node for path, node in world.nodes.items() if "/t" in path}
    world.perform(_again(last))
    assert made == {path: node for path, node in world.nodes.items() if "/t" in path}


def _again(effect: Write) -> Steps[None]:
    yield effect


def test_an_order_to_delete_what_is_unknown_or_may_not_be_deleted_is_removed() -> None:
    world = two_brokers()
    world.topic("t", {0: (11,)})
    context = world.controller(11)
    world.put("/admin/delete_topics/unknown")
    world.perform(changes.deletions_changed(context, world.new_id))
    assert [] == world.children("/admin/delete_topics")
    context.deletion_enabled = False
    world.put("/admin/delete_topics/t")
    world.perform(changes.deletions_changed(context, world.new_id))
    assert [] == world.children("/admin/delete_topics")
    assert ["t"] == list(context.assignments)


def test_a_refused_order_is_not_the_next_one_by_that_name() -> None:
    world = two_brokers()
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.perform(changes.deletions_changed(context, world.new_id))
    (last,) = [effect for effect in world.asked if isinstance(effect, Write)][-1:]
    world.topic("t", {0: (11,)})
    world.put("/admin/delete_topics/t")
    world.perform(_again(last))
    assert ["t"] == world.children("/admin/delete_topics")


@pytest.mark.parametrize("taking_over", [False, True])
def test_a_topic_that_was_made_and_ordered_to_be_deleted_since_topics_were_read_is_deleted(taking_over: bool) -> None:
    """The order is no order for a topic that is not there."""
    world = two_brokers()
    if taking_over:
        context = Context(11, 1)
        steps = failover.take_over(context, world.new_id)
        world.perform(_while_read(world, steps))
    else:
        context = world.controller(11)
        _make_and_order(world)
        world.perform(changes.deletions_changed(context, world.new_id))
    assert {"t"} == context.topics_to_delete
    world.attend(context)
    assert [] == world.children("/brokers/topics") == world.children("/admin/delete_topics")


def _make_and_order(world: World) -> None:
    world.topic("t", {0: (11, 12)})
    world.put("/admin/delete_topics/t")


def _while_read(world: World, steps: Steps[None]) -> Steps[None]:
    """The steps, and somebody who acts when the topics have been read."""
    outcome = None
    while True:
        try:
            effect = steps.send(outcome)
        except StopIteration:
            return
        outcome = yield effect
        if effect == Children(["/brokers/topics"]) and not outcome[0]:
            _make_and_order(world)


def test_partitions_added_to_a_topic_that_is_being_deleted_are_taken_back() -> None:
    world = two_brokers()
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.perform(changes.deletions_changed(context, world.new_id))
    world.topic("t", {0: (11, 12), 1: (12,)})
    world.perform(changes.topic_changed(context, "t"))
    assert (11, 12) == replicas(world, ("t", 0))
    assert [0] == list(context.assignments["t"])


def test_a_topic_without_partitions_can_be_deleted() -> None:
    world = two_brokers()
    world.put(TopicNode.path("empty"), b'{"version":3,"partitions":{}}')
    context = world.controller(11)
    world.put("/admin/delete_topics/empty")
    world.perform(changes.deletions_changed(context, world.new_id))
    assert [] == world.children("/brokers/topics")


@pytest.mark.parametrize("step", range(30))
def test_creation_that_is_cut_off_anywhere_is_ended_by_the_next_controller(step: int) -> None:
    world = two_brokers()
    context = world.controller(11)
    world.topic("t", {0: (11, 12), 1: (12, 11)})
    world.crash_after = step
    try:
        world.perform(changes.topics_changed(context, world.new_id))
        world.crash_after = None
    except Crash:
        world.crash_after = None
        context = world.controller(12, epoch=2)
    for p, leader in ((0, 11), (1, 12)):
        state = world.state("t", p)
        assert (leader, {11, 12}) == (state["leader"], set(state["isr"]))
    assert {PartitionState.ONLINE} == set(context.partition_states.values())


@pytest.mark.parametrize("step", range(40))
def test_deletion_that_is_cut_off_anywhere_is_ended_by_the_next_controller(step: int) -> None:
    world = two_brokers()
    world.topic("t", {0: (11, 12), 1: (12,)})
    world.topic("kept", {0: (11, 12)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.crash_after = step
    try:
        world.perform(changes.deletions_changed(context, world.new_id))
        world.attend(context)
        world.crash_after = None
    except Crash:
        world.crash_after = None
        world.sent.clear()
        context = world.controller(12, epoch=2)
        world.attend(context)
    assert ["kept"] == world.children("/brokers/topics")
    assert [] == world.children("/admin/delete_topics")
    assert EntityConfig.path("topics", "t") not in world.nodes
    assert ["kept"] == list(context.assignments)


def test_a_large_topic_is_made_in_slices_and_told_to_clients_at_once() -> None:
    world = two_brokers()
    context = world.controller(11)
    world.letters()
    world.topic("t", {p: (11, 12) for p in range(1200)})
    world.asked.clear()
    world.perform(changes.topics_changed(context, world.new_id))
    writes = [effect for effect in world.asked if isinstance(effect, Write)]
    assert [1001, 1000, 400] == [len(write.operations) for write in writes]
    assert all(isinstance(operation, CreateNode) for write in writes for operation in write.operations)
    told = [(letter.split()[0], letter.count(" t-")) for letter in world.letters()]
    orders = [(kind, count) for size in (500, 500, 200) for kind, count in (("LAI>11", size), ("LAI>12", size))]
    assert [*orders, ("UM>11", 1200), ("UM>12", 1200)] == told


def test_writes_of_a_deletion_are_asked_for_at_once() -> None:
    world = two_brokers()
    world.topic("t", {p: (11, 12) for p in range(1000)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.asked.clear()
    world.perform(changes.deletions_changed(context, world.new_id))
    world.attend(context)
    writes = [effect for effect in world.asked if isinstance(effect, Write)]
    assert [1000, 1000, 2002, 3] == [len(effect.operations) for effect in writes]
    assert all(isinstance(operation, DeleteNode) for operation in writes[-1].operations)
