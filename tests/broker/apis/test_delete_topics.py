"""DeleteTopics."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.controller import auto_topic_creation
from kafkalike.errors import Error
from kafkalike.protocol.messages import delete_topics as messages
from tests.broker.apis.calls import ask
from tests.controller.cluster import Cluster
from tests.reactor import on_reactor
from tests.zookeeper import Clients


def request(version: int, *names: str, timeout_ms: int = 10000) -> Any:
    if version < 6:
        return messages.Request(topic_names=list(names), timeout_ms=timeout_ms)
    return messages.Request(topics=[messages.DeleteTopicState(name=name) for name in names], timeout_ms=timeout_ms)


@pytest.mark.parametrize("version", range(7))
@on_reactor
async def test_a_topic_has_left_the_metadata_when_the_answer_comes(clients: Clients, version: int) -> None:
    member = await Cluster(clients).add(1)
    await auto_topic_creation.create(member, "t", 2, 1)
    answer = await ask(member, "delete_topics", request(version, "t", "none"), version)
    assert [("t", Error.NONE), ("none", Error.UNKNOWN_TOPIC_OR_PARTITION)] == [
        (result.name, result.error_code) for result in answer.responses
    ]
    assert {} == member.metadata.image.topics


@on_reactor
async def test_a_topic_is_deleted_by_its_id(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    await auto_topic_creation.create(member, "t", 1, 1)
    known = member.metadata.image.topics["t"].id
    states = [messages.DeleteTopicState(name=None, topic_id=topic_id) for topic_id in (known, b"x" * 16)]
    answer = await ask(member, "delete_topics", messages.Request(topics=states, timeout_ms=10000))
    assert [("t", known, Error.NONE), (None, b"x" * 16, Error.UNKNOWN_TOPIC_ID)] == [
        (result.name, result.topic_id, result.error_code) for result in answer.responses
    ]
    both = [messages.DeleteTopicState(name="t", topic_id=known)]
    answer = await ask(member, "delete_topics", messages.Request(topics=both, timeout_ms=10000))
    assert [Error.INVALID_REQUEST] == [result.error_code for result in answer.responses]


@on_reactor
async def test_a_timeout_of_0_answers_at_once(clients: Clients) -> None:
    member = await Cluster(clients).add(1)
    await auto_topic_creation.create(member, "t", 1, 1)
    answer = await ask(member, "delete_topics", request(6, "t", timeout_ms=0))
    assert [Error.REQUEST_TIMED_OUT] == [result.error_code for result in answer.responses]
    assert await member.metadata.wait(lambda image: "t" not in image.topics, 10000)


@pytest.mark.parametrize(("version", "error"), [(2, Error.INVALID_REQUEST), (3, Error.TOPIC_DELETION_DISABLED)])
@on_reactor
async def test_deletion_may_be_disabled(clients: Clients, version: int, error: Error) -> None:
    member = await Cluster(clients).add(1, delete_topic_enable="false")
    await auto_topic_creation.create(member, "t", 1, 1)
    answer = await ask(member, "delete_topics", request(version, "t"), version)
    assert [error] == [result.error_code for result in answer.responses]
    assert [] == await member.zk.children("/admin/delete_topics")


@on_reactor
async def test_only_the_controller_deletes(clients: Clients) -> None:
    cluster = Cluster(clients)
    one = await cluster.add(1)
    two = await cluster.add(2)
    await auto_topic_creation.create(one, "t", 1, 1)
    answer = await ask(two, "delete_topics", request(6, "t"))
    assert [Error.NOT_CONTROLLER] == [result.error_code for result in answer.responses]
