"""FindCoordinator."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from kafkalike.broker.apis import find_coordinator
from kafkalike.coordinator.commits import TOPIC
from kafkalike.errors import Error
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


def test_the_first_question_creates_the_topic_and_is_answered() -> None:
    broker: Any = FakeBroker(lead=())
    broker.metadata.topics(t=2)
    asked = []

    def create_topic(name: str, partitions: int, factor: int, configs: dict[str, str]) -> Deferred[None]:
        asked.append((name, partitions, factor, configs))
        broker.metadata.topics(**{"t": 2, TOPIC: 2})
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    broker.create_topic = create_topic
    answer = broker.call(find_coordinator, 3, Request(key="g"))
    assert (answer.error_code, answer.node_id) == (0, 1)
    configs = {"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "1000"}
    assert asked == [(TOPIC, 2, 1, configs)]


def test_a_topic_that_cannot_be_created_is_asked_for_again_by_the_client() -> None:
    broker: Any = FakeBroker(lead=())
    broker.metadata.topics(t=2)

    def create_topic(*_: Any) -> Any:
        raise RuntimeError("too few brokers")

    broker.create_topic = create_topic
    assert broker.call(find_coordinator, 3, Request(key="g")).error_code == Error.COORDINATOR_NOT_AVAILABLE
