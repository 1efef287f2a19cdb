"""CreatePartitions."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.controller import auto_topic_creation
from kafkalike.errors import Error
from kafkalike.protocol.messages import create_partitions as messages
from tests.broker.apis.calls import ask
from tests.controller.cluster import Cluster
from tests.reactor import on_reactor
from tests.zookeeper import Clients


def topic(name: str, count: int, *assignments: list[int]) -> Any:
    manual = [messages.CreatePartitionsAssignment(broker_ids=ids) for ids in assignments] or None
    return messages.CreatePartitionsTopic(name=name, count=count, assignments=manual)


@pytest.mark.parametrize("version", range(4))
@on_reactor
async def test_partitions_are_led_when_the_answer_comes(clients: Clients, version: int) -> None:
    member = await Cluster(clients).add(1)
    for name in ("t", "u", "v"):
        await auto_topic_creation.create(member, name, 2, 1)
    asked = [topic("t", 4), topic("u", 2), topic("v", 3, [1]), topic("none", 3), topic("w", 1), topic("w", 2)]
    answer = await ask(member, "create_partitions", messages.Request(topics=asked, timeout_ms=10000), version)
    assert [
        ("t", Error.NONE, None),
        ("u", Error.INVALID_PARTITIONS, "Topic already has 2 partitions."),
        ("v", Error.NONE, None),
        ("none", Error.UNKNOWN_TOPIC_OR_PARTITION, "The topic 'none' does not exist."),
        ("w", Error.INVALID_REQUEST, "Duplicate topic in request."),
    ] == [(result.name, result.error_code, result.error_message) for result in answer.results]
    image = member.metadata.image
    assert {"t": 4, "u": 2, "v": 3} == {name: len(known.partitions) for name, known in image.topics.items()}


@on_reactor
async def test_validation_and_timeouts(clients: Clients) -> None:
    cluster = Cluster(clients)
    member = await cluster.add(1)
    await auto_topic_creation.create(member, "t", 1, 1)
    asked = messages.Request(topics=[topic("t", 2)], timeout_ms=10000, validate_only=True)
    answer = await ask(member, "create_partitions", asked)
    assert [Error.NONE] == [result.error_code for result in answer.results]
    assert 0 == (await member.zk.exists("/brokers/topics/t")).version
    answer = await ask(member, "create_partitions", messages.Request(topics=[topic("t", 2)], timeout_ms=0))
    assert [Error.REQUEST_TIMED_OUT] == [result.error_code for result in answer.results]
    assert await member.metadata.wait(lambda image: len(image.topics["t"].partitions) == 2, 10000)


@on_reactor
async def test_a_topic_that_is_being_deleted_is_not_extended(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    await auto_topic_creation.create(member, "t", 1, 1)
    assert member.controller.context is not None
    member.controller.context.topics_to_delete.add("t")
    answer = await ask(member, "create_partitions", messages.Request(topics=[topic("t", 2)], timeout_ms=10000))
    assert [(Error.INVALID_TOPIC_EXCEPTION, "The topic is queued for deletion.")] == [
        (result.error_code, result.error_message) for result in answer.results
    ]


@on_reactor
async def test_only_the_controller_extends(clients: Clients) -> None:
    cluster = Cluster(clients)
    one = await cluster.add(1)
    two = await cluster.add(2)
    await auto_topic_creation.create(one, "t", 1, 1)
    answer = await ask(two, "create_partitions", messages.Request(topics=[topic("t", 2)], timeout_ms=10000))
    assert [Error.NOT_CONTROLLER] == [result.error_code for result in answer.results]
