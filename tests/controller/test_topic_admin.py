"""Orders about topics: every check in Kafka's words, and what is written."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kafkalike.cluster.metadata import Broker, Image
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.topics import Assignment, TopicNode
from kafkalike.config import Config, broker_config
from kafkalike.controller.topic_admin import NewTopic, check_new, delete, effective_configs, extend, write_new
from kafkalike.errors import Error, KafkaError
from tests.reactor import on_reactor
from tests.zk.test_recipes import Lossy
from tests.zookeeper import Clients
from zk.client import ZkClient

RNG = random.Random(1)
IMAGE = Image("c", 1, {1: Broker(1), 2: Broker(2), 3: Broker(3)})


def config(**keys: Any) -> Config:
    properties = {key.replace("_", "."): str(value) for key, value in keys.items()}
    return broker_config({"zookeeper.connect": "-"} | properties)[0]


async def prepared(clients: Clients) -> ZkClient:
    zk = await clients.open()
    for path in ("/brokers/topics", "/config/topics", "/admin/delete_topics"):
        await zk.ensure_path(path)
    return zk


async def check(zk: Any, name: str, partitions: int = 1, factor: int = 1, **rest: Any) -> NewTopic:
    return await check_new(zk, config(), IMAGE, RNG, name, partitions, factor, **rest)


REFUSED: list[tuple[dict[str, Any], Error, str]] = [
    ({"name": "a b"}, Error.INVALID_TOPIC_EXCEPTION, "Topic name is invalid: 'a b' contains one or more"),
    ({"name": ""}, Error.INVALID_TOPIC_EXCEPTION, "Topic name is invalid: the empty string is not allowed"),
    ({"partitions": 0}, Error.INVALID_PARTITIONS, "Number of partitions must be larger than 0."),
    ({"partitions": -2}, Error.INVALID_PARTITIONS, "Number of partitions must be larger than 0."),
    ({"factor": 0}, Error.INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0."),
    (
        {"factor": 4},
        Error.INVALID_REPLICATION_FACTOR,
        "Replication factor: 4 larger than available brokers: 3.",
    ),
    ({"configs": {"nix": "1"}}, Error.INVALID_CONFIG, "Unknown topic config name: nix"),
    (
        {"configs": {"compression.gzip.level": "99"}},
        Error.INVALID_CONFIG,
        "Invalid value 99 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
    ),
    (
        {"configs": {"message.format.version": "x"}},
        Error.INVALID_CONFIG,
        "Invalid value x for configuration message.format.version: Version x is not a valid version",
    ),
    (
        {"configs": {"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"}},
        Error.INVALID_CONFIG,
        "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
    ),
    (
        {"configs": {"remote.log.copy.disable": "true"}},
        Error.INVALID_CONFIG,
        "It is invalid to set `remote.log.delete.on.disable` or `remote.log.copy.disable` under Zookeeper's mode.",
    ),
    (
        {"configs": {"remote.storage.enable": "true"}},
        Error.INVALID_CONFIG,
        "Tiered Storage functionality is disabled in the broker.",
    ),
    (
        {"configs": {"segment.bytes": "x"}},
        Error.INVALID_CONFIG,
        "Invalid value x for configuration segment.bytes: Not a number of type INT",
    ),
    (
        {"configs": {"cleanup.policy": None}},
        Error.INVALID_CONFIG,
        "Null value not supported for topic configs: cleanup.policy",
    ),
    (
        {"manual": {0: (1,)}, "partitions": 1, "factor": 1},
        Error.INVALID_REQUEST,
        "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same "
        "time.",
    ),
    (
        {"manual": {0: (1,), 1: (1, 2)}, "partitions": -1, "factor": -1},
        Error.INVALID_REPLICA_ASSIGNMENT,
        "All partitions should have the same number of replicas",
    ),
    (
        {"manual": {0: (1, 1)}, "partitions": -1, "factor": -1},
        Error.INVALID_REPLICA_ASSIGNMENT,
        "Duplicate replica assignment found: 0 -> [1, 1]",
    ),
    (
        {"manual": {1: (1,)}, "partitions": -1, "factor": -1},
        Error.INVALID_REPLICA_ASSIGNMENT,
        "partitions should be a consecutive 0-based integer sequence",
    ),
    (
        {"manual": {0: ()}, "partitions": -1, "factor": -1},
        Error.INVALID_REPLICA_ASSIGNMENT,
        "Cannot have replication factor of 0 for partition id 0.",
    ),
    (
        {"manual": {0: (9, 8)}, "partitions": -1, "factor": -1},
        Error.INVALID_REPLICA_ASSIGNMENT,
        "Unknown broker(s) in replica assignment: 8, 9.",
    ),
]


@pytest.mark.parametrize(("what", "error", "text"), REFUSED)
@on_reactor
async def test_what_cannot_be_created_is_refused_in_kafkas_words(
    clients: Clients, what: dict[str, Any], error: Error, text: str
) -> None:
    zk = await prepared(clients)
    with pytest.raises(KafkaError) as caught:
        await check(zk, **({"name": "t"} | what))
    assert error == caught.value.error
    assert caught.value.message.startswith(text)
    assert [] == await zk.children("/brokers/topics")


@on_reactor
async def test_a_name_that_is_taken_is_refused(clients: Clients) -> None:
    zk = await prepared(clients)
    await write_new(zk, await check(zk, "a.b"))
    for name, error, text in (
        ("a.b", Error.TOPIC_ALREADY_EXISTS, "Topic 'a.b' already exists."),
        ("a_b", Error.INVALID_TOPIC_EXCEPTION, "Topic 'a_b' collides with existing topics: a.b"),
    ):
        with pytest.raises(KafkaError) as caught:
            await check(zk, name)
        assert (error, text) == (caught.value.error, caught.value.message)
    await delete(zk, "a.b")
    await delete(zk, "a.b")
    with pytest.raises(KafkaError, match="Topic 'a.b' is marked for deletion."):
        await check(zk, "a.b")
    with pytest.raises(KafkaError) as caught:
        await delete(zk, "none")
    assert Error.UNKNOWN_TOPIC_OR_PARTITION == caught.value.error


@pytest.mark.real_zookeeper
@on_reactor
async def test_config_and_topic_are_written_together(clients: Clients) -> None:
    zk = await prepared(clients)
    new = await check(zk, "t", 3, 2, configs={"retention.ms": "1000"})
    await write_new(zk, new)
    config_stat, topic_stat = await zk.exists("/config/topics/t"), await zk.exists("/brokers/topics/t")
    assert config_stat.czxid == topic_stat.czxid
    data, _ = await zk.get("/config/topics/t")
    assert {"retention.ms": "1000"} == EntityConfig.decode(data, "topics", "t")
    node = TopicNode.decode((await zk.get("/brokers/topics/t"))[0], "t")
    assert new.topic_id == node.topic_id != bytes(16)
    assert new.replicas == {p: a.replicas for p, a in node.partitions.items()}
    assert {2} == {len(replicas) for replicas in new.replicas.values()}


@on_reactor
async def test_a_left_over_configuration_is_replaced(clients: Clients) -> None:
    zk = await prepared(clients)
    await zk.create("/config/topics/t", EntityConfig.encode({"retention.ms": "5"}))
    await write_new(zk, await check(zk, "t"))
    assert {} == EntityConfig.decode((await zk.get("/config/topics/t"))[0], "topics", "t")


@on_reactor
async def test_of_two_that_create_one_topic_one_succeeds_and_a_lost_answer_is_no_defeat(clients: Clients) -> None:
    zk = await prepared(clients)
    first, second = await check(zk, "t"), await check(zk, "t")
    await write_new(Lossy(zk, multi=1), first)  # type: ignore[arg-type]
    with pytest.raises(KafkaError, match="already exists"):
        await write_new(zk, second)
    assert first.topic_id == TopicNode.decode((await zk.get("/brokers/topics/t"))[0], "t").topic_id


@on_reactor
async def test_minus_one_means_the_brokers_defaults(clients: Clients) -> None:
    zk = await prepared(clients)
    settings = config(num_partitions=4, default_replication_factor=3)
    new = await check_new(zk, settings, IMAGE, RNG, "t", -1, -1)
    assert (4, {3}) == (len(new.replicas), {len(replicas) for replicas in new.replicas.values()})


async def existing(clients: Clients, replicas: dict[int, tuple[int, ...]]) -> ZkClient:
    zk = await prepared(clients)
    node = TopicNode({p: Assignment(ids) for p, ids in replicas.items()}, b"i" * 16)
    await zk.create("/brokers/topics/t", node.encode())
    return zk


@on_reactor
async def test_a_topic_is_extended_after_its_last_partition(clients: Clients) -> None:
    zk = await existing(clients, {0: (2, 3), 1: (3, 1)})
    assert {0, 1, 2, 3} == await extend(zk, IMAGE, "t", 4, None, False)
    node = TopicNode.decode((await zk.get("/brokers/topics/t"))[0], "t")
    # As in Kafka, the start is the position of partition 0's leader, so that the round robin goes on.
    assert [(2, 3), (3, 1), (1, 3), (2, 3)] == [node.partitions[p].replicas for p in range(4)]
    assert b"i" * 16 == node.topic_id
    assert {0, 1, 2, 3, 4, 5} == await extend(zk, IMAGE, "t", 6, [(1, 2), (3, 2)], True)
    assert 1 == (await zk.exists("/brokers/topics/t")).version, "only validated"
    await extend(Lossy(zk, set=1), IMAGE, "t", 5, [(1, 3)], False)  # type: ignore[arg-type]
    assert 2 == (await zk.exists("/brokers/topics/t")).version


@pytest.mark.parametrize(
    ("name", "count", "manual", "error", "text"),
    [
        ("none", 3, None, Error.UNKNOWN_TOPIC_OR_PARTITION, "The topic 'none' does not exist."),
        ("a/b", 3, None, Error.UNKNOWN_TOPIC_OR_PARTITION, "The topic 'a/b' does not exist."),
        ("t", 2, None, Error.INVALID_PARTITIONS, "Topic already has 2 partitions."),
        (
            "t",
            1,
            None,
            Error.INVALID_PARTITIONS,
            "Topic currently has 2 partitions, which is higher than the requested 1.",
        ),
        ("t", 3, [(7, 1)], Error.INVALID_REPLICA_ASSIGNMENT, "Unknown broker(s) in replica assignment: 7."),
        (
            "t",
            3,
            [(1, 2), (1, 2)],
            Error.INVALID_REPLICA_ASSIGNMENT,
            "Increasing the number of partitions by 1 but 2 assignments provided.",
        ),
        (
            "t",
            3,
            [(1, 1)],
            Error.INVALID_REPLICA_ASSIGNMENT,
            "Duplicate brokers not allowed in replica assignment: 1, 1 for partition id 2.",
        ),
        (
            "t",
            3,
            [()],
            Error.INVALID_REPLICA_ASSIGNMENT,
            "Cannot have replication factor of 0 for partition id 2.",
        ),
        (
            "t",
            4,
            [(1,), (1, 2)],
            Error.INVALID_REPLICA_ASSIGNMENT,
            "Inconsistent replication factor between partitions, partition 0 has 2 while partitions [2] have "
            "replication factors [1], respectively.",
        ),
    ],
)
@on_reactor
async def test_what_cannot_be_extended_is_refused_in_kafkas_words(
    clients: Clients, name: str, count: int, manual: Any, error: Error, text: str
) -> None:
    zk = await existing(clients, {0: (2, 3), 1: (3, 1)})
    with pytest.raises(KafkaError) as caught:
        await extend(zk, IMAGE, name, count, manual, False)
    assert (error, text) == (caught.value.error, caught.value.message)
    assert 0 == (await zk.exists("/brokers/topics/t")).version


@on_reactor
async def test_a_topic_under_reassignment_or_full_of_garbage_is_not_extended(clients: Clients) -> None:
    zk = await prepared(clients)
    await zk.create("/brokers/topics/t", TopicNode({0: Assignment((1, 2), (2,), ())}).encode())
    with pytest.raises(KafkaError) as caught:
        await extend(zk, IMAGE, "t", 2, None, False)
    assert Error.REASSIGNMENT_IN_PROGRESS == caught.value.error
    await zk.set("/brokers/topics/t", b"garbage")
    with pytest.raises(KafkaError, match="/brokers/topics/t is ignored"):
        await extend(zk, IMAGE, "t", 2, None, False)
    assert b"garbage" == (await zk.get("/brokers/topics/t"))[0]


def test_configurations_say_where_they_come_from() -> None:
    settings = config(log_segment_bytes=2000)
    rows = {name: (value, source) for name, value, source in effective_configs(settings, {"retention.ms": "7"})}
    assert ("7", 1) == rows["retention.ms"]
    assert ("2000", 4) == rows["segment.bytes"]
    assert ("delete", 5) == rows["cleanup.policy"]
