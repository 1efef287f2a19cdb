"""New topics and partitions: which znodes the controller makes, and what brokers hear."""

from __future__ import annotations

import json

import pytest

from kafkalike.cluster.znodes.topics import PartitionNode, TopicNode
from kafkalike.controller import topic_creation, topic_deletion
from kafkalike.controller.context import PartitionState, ReplicaState
from kafkalike.controller.effects import CreateNode, Write
from tests.controller.world import Crash, replicas, world_with, written
from tests.oracle import znodes_golden as golden


def test_a_new_topic_gets_the_znodes_that_kafka_makes_in_its_order() -> None:
    world = world_with(11, 12)
    context = world.controller(11)
    world.asked.clear()
    world.topic("gold-d", {0: (11, 12), 1: (12, 11)})
    before = set(world.nodes)
    world.perform(topic_creation.topics_changed(context, world.new_id))
    dump = golden.dump("33")["created"]
    expected = {node["path"]: json.loads(node["data"]) for node in dump if node["path"].endswith("/state")}
    made = [path for path in world.nodes if path not in before]
    assert expected == {path: json.loads(world.nodes[path].data or b"") for path in made if path.endswith("/state")}
    dumped = sorted((n for n in dump if n["path"].startswith("/brokers/topics/gold-d/")), key=lambda n: n["czxid"])
    assert [node["path"] for node in dumped] == written(world) == made
    assert "/brokers/topics/gold-d" in world.listening


def test_each_broker_hears_once_what_it_leads_and_follows() -> None:
    world = world_with(11, 12)
    context = world.controller(11)
    world.requests_sent()
    world.topic("t", {0: (11, 12), 1: (12,)})
    world.perform(topic_creation.topics_changed(context, world.new_id))
    assert [
        "LAI>11 t-0:11[11,12]@0 new",
        "LAI>12 t-0:11[11,12]@0 new t-1:12[12]@0 new",
        "UM>11 t-0:11[11,12]@0 t-1:12[12]@0",
        "UM>12 t-0:11[11,12]@0 t-1:12[12]@0",
    ] == world.requests_sent()
    assert {PartitionState.ONLINE} == set(context.partition_states.values())
    assert {ReplicaState.ONLINE} == set(context.replica_states.values())
    world.perform(topic_creation.topics_changed(context, world.new_id))
    assert [] == world.requests_sent()


def test_only_live_replicas_are_in_the_first_isr() -> None:
    world = world_with(11, 12)
    context = world.controller(11)
    world.requests_sent()
    world.topic("t", {0: (99, 12, 11), 1: (99,)})
    world.perform(topic_creation.topics_changed(context, world.new_id))
    assert {"leader": 12, "isr": [12, 11]}.items() <= world.state("t", 0).items()
    assert PartitionNode.path("t", 1) not in world.nodes
    assert PartitionState.NEW is context.partition_states["t", 1]
    assert ["LAI>11 t-0:12[12,11]@0 new", "LAI>12 t-0:12[12,11]@0 new"] == world.requests_sent()[:2]


def test_a_topic_without_an_id_is_given_one() -> None:
    world = world_with(11, 12)
    world.put(TopicNode.path("old"), b'{"version":1,"partitions":{"0":[11]}}')
    context = world.controller(11)
    assert world.new_id() == context.topic_id("old")
    assert world.new_id() == TopicNode.decode(world.nodes[TopicNode.path("old")].data, "old").topic_id


def test_garbage_in_a_topic_hides_that_topic_only(caplog: pytest.LogCaptureFixture) -> None:
    world = world_with(11, 12)
    world.put(TopicNode.path("bad"), b'{"partitions":{"0":["x"]}}')
    world.topic("good", {0: (11,)})
    context = world.controller(11)
    assert ["good"] == list(context.assignments)
    assert 1 == len(caplog.records)
    world.topic("bad", {0: (12,)})
    world.perform(topic_creation.topic_changed(context, "bad"))
    assert 12 == world.state("bad", 0)["leader"]


def test_a_state_that_is_there_already_is_adopted_if_it_is_what_was_wanted() -> None:
    world = world_with(11, 12)
    context = world.controller(11)
    world.topic("t", {0: (11, 12), 1: (11, 12)})
    world.put(PartitionNode.path("t", 0), PartitionNode(11, 0, (11, 12), 1).encode())
    world.put(PartitionNode.path("t", 1), PartitionNode(12, 5, (12,), 1).encode())
    world.perform(topic_creation.topics_changed(context, world.new_id))
    assert PartitionState.ONLINE is context.partition_states["t", 0]
    assert PartitionState.NEW is context.partition_states["t", 1]
    assert {"leader": 12, "leader_epoch": 5, "zk": 0}.items() <= world.state("t", 1).items()


def test_added_partitions_get_leaders_and_the_others_are_left_alone() -> None:
    world = world_with(11, 12)
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    world.requests_sent()
    world.topic("t", {0: (11, 12), 1: (12, 11)})
    world.perform(topic_creation.topic_changed(context, "t"))
    assert ["LAI>11 t-1:12[12,11]@0 new", "LAI>12 t-1:12[12,11]@0 new"] == world.requests_sent()[:2]
    assert 0 == world.state("t", 0)["zk"]
    world.perform(topic_creation.topic_changed(context, "t"))
    world.perform(topic_creation.topic_changed(context, "never-heard-of"))
    assert [] == world.requests_sent()


def test_a_vanished_topic_is_forgotten() -> None:
    world = world_with(11, 12)
    world.topic("t", {0: (11,)})
    context = world.controller(11)
    world.remove(TopicNode.path("t"))
    world.perform(topic_creation.topics_changed(context, world.new_id))
    assert {} == context.assignments == context.leaderships == context.replica_states
    assert TopicNode.path("t") not in world.listening


def test_partitions_added_to_a_topic_that_is_being_deleted_are_taken_back() -> None:
    world = world_with(11, 12)
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    world.topic("t", {0: (11, 12), 1: (12,)})
    world.perform(topic_creation.topic_changed(context, "t"))
    assert (11, 12) == replicas(world, ("t", 0))
    assert [0] == list(context.assignments["t"])


@pytest.mark.parametrize("step", range(30))
def test_creation_that_is_cut_off_anywhere_is_ended_by_the_next_controller(step: int) -> None:
    world = world_with(11, 12)
    context = world.controller(11)
    world.topic("t", {0: (11, 12), 1: (12, 11)})
    world.crash_after = step
    try:
        world.perform(topic_creation.topics_changed(context, world.new_id))
        world.crash_after = None
    except Crash:
        world.crash_after = None
        context = world.controller(12, epoch=2)
    for p, leader in ((0, 11), (1, 12)):
        state = world.state("t", p)
        assert (leader, {11, 12}) == (state["leader"], set(state["isr"]))
    assert {PartitionState.ONLINE} == set(context.partition_states.values())


def test_a_large_topic_is_made_in_slices_and_told_to_clients_at_once() -> None:
    world = world_with(11, 12)
    context = world.controller(11)
    world.requests_sent()
    world.topic("t", {p: (11, 12) for p in range(1200)})
    world.asked.clear()
    world.perform(topic_creation.topics_changed(context, world.new_id))
    writes = [effect for effect in world.asked if isinstance(effect, Write)]
    assert [1001, 1000, 400] == [len(write.operations) for write in writes]
    assert all(isinstance(operation, CreateNode) for write in writes for operation in write.operations)
    told = [(letter.split()[0], letter.count(" t-")) for letter in world.requests_sent()]
    orders = [(kind, count) for size in (500, 500, 200) for kind, count in (("LAI>11", size), ("LAI>12", size))]
    assert [*orders, ("UM>11", 1200), ("UM>12", 1200)] == told
