"""ElectLeaders, AlterPartitionReassignments and ListPartitionReassignments."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.errors import Error
from kafkalike.protocol.messages import (
    alter_partition,
    alter_partition_reassignments,
    elect_leaders,
    list_partition_reassignments,
)
from tests.broker.apis.calls import ask
from tests.controller.cluster import Cluster, Member
from tests.controller.test_controller import has, write_topic_znode
from tests.reactor import on_reactor
from tests.zookeeper import Clients


async def two(clients: Clients, assignment: dict[int, tuple[int, ...]]) -> tuple[Member, Member]:
    """Two brokers with topic t; the first is the controller."""
    cluster = Cluster(clients)
    members = await cluster.add(1), await cluster.add(2)
    await write_topic_znode(members[0].zk, "t", assignment)
    for member in members:
        assert await member.metadata.wait(has("t", len(assignment)), 10000)
    return members


def wanted(*partitions: tuple[int, list[int] | None], topic: str = "t") -> Any:
    m = alter_partition_reassignments
    asked = [m.ReassignablePartition(partition_index=p, replicas=replicas) for p, replicas in partitions]
    return m.Request(topics=[m.ReassignableTopic(name=topic, partitions=asked)])


def errors(response: Any) -> dict[tuple[str, int], Error]:
    return {(t.name, p.partition_index): Error(p.error_code) for t in response.responses for p in t.partitions}


def moving(response: Any) -> dict[tuple[str, int], tuple[list[int], list[int], list[int]]]:
    return {
        (t.name, p.partition_index): (p.replicas, p.adding_replicas, p.removing_replicas)
        for t in response.topics
        for p in t.partitions
    }


@on_reactor
async def test_a_partition_is_moved_and_seen_moving(clients: Clients) -> None:
    one, other = await two(clients, {0: (1,), 1: (1,), 2: (1,)})
    listing = list_partition_reassignments.Request(topics=None)
    response = await ask(one, "alter_partition_reassignments", wanted((0, [2]), (1, [7]), (2, None), (3, [1]), (4, [])))
    assert {
        ("t", 0): Error.NONE,
        ("t", 1): Error.INVALID_REPLICA_ASSIGNMENT,
        ("t", 2): Error.NO_REASSIGNMENT_IN_PROGRESS,
        ("t", 3): Error.UNKNOWN_TOPIC_OR_PARTITION,
        ("t", 4): Error.INVALID_REPLICA_ASSIGNMENT,
    } == errors(response)
    assert Error.NONE == response.error_code
    expected = {("t", 0): ([2, 1], [2], [1])}
    assert expected == moving(await ask(one, "list_partition_reassignments", listing))
    topics = list_partition_reassignments.ListPartitionReassignmentsTopics
    for name, partitions, found in (("t", [0, 1], expected), ("t", [1], {}), ("u", [0], {})):
        request = list_partition_reassignments.Request(topics=[topics(name=name, partition_indexes=partitions)])
        assert found == moving(await ask(one, "list_partition_reassignments", request))
    assert Error.NOT_CONTROLLER == (await ask(other, "list_partition_reassignments", listing)).error_code
    assert Error.NOT_CONTROLLER == (await ask(other, "alter_partition_reassignments", wanted((0, [1])))).error_code

    state = one.metadata.image.partition("t", 0)
    assert state is not None
    members = [
        alter_partition.BrokerState(broker_id=m.broker_id, broker_epoch=m.membership.broker_epoch) for m in (one, other)
    ]
    caught_up = alter_partition.PartitionData(
        partition_index=0, leader_epoch=1, new_isr_with_epochs=members, partition_epoch=state.zk_version
    )
    topic = alter_partition.TopicData(topic_id=one.metadata.image.topics["t"].id, partitions=[caught_up])
    request = alter_partition.Request(broker_id=1, broker_epoch=one.membership.broker_epoch, topics=[topic])
    answer = (await ask(one, "alter_partition", request)).topics[0].partitions[0]
    assert (Error.NONE, [1, 2]) == (answer.error_code, answer.isr)
    assert await other.metadata.wait(
        lambda image: (2, (2,), (2,)) == (lambda s: (s.leader, s.isr, s.replicas))(image.partition("t", 0)), 10000
    )
    assert {} == moving(await ask(one, "list_partition_reassignments", listing))


@pytest.mark.parametrize("version", range(3))
@on_reactor
async def test_the_preferred_replica_is_elected(clients: Clients, version: int) -> None:
    one, other = await two(clients, {0: (1, 2), 1: (1, 2), 2: (2, 1)})
    for partition in (0, 1):
        await one.zk.set(PartitionNode.path("t", partition), PartitionNode(2, 1, (2, 1), 1).encode())
    # The next controller believes what is there.
    await one.zk.delete("/controller")
    assert await one.metadata.wait(lambda image: image.partition("t", 0).leader == 2, 10000)  # type: ignore[union-attr]
    boss, follower = (one, other) if one.controller.active else (other, one)

    async def elect(member: Member, topics: Any, kind: int = 0, timeout_ms: int = 10000) -> Any:
        asked = None if topics is None else [elect_leaders.TopicPartitions(topic=t, partitions=p) for t, p in topics]
        request = elect_leaders.Request(
            topic_partitions=asked, timeout_ms=timeout_ms, **({"election_type": kind} if version else {})
        )
        answer = await ask(member, "elect_leaders", request, version)
        return {
            (t.topic, p.partition_id): Error(p.error_code)
            for t in answer.replica_election_results
            for p in t.partition_result
        }

    assert {("t", 0): Error.NOT_CONTROLLER} == await elect(follower, [("t", [0])])
    assert {
        ("t", 0): Error.NONE,
        ("t", 2): Error.ELECTION_NOT_NEEDED,
        ("t", 9): Error.UNKNOWN_TOPIC_OR_PARTITION,
        ("u", 0): Error.UNKNOWN_TOPIC_OR_PARTITION,
    } == await elect(boss, [("t", [0, 0, 2, 9]), ("u", [0])])
    assert 1 == boss.metadata.image.partition("t", 0).leader  # type: ignore[union-attr]
    assert {("t", 1): Error.NONE} == await elect(boss, None)
    if version:
        assert {("t", 1): Error.ELECTION_NOT_NEEDED} == await elect(boss, [("t", [1])], kind=1)
        request = elect_leaders.Request(election_type=7, topic_partitions=None)
        assert Error.UNKNOWN_SERVER_ERROR == (await ask(boss, "elect_leaders", request, version)).error_code
