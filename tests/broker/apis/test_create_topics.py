"""CreateTopics."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.cluster.znodes.topics import TopicNode
from kafkalike.errors import Error
from kafkalike.protocol.messages import create_topics as messages
from tests.broker.apis.calls import ask
from tests.controller.cluster import Cluster
from tests.reactor import on_reactor
from tests.zookeeper import Clients
from zk.client import gather


def topic(name: str, partitions: int = 1, factor: int = 1, **rest: Any) -> Any:
    return messages.CreatableTopic(name=name, num_partitions=partitions, replication_factor=factor, **rest)


def request(*topics: Any, **rest: Any) -> Any:
    return messages.Request(topics=list(topics), **({"timeout_ms": 10000} | rest))


@pytest.mark.parametrize("version", range(8))
@on_reactor
async def test_a_topic_is_there_with_leaders_when_the_answer_comes(clients: Clients, version: int) -> None:
    member = await Cluster(clients).add(1)
    configs = [messages.CreatableTopicConfig(name="retention.ms", value="1000")]
    answer = await ask(member, "create_topics", request(topic("t", 3, 1, configs=configs)), version)
    (result,) = answer.topics
    assert ("t", Error.NONE) == (result.name, result.error_code)
    known = member.metadata.image.topics["t"]
    assert [1, 1, 1] == [state.leader for state in known.partitions.values()]
    if version >= 5:
        assert (3, 1) == (result.num_partitions, result.replication_factor)
        echoed = {config.name: (config.value, config.config_source) for config in result.configs}
        assert ("1000", 1) == echoed["retention.ms"]
        assert ("delete", 5) == echoed["cleanup.policy"]
    if version >= 7:
        assert known.id == result.topic_id != bytes(16)


@on_reactor
async def test_each_topic_succeeds_or_fails_by_itself(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    await ask(member, "create_topics", request(topic("old")))
    manual = [messages.CreatableReplicaAssignment(partition_index=0, broker_ids=[1])]
    twice = [messages.CreatableReplicaAssignment(partition_index=0, broker_ids=[1])] * 2
    answer = await ask(
        member,
        "create_topics",
        request(
            topic("good"),
            topic("old"),
            topic("a b"),
            topic("much", 1, 3),
            topic("twin"),
            topic("twin"),
            topic("__cluster_metadata"),
            topic("defaults", -1, -1),
            topic("manual", -1, -1, assignments=manual),
            topic("twice", -1, -1, assignments=twice),
        ),
    )
    assert [
        ("good", Error.NONE, None),
        ("old", Error.TOPIC_ALREADY_EXISTS, "Topic 'old' already exists."),
        (
            "a b",
            Error.INVALID_TOPIC_EXCEPTION,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' "
            "and '-'",
        ),
        (
            "much",
            Error.INVALID_REPLICATION_FACTOR,
            "Replication factor: 3 larger than available brokers: 1.",
        ),
        ("twin", Error.INVALID_REQUEST, "Found multiple entries for this topic."),
        ("twin", Error.INVALID_REQUEST, "Found multiple entries for this topic."),
        (
            "__cluster_metadata",
            Error.INVALID_REQUEST,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        ("defaults", Error.NONE, None),
        ("manual", Error.NONE, None),
        ("twice", Error.NONE, None),
    ] == [(result.name, result.error_code, result.error_message) for result in answer.topics]
    assert {"good", "old", "defaults", "manual", "twice"} == set(await member.zk.children("/brokers/topics"))
    failed = answer.topics[1]
    assert (-1, -1, []) == (failed.num_partitions, failed.replication_factor, failed.configs)


@on_reactor
async def test_validate_only_writes_nothing(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    answer = await ask(member, "create_topics", request(topic("t", 2), topic("u", 0), validate_only=True))
    assert [Error.NONE, Error.INVALID_PARTITIONS] == [result.error_code for result in answer.topics]
    assert (2, bytes(16)) == (answer.topics[0].num_partitions, answer.topics[0].topic_id)
    assert [] == await member.zk.children("/brokers/topics") == await member.zk.children("/config/topics")


@pytest.mark.parametrize("timeout_ms", [0, -1, 100])
@on_reactor
async def test_what_is_not_led_in_time_is_timed_out_and_comes_all_the_same(clients: Clients, timeout_ms: int) -> None:
    cluster = Cluster(clients)
    member = await cluster.add(1)
    if timeout_ms > 0:
        cluster.members.clear()
    answer = await ask(member, "create_topics", request(topic("t"), topic("a b"), timeout_ms=timeout_ms))
    assert [Error.REQUEST_TIMED_OUT, Error.INVALID_TOPIC_EXCEPTION] == [r.error_code for r in answer.topics]
    assert (-1, []) == (answer.topics[0].num_partitions, answer.topics[0].configs)
    assert 1 == len(TopicNode.decode((await member.zk.get("/brokers/topics/t"))[0], "t").partitions)


@on_reactor
async def test_only_the_controller_creates(clients: Clients) -> None:
    cluster = Cluster(clients)
    await cluster.add(1)
    other = await cluster.add(2)
    answer = await ask(other, "create_topics", request(topic("t"), topic("u")))
    assert [Error.NOT_CONTROLLER] * 2 == [result.error_code for result in answer.topics]
    assert [] == await other.zk.children("/brokers/topics")


@on_reactor
async def test_without_a_session_clients_are_sent_to_look_for_the_controller(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    member.membership.stop()
    asking = [ask(member, "create_topics", request(topic(f"t{number}"))) for number in range(3)]
    answers = gather(asking)
    await member.zk.stop()
    codes = {result.error_code for answer in await answers for result in answer.topics}
    assert codes <= {Error.NONE, Error.NOT_CONTROLLER}
    answer = await ask(member, "create_topics", request(topic("late")))
    assert [Error.NOT_CONTROLLER] == [result.error_code for result in answer.topics]
