"""Deleted topics: what brokers hear, and which znodes go when."""

from __future__ import annotations

import json

import pytest

from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.topics import PartitionNode, TopicNode
from kafkalike.controller import broker_changes, failover, topic_deletion
from kafkalike.controller.context import Context
from kafkalike.controller.effects import Children, DeleteNode, Steps, Write
from tests.controller.world import Crash, World, world_with, written
from tests.oracle import znodes_golden as golden


def test_deletion_ends_every_znode_and_tells_brokers_first() -> None:
    world = world_with(11, 12)
    world.topic("t", {0: (11, 12), 1: (12,)})
    context = world.controller(11)
    world.requests_sent()
    world.put("/admin/delete_topics/t")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
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
    ] == world.requests_sent()
    world.sent = sent
    world.asked.clear()
    world.attend(context)
    assert [] == world.children("/brokers/topics") == world.children("/config/topics")
    assert [] == world.children("/admin/delete_topics")
    assert {} == context.assignments == context.leaderships == context.replica_states
    assert set() == context.topics_to_delete | context.deletion_started | context.deletion_ineligible
    assert ["/brokers/topics/t", "/config/topics/t", "/admin/delete_topics/t"] == written(world)[-3:]


def test_what_somebody_else_put_below_a_topic_is_deleted_too() -> None:
    world = world_with(11, 12)
    world.topic("t", {0: (11,)})
    context = world.controller(11)
    world.put(TopicNode.path("t") + "/partitions/0/extra/deep")
    world.put("/admin/delete_topics/t")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    world.attend(context)
    assert [] == world.children("/brokers/topics")


def test_deletion_waits_for_a_dead_broker_and_goes_on_when_it_is_back() -> None:
    """Goldens 34, 35 and 36."""
    world = world_with(11, 12)
    world.topic("gold-d", {0: (11, 12), 1: (12, 11)})
    context = world.controller(11)
    world.remove("/brokers/ids/12")
    world.perform(broker_changes.brokers_changed(context))
    for partition, number in ((0, "34"), (1, "34")):
        path = PartitionNode.path("gold-d", partition)
        (node,) = [n for n in golden.dump(number)["changed"] if n["path"] == path]
        assert (json.loads(node["data"]), node["dataVersion"]) == _node(world, path)
    world.put("/admin/delete_topics/gold-d")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    world.attend(context)
    for node in golden.dump("35")["changed"]:
        assert (json.loads(node["data"]), node["dataVersion"]) == _node(world, node["path"])
    assert ["gold-d"] == world.children("/brokers/topics")
    assert {"gold-d"} == context.deletion_ineligible
    world.broker(12)
    world.perform(broker_changes.brokers_changed(context))
    world.attend(context)
    assert [] == [path for path in golden.dump("36")["deleted"] if path in world.nodes]
    assert {} == context.assignments


def _node(world: World, path: str) -> tuple[object, int]:
    return golden.parsed((world.nodes[path].data or b"").decode()), world.nodes[path].version


def test_a_deletion_that_has_begun_ends_though_somebody_removes_its_request() -> None:
    """The data are gone: a topic that stayed would be made anew, empty, at the next look."""
    world = world_with(11, 12)
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    del world.nodes["/admin/delete_topics/t"]
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    world.attend(context)
    assert [] == world.children("/brokers/topics") == world.children("/admin/delete_topics")


def test_a_replica_that_cannot_be_deleted_stops_the_deletion_until_its_broker_restarts() -> None:
    world = world_with(11, 12)
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    epochs = {broker_id: broker.epoch for broker_id, broker in context.brokers.items()}
    world.perform(topic_deletion.replicas_deleted(context, 11, epochs[11], [("t", 0, 11)], []))
    world.perform(topic_deletion.replicas_deleted(context, 12, epochs[12], [], [("t", 0, 12)]))
    assert {"t"} == context.deletion_ineligible
    assert ["t"] == world.children("/admin/delete_topics")
    world.sent.clear()
    world.broker(12)
    world.perform(broker_changes.brokers_changed(context))
    world.attend(context)
    assert [] == world.children("/brokers/topics")


def test_what_a_broker_answered_in_an_earlier_life_does_not_count() -> None:
    """Simulation, seed 450: it was refused there, came late, and the deletion waited for another restart."""
    world = world_with(11, 12)
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    before = context.brokers[12].epoch
    world.put("/admin/delete_topics/t")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    world.broker(12)
    world.perform(broker_changes.brokers_changed(context))
    world.perform(topic_deletion.replicas_deleted(context, 12, before, [], [("t", 0, 12)]))
    world.attend(context)
    assert [] == world.children("/brokers/topics") == world.children("/admin/delete_topics")


@pytest.mark.parametrize("ordered", [False, True], ids=["stays", "is to be deleted too"])
def test_what_ends_a_deletion_does_nothing_to_a_topic_made_anew_when_the_answer_was_lost(ordered: bool) -> None:
    """Simulation, seed 172: what ends a deletion is sent again, and somebody was quick. The order to delete the new
    topic is another one."""
    world = world_with(11, 12)
    world.topic("t", {0: (11, 12)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
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


def test_a_request_to_delete_what_is_unknown_or_may_not_be_deleted_is_removed() -> None:
    world = world_with(11, 12)
    world.topic("t", {0: (11,)})
    context = world.controller(11)
    world.put("/admin/delete_topics/unknown")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    assert [] == world.children("/admin/delete_topics")
    context.deletion_enabled = False
    world.put("/admin/delete_topics/t")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    assert [] == world.children("/admin/delete_topics")
    assert ["t"] == list(context.assignments)


def test_a_refused_request_is_not_the_next_one_by_that_name() -> None:
    world = world_with(11, 12)
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    (last,) = [effect for effect in world.asked if isinstance(effect, Write)][-1:]
    world.topic("t", {0: (11,)})
    world.put("/admin/delete_topics/t")
    world.perform(_again(last))
    assert ["t"] == world.children("/admin/delete_topics")


@pytest.mark.parametrize("taking_over", [False, True])
def test_a_topic_that_was_created_and_marked_for_deletion_since_topics_were_read_is_deleted(taking_over: bool) -> None:
    """The order is no order for a topic that is not there."""
    world = world_with(11, 12)
    if taking_over:
        context = Context(11, 1)
        steps = failover.take_over(context, world.new_id)
        world.perform(_while_read(world, steps))
    else:
        context = world.controller(11)
        _make_and_order(world)
        world.perform(topic_deletion.deletions_changed(context, world.new_id))
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


def test_a_topic_without_partitions_can_be_deleted() -> None:
    world = world_with(11, 12)
    world.put(TopicNode.path("empty"), b'{"version":3,"partitions":{}}')
    context = world.controller(11)
    world.put("/admin/delete_topics/empty")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    assert [] == world.children("/brokers/topics")


@pytest.mark.parametrize("step", range(40))
def test_deletion_that_is_cut_off_anywhere_is_ended_by_the_next_controller(step: int) -> None:
    world = world_with(11, 12)
    world.topic("t", {0: (11, 12), 1: (12,)})
    world.topic("kept", {0: (11, 12)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.crash_after = step
    try:
        world.perform(topic_deletion.deletions_changed(context, world.new_id))
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


def test_writes_of_a_deletion_are_asked_for_at_once() -> None:
    world = world_with(11, 12)
    world.topic("t", {p: (11, 12) for p in range(1000)})
    context = world.controller(11)
    world.put("/admin/delete_topics/t")
    world.asked.clear()
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    world.attend(context)
    writes = [effect for effect in world.asked if isinstance(effect, Write)]
    assert [1000, 1000, 2002, 3] == [len(effect.operations) for effect in writes]
    assert all(isinstance(operation, DeleteNode) for operation in writes[-1].operations)
