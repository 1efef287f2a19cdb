"""How a controller begins its term."""

from __future__ import annotations

import json

import pytest

from kafkalike.cluster.znodes import encoding
from kafkalike.cluster.znodes.brokers import BrokerNode, Endpoint
from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.cluster.znodes.encoding import OncePerContent
from kafkalike.cluster.znodes.topics import PartitionNode, TopicNode
from kafkalike.controller import broker_changes, failover, topic_creation
from kafkalike.controller.context import PartitionState
from kafkalike.controller.effects import Children, Connect, Listen, Probe, PutFeatures, Read, Send, Superseded, Write
from kafkalike.protocol.messages import update_metadata
from tests.controller.world import Crash, told_everything, world_with
from tests.oracle import znodes_golden as golden


def test_the_order_of_a_take_over() -> None:
    world = world_with(1)
    world.topic("t", {0: (1,)})
    world.put("/log_dir_event_notification/log_dir_event_0000000000", b"{}")
    world.put("/isr_change_notification/isr_change_0000000000", b"{}")
    world.controller()
    kinds = [type(effect) for effect in world.asked]
    assert [
        Read, PutFeatures, Listen,  # features; listening comes before the reads
        Children, Write, Children, Write,  # old notifications
        Children, Read, Probe,  # brokers
        Children, Listen, Read, Listen, Read,  # topics, their nodes, brokers' nodes, states
        Connect, Children, Send,  # channels, deletions, and everybody hears who is alive
        Write, Send,  # replicas and partitions
        Read, Read,  # what old tools have written
    ] == kinds  # fmt: skip
    nodes = {"/admin/reassign_partitions", "/admin/preferred_replica_election", "/brokers/topics/t", "/brokers/ids/1"}
    assert set(failover.DIRECTORIES) | nodes == world.listening
    assert {"features": {}, "version": 2, "status": 1} == json.loads(world.nodes["/feature"].data or b"")
    assert [] == world.children("/log_dir_event_notification") == world.children("/isr_change_notification")


def test_every_broker_hears_of_the_live_brokers_before_anybody_leads() -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (1, 2)})
    world.controller()
    assert ["UM>1", "UM>2", "LAI>1 t-0:1[1,2]@0 new", "LAI>2 t-0:1[1,2]@0 new"] == world.requests_sent()[:4]


def test_a_current_feature_node_is_left_alone() -> None:
    world = world_with(1)
    world.put("/feature", b'{"features":{},"version":2,"status":1}')
    world.controller()
    assert 0 == world.nodes["/feature"].version
    world.put("/feature", b'{"features":{},"version":1,"status":0}')
    world.controller(epoch=2)
    assert 2 == world.nodes["/feature"].version


def test_a_partition_of_the_dead_controller_takes_two_steps() -> None:
    """Golden 47: the ISR shrinks and the leader goes to -1, then another one is elected."""
    world = world_with(11, 12)
    world.topic("gold-e", {0: (11, 12), 1: (12, 11)})
    world.topic("gold-cc", {0: (11,)})
    world.controller(11)
    world.requests_sent()
    world.remove("/brokers/ids/11")
    context = world.controller(12, epoch=2)
    states = {
        node["path"]: (json.loads(node["data"]), node["dataVersion"])
        for node in golden.dump("47")["timeline"]
        if node["event"] == "changed" and node["path"].endswith("/state")
    }
    assert states, "the dump has the steps"
    assert {"leader": 12, "leader_epoch": 2, "isr": [12], "controller_epoch": 2, "zk": 2}.items() <= world.state(
        "gold-e", 0
    ).items()
    assert {"leader": 12, "leader_epoch": 1, "isr": [12]}.items() <= world.state("gold-e", 1).items()
    # No broker hears of the first step: a client that is told of no leader may not ask again for a second.
    assert [
        "UM>12",
        "LAI>12 gold-e-0:12[12]@2 gold-e-1:12[12]@1",
        "UM>12 gold-e-0:12[12]@2 gold-e-1:12[12]@1 gold-cc-0:-1[11]@1",
    ] == world.requests_sent()
    assert {"leader": -1, "leader_epoch": 1, "isr": [11]}.items() <= world.state("gold-cc", 0).items()
    assert PartitionState.OFFLINE is context.partition_states["gold-cc", 0]
    world.broker(11)
    world.perform(broker_changes.brokers_changed(context))
    (node,) = [n for n in golden.dump("47")["changed"] if n["path"] == PartitionNode.path("gold-cc", 0)]
    assert json.loads(node["data"]).items() <= world.state("gold-cc", 0).items()
    assert node["dataVersion"] == world.state("gold-cc", 0)["zk"]


def test_a_state_of_a_newer_controller_ends_the_term() -> None:
    world = world_with(1)
    world.topic("t", {0: (1,)})
    world.put(PartitionNode.path("t", 0), PartitionNode(1, 0, (1,), 7).encode())
    world.put(ControllerEpoch.path(), b"7")
    with pytest.raises(Superseded):
        world.controller(epoch=6)


def test_a_state_of_a_controller_that_there_never_was_is_garbage(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise no broker could be the controller, and each would try again at once."""
    world = world_with(1)
    world.topic("t", {0: (1,), 1: (1,)})
    world.put(PartitionNode.path("t", 0), PartitionNode(1, 0, (1,), 7).encode())
    world.put(ControllerEpoch.path(), b"6")
    before = world.nodes[PartitionNode.path("t", 0)]
    world.controller(epoch=6)
    assert before == world.nodes[PartitionNode.path("t", 0)]
    assert 1 == world.state("t", 1)["leader"]
    said = {record.getMessage() for record in caplog.records}
    assert f"znode {PartitionNode.path('t', 0)} is ignored: there is no controller epoch 7" in said


def test_garbage_anywhere_is_one_line_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    world = world_with(1)
    world.topic("t", {0: (1,), 1: (1,)})
    world.put(PartitionNode.path("t", 0), b"\x00\xff")
    world.put("/brokers/ids/5", b"nonsense")
    world.put("/brokers/ids/6", b'{"version":5,"endpoints":[]}')
    world.put("/brokers/ids/seven", b"")
    world.put("/brokers/topics/bad", b"[]")
    world.put("/feature", b"][")
    world.put("/admin/delete_topics/unknown", b"?")
    once = OncePerContent()
    encoding.log.addFilter(once)
    context = world.controller()
    encoding.log.removeFilter(once)
    assert [1] == list(context.brokers)
    assert ["t"] == list(context.assignments)
    assert 1 == world.state("t", 1)["leader"]
    assert b"\x00\xff" == world.nodes[PartitionNode.path("t", 0)].data
    lines = [record.getMessage() for record in caplog.records]
    for path in (PartitionNode.path("t", 0), "/brokers/ids/5", "/brokers/ids/6", "/brokers/topics/bad"):
        assert 1 == len([line for line in lines if path in line])


def test_a_new_controller_carries_out_deletions_that_were_asked_for_before() -> None:
    world = world_with(1)
    world.topic("t", {0: (1,)})
    world.put("/admin/delete_topics/t")
    world.put("/admin/delete_topics/unknown")
    context = world.controller()
    world.attend(context)
    assert [] == world.children("/brokers/topics") == world.children("/admin/delete_topics")


def test_deletions_are_dropped_where_they_are_not_allowed() -> None:
    world = world_with(1)
    world.topic("t", {0: (1,)})
    world.put("/admin/delete_topics/t")
    world.controller(deletion_enabled=False)
    assert [] == world.children("/admin/delete_topics")
    assert 1 == world.state("t", 0)["leader"]


@pytest.mark.parametrize("step", range(45))
def test_B11_a_fail_over_that_is_cut_off_anywhere_is_ended_by_the_next_controller(step: int) -> None:
    world = world_with(1, 2, 3)
    world.topic("t", {0: (1, 2, 3), 1: (2, 3), 2: (3,)})
    world.controller()
    world.remove("/brokers/ids/3")
    world.crash_after = step
    try:
        context = world.controller(2, epoch=2)
        world.crash_after = None
    except Crash:
        world.crash_after = None
        context = world.controller(1, epoch=3)
    assert {1: 2, 0: 1} == {p: world.state("t", p)["leader"] for p in (1, 0)}
    assert [[1, 2], [2]] == [world.state("t", p)["isr"] for p in (0, 1)]
    assert -1 == world.state("t", 2)["leader"]
    assert {("t", 2)} == set(context.partitions_in(PartitionState.OFFLINE))


def test_a_new_controller_gives_no_leadership_to_who_is_not_there() -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (2, 1)})
    world.refusing = {2}
    context = world.controller()
    assert {"leader": 1, "isr": [1]}.items() <= world.state("t", 0).items()
    assert {1} == world.connected and {2} == world.awaited
    # New partitions neither.
    world.topic("u", {0: (2, 1)})

    world.perform(topic_creation.topics_changed(context, world.new_id))
    assert {"leader": 1, "isr": [1]}.items() <= world.state("u", 0).items()


@pytest.mark.parametrize("path", [PartitionNode.path("t", 0), TopicNode.path("t")])
def test_no_broker_is_told_that_this_is_everything_while_a_topic_cannot_be_read(path: str) -> None:
    """A broker that believed it would drop the topic, and the offsets of its groups."""
    world = world_with(1)
    world.topic("t", {0: (1,)})
    world.topic("u", {0: (1,)})
    readable = world.nodes[TopicNode.path("t")].data
    world.put(path, b"garbage")
    context = world.controller()
    assert [] == told_everything(world)
    assert ["u"] == [topic.topic_name for _, request in world.sent[-1:] for topic in request.topic_states]
    if path == TopicNode.path("t"):
        world.put(path, readable)
        world.perform(topic_creation.topic_changed(context, "t"))
        world.broker(2)
        world.perform(broker_changes.brokers_changed(context))
        assert [(2, ["t", "u"])] == told_everything(world)


def test_a_topic_that_never_had_a_leader_keeps_no_broker_from_being_told_everything() -> None:
    """No broker can know more of such a topic than its name."""
    world = world_with(1)
    world.topic("t", {0: (1,)})
    world.topic("never", {0: (9,), 1: (8, 9)})
    context = world.controller()
    assert [(1, ["t"])] == told_everything(world)
    world.topic("later", {0: (9,)})
    world.perform(topic_creation.topics_changed(context, world.new_id))
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    assert (2, ["t"]) == told_everything(world)[-1]


def test_a_state_that_the_controller_finds_at_the_first_election_and_cannot_use_keeps_everything_back() -> None:
    world = world_with(1)
    world.topic("t", {0: (1,)})
    context = world.controller()
    world.topic("found", {0: (1,)})
    world.put(PartitionNode.path("found", 0), PartitionNode(2, 3, (2,), 1).encode())
    world.perform(topic_creation.topics_changed(context, world.new_id))
    before = told_everything(world)
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    assert before == told_everything(world)


def test_a_topic_that_could_not_be_read_and_is_gone_does_not_count() -> None:
    world = world_with(1)
    world.topic("u", {0: (1,)})
    world.put(TopicNode.path("t"), b"garbage")
    context = world.controller()
    del world.nodes[TopicNode.path("t")]
    world.perform(topic_creation.topics_changed(context, world.new_id))
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    assert [(2, ["u"])] == told_everything(world)


def test_a_broker_of_apaches_is_told_all_without_a_word_that_its_own_controllers_do_not_use() -> None:
    world = world_with(1, 2)
    world.put(BrokerNode.path(2), BrokerNode((Endpoint("PLAINTEXT", "PLAINTEXT", "h2", 9092),)).encode())
    world.topic("t", {0: (1,)})
    world.controller()
    assert [(1, ["t"])] == told_everything(world)
    assert [1, 2] == [i for i, request in world.sent if isinstance(request, update_metadata.Request)][-2:]
