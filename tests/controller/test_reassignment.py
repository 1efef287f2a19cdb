"""Partitions on their way to other brokers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kafkalike.cluster.znodes.admin import ReassignNode
from kafkalike.cluster.znodes.topics import Assignment, PartitionNode, TopicNode
from kafkalike.controller import broker_changes, isr, notifications, reassignment
from kafkalike.controller.context import Context, ReplicaState
from kafkalike.controller.effects import Pause, Write
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import alter_partition
from tests.controller.world import Crash, World
from tests.oracle import znodes_golden as golden

T = ("gold-r", 0)


def world_of(*broker_ids: int, replicas: tuple[int, ...] = (1,)) -> tuple[World, Context]:
    world = World()
    for broker_id in broker_ids:
        world.broker(broker_id)
    world.topic("gold-r", {0: replicas})
    context = world.controller()
    world.requests_sent()
    return world, context


def move(world: World, context: Context, *target: int) -> KafkaError | None:
    return world.perform(reassignment.reassign(context, {T: target or None}))[T]  # type: ignore[no-any-return]


def in_sync(world: World, context: Context, *members: int) -> None:
    """The leader finds that these are in sync, one after the other, as leaders do."""
    leadership = context.leaderships[T]
    request = alter_partition.Request(
        broker_id=leadership.leader,
        broker_epoch=context.brokers[leadership.leader].epoch,
        topics=[
            alter_partition.TopicData(
                topic_id=context.topic_id("gold-r"),
                partitions=[
                    alter_partition.PartitionData(
                        leader_epoch=leadership.leader_epoch,
                        partition_epoch=leadership.partition_epoch,
                        new_isr_with_epochs=[
                            alter_partition.BrokerState(broker_id=m, broker_epoch=context.brokers[m].epoch)
                            for m in members
                        ],
                    )
                ],
            )
        ],
    )
    response = world.perform(isr.alter(context, request, 3))
    assert 0 == response.topics[0].partitions[0].error_code


def topic(world: World) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(world.nodes[TopicNode.path("gold-r")].data or b"")
    return {key: data[key] for key in ("partitions", "adding_replicas", "removing_replicas")}


def golden_states(number: str) -> list[tuple[int, Any]]:
    """(version, contents) of the partition's state, in the order in which they were seen."""
    path = PartitionNode.path(*T)
    timeline = golden.dump(number)["timeline"]
    return [(e["dataVersion"], json.loads(e["data"])) for e in timeline if e["path"] == path]


def golden_topics(number: str) -> list[Any]:
    found = [json.loads(e["data"]) for e in golden.dump(number)["timeline"] if e["path"] == TopicNode.path("gold-r")]
    return [{key: node[key] for key in ("partitions", "adding_replicas", "removing_replicas")} for node in found]


class Recorded(World):
    """Remembers every state of the partition and of the topic, in Kafka's keys."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[tuple[int, Any]] = []
        self.topics: list[Any] = []

    def put(self, path: str, data: bytes | None = None) -> None:
        super().put(path, data)
        if path == PartitionNode.path(*T):
            self.states.append((self.nodes[path].version, golden.parsed((data or b"").decode())))
        elif path == TopicNode.path("gold-r"):
            self.topics.append(topic(self))


def test_a_move_writes_what_kafka_writes() -> None:
    """Goldens 20, 21 and 22: from [1] to [2, 3], then by the znode to [3, 1]."""
    world = Recorded()
    for broker_id in (1, 2, 3):
        world.broker(broker_id)
    world.topic("gold-r", {0: (1,)})
    world.controller()
    context = world.controller(epoch=2)
    world.states.clear()
    world.topics.clear()
    assert move(world, context, 2, 3) is None
    assert golden_states("20") == world.states and golden_topics("20") == world.topics
    in_sync(world, context, 1, 2)
    in_sync(world, context, 1, 2, 3)
    # Kafka's timeline has not every state: it was looked at now and then.
    assert [s for s in world.states if s in golden_states("21")] == golden_states("21")
    assert golden_topics("21") == world.topics[1:]
    assert 6 == 1 + len(world.states) and context.assignment(T) == Assignment((2, 3))

    world.put(ReassignNode.path(), ReassignNode.encode({T: (3, 1)}))
    world.perform(reassignment.request_changed(context))
    assert ReassignNode.path() in world.nodes
    in_sync(world, context, 2, 3, 1)
    assert [s for s in world.states if s in golden_states("22")] == golden_states("22")
    assert golden_topics("22") == world.topics[2:]
    assert ReassignNode.path() not in world.nodes


def test_which_brokers_are_told_what_during_a_reassignment() -> None:
    world, context = world_of(1, 2, 3)
    assert move(world, context, 2, 3) is None
    letters = world.requests_sent()
    assert ["LAI>1 gold-r-0:1[1]@1", "LAI>2 gold-r-0:1[1]@1 new", "LAI>3 gold-r-0:1[1]@1 new"] == letters[:3]
    assert ReplicaState.NEW is context.replica_state((*T, 2))
    in_sync(world, context, 1, 2)
    assert [f"UM>{b} gold-r-0:1[1,2]@1" for b in (1, 2, 3)] == world.requests_sent()
    in_sync(world, context, 1, 2, 3)
    letters = world.requests_sent()
    assert "LAI>2 gold-r-0:2[1,2,3]@2" in letters and "LAI>2 gold-r-0:2[2,3]@3" in letters
    assert ["SR>1 gold-r-0 @2"] == [x for x in letters if x.startswith("SR") and "delete" not in x]
    assert ["SR>1 gold-r-0 delete @3"] == [x for x in letters if "delete" in x]
    assert letters.index("SR>1 gold-r-0 @2") < letters.index("SR>1 gold-r-0 delete @3")
    assert ReplicaState.NONEXISTENT is context.replica_state((*T, 1))
    world.attend(context)
    assert {"gold-r"} == set(context.assignments)


def test_a_move_is_called_off_and_another_target_replaces_the_first() -> None:
    world, context = world_of(1, 2, 3, 4)
    assert Error.NO_REASSIGNMENT_IN_PROGRESS == getattr(move(world, context), "error", None)
    move(world, context, 2, 3)
    assert move(world, context, 2, 4) is None
    assert {"0": [2, 4, 1]} == topic(world)["partitions"]
    assert ReplicaState.NONEXISTENT is context.replica_state((*T, 3))
    assert any(x.startswith("SR>3 gold-r-0 delete") for x in world.requests_sent())
    assert move(world, context) is None
    assert {"partitions": {"0": [1]}, "adding_replicas": {}, "removing_replicas": {}} == topic(world)
    assert {"leader": 1, "isr": [1]}.items() <= world.state("gold-r", 0).items()
    assert [] == reassignment.partitions_being_reassigned(context)


def test_another_order_of_the_same_replicas_changes_the_preferred_leader_and_moves_nothing() -> None:
    world, context = world_of(1, 2, replicas=(1, 2))
    assert move(world, context, 2, 1) is None
    assert {"partitions": {"0": [2, 1]}, "adding_replicas": {}, "removing_replicas": {}} == topic(world)
    assert {"leader": 1, "isr": [1, 2], "leader_epoch": 1}.items() <= world.state("gold-r", 0).items()
    assert not any(x.startswith("SR") for x in world.requests_sent())


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ((), "Empty replica list specified in partition reassignment."),
        ((2, 2), "Duplicate replica ids in partition reassignment replica list: 2,2"),
        ((2, -1), "Invalid broker id in replica list: 2,-1"),
        ((2, 9), "Replica assignment has brokers that are not alive. Replica list: 2,9, live broker list: 1,2"),
    ],
)
def test_an_assignment_that_cannot_be_is_refused_and_nothing_changes(target: tuple[int, ...], error: str) -> None:
    world, context = world_of(1, 2)
    before = dict(world.nodes)
    refused = world.perform(reassignment.reassign(context, {T: target}))[T]
    assert (Error.INVALID_REPLICA_ASSIGNMENT, error) == (refused.error, refused.message)
    unknown = world.perform(reassignment.reassign(context, {("gold-r", 7): (1,), ("x", 0): (1,)}))
    assert {Error.UNKNOWN_TOPIC_OR_PARTITION} == {e.error for e in unknown.values()}
    # The same by the znode: refused entries are taken out.
    world.put(ReassignNode.path(), ReassignNode.encode({T: target, ("x", 0): (1,)}))
    world.perform(reassignment.request_changed(context))
    assert before == dict(world.nodes) and [] == world.requests_sent()


@pytest.mark.parametrize(
    "garbage",
    [b"", b"x", b"[]", b'{"partitions":7}', b'{"partitions":[7]}', b'{"partitions":[{"topic":"t"}]}',
     b'{"partitions":[{"topic":"gold-r","partition":0,"replicas":["a"]}]}', b'{"version":1,"partitions":[]}'],
)  # fmt: skip
def test_garbage_in_the_znode_is_dropped_with_a_line(garbage: bytes) -> None:
    world, context = world_of(1, 2)
    before = dict(world.nodes)
    world.put(ReassignNode.path(), garbage)
    world.perform(reassignment.request_changed(context))
    assert before == dict(world.nodes) and [] == world.requests_sent()


def test_a_move_waits_for_a_dead_target_and_goes_on_when_it_is_back() -> None:
    world, context = world_of(1, 2, 3)
    move(world, context, 2, 3)
    world.remove("/brokers/ids/3")
    world.perform(broker_changes.brokers_changed(context))
    in_sync(world, context, 1, 2)
    assert [T] == reassignment.partitions_being_reassigned(context)
    world.requests_sent()
    world.broker(3)
    world.perform(broker_changes.brokers_changed(context))
    assert any(x.startswith("LAI>3 gold-r-0:1[1,2]") and x.endswith("new") for x in world.requests_sent())
    in_sync(world, context, 1, 2, 3)
    assert {"partitions": {"0": [2, 3]}, "adding_replicas": {}, "removing_replicas": {}} == topic(world)


@pytest.mark.parametrize("successor", [False, True])
def test_a_topic_is_deleted_in_the_middle_of_a_move(successor: bool) -> None:
    """Kafka waits for the move, and so for its target (simulation, seed 470: for ever, without a leader)."""
    world, context = world_of(1, 2, 3, replicas=(1, 2))
    world.put(ReassignNode.path(), ReassignNode.encode({T: (1, 3)}))
    world.perform(reassignment.request_changed(context))
    assert topic(world)["adding_replicas"] == {"0": [3]}
    world.put("/admin/delete_topics/gold-r")
    if successor:
        context = world.controller(2, epoch=2)
    else:
        world.perform(reassignment.deletions_changed(context, world.new_id))
    assert ReassignNode.path() not in world.nodes
    world.attend(context)
    assert [] == world.children("/brokers/topics") == world.children("/admin/delete_topics")
    assert {} == context.assignments


def test_the_other_partitions_of_the_topic_are_left_as_they_are() -> None:
    """A partition may have been added since the controller last read the topic."""
    world, context = world_of(1, 2)
    node = TopicNode.decode(world.nodes[TopicNode.path("gold-r")].data, "gold-r")
    world.put(TopicNode.path("gold-r"), TopicNode({**node.partitions, 1: Assignment((1,))}, node.topic_id).encode())
    move(world, context, 2)
    assert {"0": [2, 1], "1": [1]} == topic(world)["partitions"]


@pytest.mark.parametrize("step", range(60))
def test_B13_a_move_that_is_cut_off_anywhere_is_ended_by_the_next_controller(step: int) -> None:
    world, context = world_of(1, 2, 3)
    world.put(ReassignNode.path(), ReassignNode.encode({T: (2, 3)}))
    world.crash_after = step
    epoch = 1
    try:
        world.perform(reassignment.request_changed(context))
        in_sync(world, context, 1, 2)
        in_sync(world, context, 1, 2, 3)
    except Crash:
        world.crash_after = None
        epoch = 2
        context = world.controller(2, epoch=2)
        if reassignment.partitions_being_reassigned(context):
            leader = context.leaderships[T]
            in_sync(world, context, leader.leader, *sorted({1, 2, 3} - {leader.leader}))
    world.crash_after = None
    assert {"partitions": {"0": [2, 3]}, "adding_replicas": {}, "removing_replicas": {}} == topic(world), epoch
    state = world.state("gold-r", 0)
    assert [2, 3] == sorted(state["isr"]) and state["leader"] in (2, 3)
    assert ReassignNode.path() not in world.nodes and [] == reassignment.partitions_being_reassigned(context)


def test_partitions_that_are_moved_together_go_side_by_side() -> None:
    """Each phase of all of them is one write, and one request to each broker, as many as there are."""

    def cost(count: int) -> tuple[int, int]:
        world = World()
        for broker_id in (1, 2, 3):
            world.broker(broker_id)
        for name in ("s", "t"):
            world.topic(name, {p: (1, 2) for p in range(count)})
        context = world.controller()
        world.requests_sent()
        world.asked.clear()
        wanted = {(name, p): (2, 3) for name in ("s", "t") for p in range(count)}
        refused = {("s", count): (2, 3)}
        results = world.perform(reassignment.reassign(context, wanted | refused))
        assert {None} == {results[partition] for partition in wanted}
        assert Error.UNKNOWN_TOPIC_OR_PARTITION == results["s", count].error
        assert set(wanted) == set(reassignment.partitions_being_reassigned(context))
        for partition in wanted:
            node = PartitionNode.decode(world.nodes[PartitionNode.path(*partition)].data, *partition)
            world.put(PartitionNode.path(*partition), node.with_isr((1, 2, 3), 1, False).encode())
        world.put("/isr_change_notification/isr_change_0000000000", isr_changes(wanted))
        world.perform(notifications.isr_changed(context))
        assert [] == reassignment.partitions_being_reassigned(context)
        for name in ("s", "t"):
            node = TopicNode.decode(world.nodes[TopicNode.path(name)].data, name)
            assert {Assignment((2, 3))} == set(node.partitions.values())
        assert {2} == {world.state(*partition)["leader"] for partition in wanted}
        return sum(isinstance(each, Write) for each in world.asked), len(world.requests_sent())

    assert cost(1) == cost(20)


def isr_changes(partitions: Any) -> bytes:
    return json.dumps({"version": 1, "partitions": [{"topic": t, "partition": p} for t, p in partitions]}).encode()


def crowded(partitions: int) -> tuple[World, Context]:
    """A topic whose partitions have long lists of replicas."""
    ids = tuple(range(100_000_001, 100_000_009))
    world = World()
    for broker_id in ids:
        world.broker(broker_id)
    world.topic("big", {p: ids[:4] for p in range(partitions)})
    world.topic("small", {0: ids[:4]})
    context = world.controller()
    world.requests_sent()
    world.asked.clear()
    return world, context


def test_moves_that_a_topics_znode_cannot_hold_are_refused_before_anything_is_written() -> None:
    world, context = crowded(9000)
    target = tuple(range(100_000_005, 100_000_009))
    wanted = {("big", p): target for p in range(9000)} | {("small", 0): target}
    results = world.perform(reassignment.reassign(context, wanted))
    refused = results["big", 8999]
    assert refused is not None and Error.INVALID_REPLICA_ASSIGNMENT == refused.error
    assert "The assignment of topic 'big' would take" in refused.message and results["small", 0] is None
    written = {op.path for effect in world.asked if isinstance(effect, Write) for op in effect.operations}
    assert written and not any("/big" in path for path in written)
    # A part of them fits.
    assert {None} == set(world.perform(reassignment.reassign(context, {("big", 0): target})).values())


def test_moves_in_the_old_znode_that_do_not_fit_are_taken_out_of_it() -> None:
    world, context = crowded(9000)
    target = tuple(range(100_000_005, 100_000_009))
    world.put(ReassignNode.path(), ReassignNode.encode({("big", p): target for p in range(9000)}))
    world.perform(reassignment.request_changed(context))
    assert ReassignNode.path() not in world.nodes
    node = TopicNode.decode(world.nodes[TopicNode.path("big")].data, "big")
    assert not any(assignment.being_reassigned for assignment in node.partitions.values())


def test_many_moves_are_made_a_slice_at_a_time() -> None:
    world = World()
    for broker_id in (1, 2):
        world.broker(broker_id)
    world.topic("t", {p: (1,) for p in range(1200)})
    context = world.controller()
    world.asked.clear()
    world.perform(reassignment.reassign(context, {("t", p): (2,) for p in range(1200)}))
    written = [len(effect.operations) for effect in world.asked if isinstance(effect, Write)]
    assert 500 == max(written) and 6 == len(written)
    assert 3 == sum(isinstance(effect, Pause) for effect in world.asked)
