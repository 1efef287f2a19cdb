"""UpdateFeatures: refused as Apache Kafka 3.9.1 with ZooKeeper refuses it, whose answers are in
invalid_requests/update_features.json.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kafkalike.errors import Error
from kafkalike.protocol.messages import update_features as messages
from tests.broker.apis.calls import ask
from tests.reactor import on_reactor

UNSUPPORTED = "Could not apply finalized feature update because the provided feature is not supported."
NOTHING_THERE = "Can not delete non-existing finalized feature."


async def refusals(version: int, *updates: dict[str, Any], active: bool = True) -> Any:
    broker = SimpleNamespace(controller=SimpleNamespace(active=active))
    asked = [messages.FeatureUpdateKey(**update) for update in updates]
    return await ask(broker, "update_features", messages.Request(feature_updates=asked), version)


@pytest.mark.parametrize(
    ("version", "update", "why"),
    [
        (1, {"feature": "metadata.version", "max_version_level": 21}, UNSUPPORTED),
        (1, {"feature": "f", "max_version_level": 1, "upgrade_type": 3}, UNSUPPORTED),
        (1, {"feature": "f", "max_version_level": 0, "upgrade_type": 2}, NOTHING_THERE),
        (1, {"feature": "f", "max_version_level": 1, "upgrade_type": 4}, "Received unknown upgrade type."),
        (1, {"feature": "", "max_version_level": 1, "upgrade_type": 4}, "Feature name can not be empty."),
        (0, {"feature": "f", "max_version_level": 0, "allow_downgrade": True}, NOTHING_THERE),
        (
            0,
            {"feature": "f", "max_version_level": -1},
            "Can not provide versionLevel: -1 less than 1 without setting the SAFE downgradeType in the request.",
        ),
    ],
)
@on_reactor
async def test_every_update_is_refused_with_kafkas_reason(version: int, update: dict[str, Any], why: str) -> None:
    answer = await refusals(version, update)
    assert Error.NONE == answer.error_code
    assert [(update["feature"], Error.INVALID_REQUEST, why)] == [
        (each.feature, each.error_code, each.error_message) for each in answer.results
    ]


@on_reactor
async def test_a_feature_that_is_named_twice_is_answered_once() -> None:
    answer = await refusals(1, {"feature": "f", "max_version_level": 1}, {"feature": "f", "max_version_level": 0})
    assert [("f", UNSUPPORTED)] == [(each.feature, each.error_message) for each in answer.results]


@on_reactor
async def test_another_broker_than_the_controller_says_so() -> None:
    answer = await refusals(1, {"feature": "f", "max_version_level": 1}, active=False)
    assert (Error.NOT_CONTROLLER, []) == (answer.error_code, answer.results)
