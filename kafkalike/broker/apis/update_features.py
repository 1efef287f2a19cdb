"""Raises or lowers the finalized versions of the cluster's features (KIP-584).

Answered by the controller only (41 elsewhere). With ZooKeeper no broker has features, Apache's neither:
metadata.version is that of KRaft's records. Each update is refused by itself, with the first reason that Kafka has. So
nothing is ever written, whether or not it shall only be validated.
v1 upgrade types instead of "may be lowered"; validate_only.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import update_features as messages

UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE = 1, 2, 3


ACCESS = (Access(Operation.ALTER),)


def update_features(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Refuses every update; of several for one feature the first counts."""
    if not broker.controller.active:
        raise KafkaError(Error.NOT_CONTROLLER)
    updates: dict[str, messages.FeatureUpdateKey] = {}
    for update in call.request.feature_updates:
        updates.setdefault(update.feature, update)
    return messages.Response(
        error_message=None,
        results=[
            messages.UpdatableFeatureResult(
                feature=name, error_code=Error.INVALID_REQUEST, error_message=_refusal(update, call.version)
            )
            for name, update in updates.items()
        ],
    )


def _refusal(update: messages.FeatureUpdateKey, version: int) -> str:
    kind = update.upgrade_type
    if version == 0:
        kind = SAFE_DOWNGRADE if update.allow_downgrade else UPGRADE
    level = update.max_version_level
    if not update.feature:
        return "Feature name can not be empty."
    if kind not in (UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE):
        return "Received unknown upgrade type."
    if level < 1 and kind != UPGRADE:
        return "Can not delete non-existing finalized feature."
    if level < 1:
        return (
            f"Can not provide versionLevel: {level} less than 1 without setting the SAFE downgradeType in the request."
        )
    return "Could not apply finalized feature update because the provided feature is not supported."
