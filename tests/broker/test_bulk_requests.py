"""A request for many things, and who is served meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred

from kafkalike.broker.bulk_requests import SLICE, in_slices
from kafkalike.cluster import znode_sizes
from kafkalike.controller import auto_topic_creation, topic_admin
from kafkalike.errors import Error
from kafkalike.protocol.messages import (
    alter_partition_reassignments,
    create_partitions,
    create_topics,
    delete_topics,
    find_coordinator,
    incremental_alter_configs,
    metadata,
)
from tests.broker.apis.calls import ask
from tests.controller.cluster import Cluster
from tests.reactor import on_reactor
from tests.zookeeper import Clients


def new(name: str, partitions: int = 1, **rest: Any) -> Any:
    return create_topics.CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, **rest)


def creation(*wanted: Any, **rest: Any) -> Any:
    return create_topics.Request(topics=list(wanted), **({"timeout_ms": 10000} | rest))


@on_reactor
async def test_a_turn_of_the_reactor_does_one_slice() -> None:
    from twisted.internet import reactor

    begun: list[int] = []
    turns: list[int] = []

    async def do(item: int) -> int:
        begun.append(item)
        return item * 2

    doing = ensureDeferred(in_slices(reactor, range(3 * SLICE + 1), do))
    while not doing.called:
        turns.append(len(begun))
        await in_slices(reactor, range(SLICE + 1), _nothing)  # somebody else has a turn
    assert [item * 2 for item in range(3 * SLICE + 1)] == await doing
    assert [SLICE, 2 * SLICE, 3 * SLICE] == turns


async def _nothing(item: int) -> None:
    pass


@pytest.mark.parametrize("validate_only", [False, True])
@on_reactor
async def test_metadata_do_not_wait_for_the_creation_of_many_topics(
    clients: Clients, monkeypatch: pytest.MonkeyPatch, validate_only: bool
) -> None:
    member = await Cluster(clients).add(1)
    checked: list[str] = []
    check = topic_admin.check_new

    async def counted(zk: Any, config: Any, image: Any, name: str, *rest: Any) -> Any:
        checked.append(name)
        return await check(zk, config, image, name, *rest)

    monkeypatch.setattr(topic_admin, "check_new", counted)
    wanted = creation(*(new(f"t{number}") for number in range(4 * SLICE)), validate_only=validate_only)
    creating = ensureDeferred(ask(member, "create_topics", wanted))
    assert SLICE == len(checked)
    answer = await ask(member, "metadata", metadata.Request(topics=None))
    assert [1] == [broker.node_id for broker in answer.brokers] and SLICE == len(checked)
    answer = await creating
    assert {Error.NONE} == {topic.error_code for topic in answer.topics} and 4 * SLICE == len(answer.topics)


@on_reactor
async def test_what_does_not_fit_into_a_znode_is_refused_before_anything_is_assigned(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await Cluster(clients).add(1, num_partitions=10**6)
    await ask(member, "create_topics", creation(new("t")))
    monkeypatch.setattr(topic_admin, "assign", lambda *args: pytest.fail("replicas were assigned"))
    answer = await ask(member, "create_topics", creation(new("much", 10**6), new("default", -1)))
    assert [Error.INVALID_PARTITIONS] * 2 == [topic.error_code for topic in answer.topics]
    assert "at most 84" in answer.topics[0].error_message
    added = create_partitions.CreatePartitionsTopic(name="t", count=10**6, assignments=None)
    answer = await ask(member, "create_partitions", create_partitions.Request(topics=[added], timeout_ms=1000))
    assert [Error.INVALID_PARTITIONS] == [topic.error_code for topic in answer.results]
    answer = await ask(member, "metadata", metadata.Request(topics=[metadata.MetadataRequestTopic(name="auto")]))
    assert [Error.INVALID_PARTITIONS] == [topic.error_code for topic in answer.topics]
    assert ["t"] == list(member.metadata.image.topics)


@on_reactor
async def test_automatic_topics_that_no_znode_holds_are_told_of_once(
    clients: Clients, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_topic_creation, "_TOLD", set())
    offsets = {"offsets_topic_num_partitions": 10**7, "offsets_topic_replication_factor": 1}
    member = await Cluster(clients).add(1, num_partitions=10**6, **offsets)
    member.group_coordinator = SimpleNamespace(topic=SimpleNamespace(partition_for=lambda group: 0))
    for number in range(3):
        asked = [metadata.MetadataRequestTopic(name=f"t{number}"), metadata.MetadataRequestTopic(name=f"u{number}")]
        answer = await ask(member, "metadata", metadata.Request(topics=asked))
        assert [Error.INVALID_PARTITIONS] * 2 == [topic.error_code for topic in answer.topics]
        wanted = find_coordinator.Request(key_type=0, coordinator_keys=["g"])
        answer = await ask(member, "find_coordinator", wanted)
        assert [Error.COORDINATOR_NOT_AVAILABLE] == [each.error_code for each in answer.coordinators]
    told = [message for message in caplog.messages if "in ZooKeeper, where a znode holds" in message]
    assert 2 == len(told) and "'t0' with 1000000" in told[0] and "'__consumer_offsets' with 10000000" in told[1]


@on_reactor
async def test_an_assignment_by_hand_that_does_not_fit_is_refused(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    by_hand = [
        create_topics.CreatableReplicaAssignment(partition_index=p, broker_ids=[1])
        for p in range(znode_sizes.LIMIT // 11)
    ]
    topic = create_topics.CreatableTopic(name="t", num_partitions=-1, replication_factor=-1, assignments=by_hand)
    answer = await ask(member, "create_topics", creation(topic))
    assert [Error.INVALID_REPLICA_ASSIGNMENT] == [topic.error_code for topic in answer.topics]
    assert "where a znode holds 1000000" in answer.topics[0].error_message


@on_reactor
async def test_too_many_topics_of_one_request_are_refused_by_their_number(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    answer = await ask(member, "create_topics", creation(*(new(f"t{number}") for number in range(5001))))
    assert {Error.POLICY_VIOLATION} == {topic.error_code for topic in answer.topics}
    answer = await ask(member, "create_topics", creation(new("a", 60000), new("b", 60000), new("c", 10**6)))
    assert {Error.POLICY_VIOLATION} == {topic.error_code for topic in answer.topics}
    # A senseless one takes nothing off the others.
    senseless = create_topics.CreatableTopic(name="d", num_partitions=10**6, replication_factor=-99)
    answer = await ask(member, "create_topics", creation(new("a", 60000), new("b", 60000), senseless))
    assert {Error.POLICY_VIOLATION} == {topic.error_code for topic in answer.topics}
    count = create_partitions.CreatePartitionsTopic
    wanted = [count(name=f"t{number}", count=2, assignments=None) for number in range(5001)]
    answer = await ask(member, "create_partitions", create_partitions.Request(topics=wanted, timeout_ms=1000))
    assert {Error.POLICY_VIOLATION} == {topic.error_code for topic in answer.results}


@on_reactor
async def test_metadata_create_a_slice_of_the_topics_that_are_asked_for(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    asked = [metadata.MetadataRequestTopic(name=f"t{number}") for number in range(SLICE + 5)]
    answer = await ask(member, "metadata", metadata.Request(topics=asked))
    errors = [topic.error_code for topic in answer.topics]
    assert [Error.NONE] * SLICE + [Error.LEADER_NOT_AVAILABLE] * 5 == errors
    answer = await ask(member, "metadata", metadata.Request(topics=asked))
    assert {Error.NONE} == {topic.error_code for topic in answer.topics}


@on_reactor
async def test_metadata_do_not_wait_for_the_deletion_of_many_topics(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await Cluster(clients).add(1)
    names = [f"t{number}" for number in range(2 * SLICE)]
    await ask(member, "create_topics", creation(*map(new, names)))
    ordered: list[str] = []
    delete = topic_admin.delete

    async def counted(zk: Any, name: str) -> None:
        ordered.append(name)
        await delete(zk, name)

    monkeypatch.setattr(topic_admin, "delete", counted)
    wanted = delete_topics.Request(
        topics=[delete_topics.DeleteTopicState(name=name) for name in names], timeout_ms=9999
    )
    deleting = ensureDeferred(ask(member, "delete_topics", wanted))
    assert SLICE == len(ordered)
    answer = await deleting
    assert {Error.NONE} == {result.error_code for result in answer.responses} and names == ordered


@on_reactor
async def test_a_configuration_that_does_not_fit_is_refused_and_the_session_lives(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    await ask(member, "create_topics", creation(new("t")))
    session = member.zk.session_id
    name = "leader.replication.throttled.replicas"
    huge = ",".join(f"{number}:1" for number in range(200_000))
    for kind, resource, error in ((2, "t", Error.INVALID_CONFIG), (4, "1", Error.INVALID_REQUEST)):
        entry = incremental_alter_configs.AlterableConfig(name=name, config_operation=0, value=huge)
        asked = incremental_alter_configs.AlterConfigsResource(
            resource_type=kind, resource_name=resource, configs=[entry]
        )
        answer = await ask(member, "incremental_alter_configs", incremental_alter_configs.Request(resources=[asked]))
        assert error == answer.responses[0].error_code
        assert "where a znode holds 1000000" in answer.responses[0].error_message
    configs = [create_topics.CreatableTopicConfig(name=name, value=huge)]
    answer = await ask(member, "create_topics", creation(new("u", configs=configs)))
    assert [Error.INVALID_CONFIG] == [topic.error_code for topic in answer.topics]
    assert "CONNECTED" == member.zk.state and session == member.zk.session_id


@on_reactor
async def test_many_moves_at_once_do_not_keep_others_waiting(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    await ask(member, "create_topics", creation(new("t", 3)))
    moves = [
        alter_partition_reassignments.ReassignablePartition(partition_index=p, replicas=[1]) for p in range(20_000)
    ]
    topic = alter_partition_reassignments.ReassignableTopic(name="t", partitions=moves)
    wanted = alter_partition_reassignments.Request(topics=[topic], timeout_ms=1000)
    moving = ensureDeferred(ask(member, "alter_partition_reassignments", wanted))
    answer = await ask(member, "metadata", metadata.Request(topics=None))
    assert 1 == len(answer.topics) and not moving.called
    answer = await moving
    errors = [partition.error_code for partition in answer.responses[0].partitions]
    assert [Error.NONE] * 3 + [Error.UNKNOWN_TOPIC_OR_PARTITION] * 19_997 == errors
