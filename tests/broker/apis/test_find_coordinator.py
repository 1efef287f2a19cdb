"""FindCoordinator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from kafkalike.broker.apis import find_coordinator
from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.controller import auto_topic_creation
from kafkalike.errors import Error, KafkaError
from tests.coordinator.fakes import FakeBroker

Request = find_coordinator.messages.Request


@pytest.mark.parametrize("version", range(4))
def test_one_key(version: int) -> None:
    answer = FakeBroker().call(find_coordinator, version, Request(key="g"))
    assert (answer.error_code, answer.node_id, answer.host, answer.port) == (0, 1, "host", 9092)


@pytest.mark.parametrize("version", [4, 5, 6])
def test_several_keys(version: int) -> None:
    answer = FakeBroker().call(find_coordinator, version, Request(coordinator_keys=["g", "h"]))
    assert [(each.key, each.node_id, each.error_code) for each in answer.coordinators] == [("g", 1, 0), ("h", 1, 0)]


@pytest.mark.parametrize(
    ("version", "key_type", "error"),
    [
        (3, 1, Error.COORDINATOR_NOT_AVAILABLE),
        (6, 1, Error.COORDINATOR_NOT_AVAILABLE),
        (6, 2, Error.COORDINATOR_NOT_AVAILABLE),
        (5, 2, Error.INVALID_REQUEST),
        (4, 9, Error.INVALID_REQUEST),
    ],
)
def test_other_kinds_of_coordinators(version: int, key_type: int, error: Error) -> None:
    asked = Request(coordinator_keys=["x"]) if version >= 4 else Request(key="x")
    asked.key_type = key_type
    answer = FakeBroker().call(find_coordinator, version, asked)
    (found,) = answer.coordinators if version >= 4 else [answer]
    assert (found.error_code, found.node_id, found.host, found.port) == (error, -1, "", -1)


def test_the_first_question_creates_the_topic_and_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    broker: Any = FakeBroker(lead=())
    broker.metadata.topics(t=2)
    asked = []

    def create(broker: Any, name: str, timeout_ms: int) -> Deferred[None]:
        asked.append(name)
        broker.metadata.topics(**{"t": 2, GROUP_METADATA: 2})
        return succeed(None)

    monkeypatch.setattr(auto_topic_creation, "create_automatically", create)
    answer = broker.call(find_coordinator, 3, Request(key="g"))
    assert (answer.error_code, answer.node_id) == (0, 1)
    assert asked == [GROUP_METADATA]


def test_a_topic_that_cannot_be_created_is_asked_for_again_by_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    broker: Any = FakeBroker(lead=())
    broker.metadata.topics(t=2)
    few = KafkaError(Error.INVALID_REPLICATION_FACTOR, "too few brokers")
    monkeypatch.setattr(auto_topic_creation, "create_automatically", lambda *_: fail(few))
    assert broker.call(find_coordinator, 3, Request(key="g")).error_code == Error.COORDINATOR_NOT_AVAILABLE


def test_a_topic_without_any_leader_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's other questions wait behind this one."""
    broker: Any = FakeBroker()
    image = broker.metadata.image
    partitions = {p: replace(state, leader=-1) for p, state in image.topics[GROUP_METADATA].partitions.items()}
    dead = replace(image.topics[GROUP_METADATA], partitions=partitions)
    broker.metadata.image = replace(image, topics={**image.topics, GROUP_METADATA: dead})
    monkeypatch.setattr(auto_topic_creation, "create_automatically", lambda *_: Deferred())
    assert broker.call(find_coordinator, 3, Request(key="g")).error_code == Error.COORDINATOR_NOT_AVAILABLE
