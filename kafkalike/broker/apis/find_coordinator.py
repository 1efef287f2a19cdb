"""Which broker coordinates a group.

Answered by any broker: the leader of the partition of __consumer_offsets that the group hashes to. The first question
creates that topic and waits a moment for its leaders, so that a first consumer need not ask again. Errors:
COORDINATOR_NOT_AVAILABLE while there is no leader, and always for transactional ids (key type 1) and share groups (2).
v1 adds key types and error messages; v3 flexible; v4 several keys; v5 no change here; v6 share groups.
"""

from __future__ import annotations

import logging
from typing import Any

from kafkalike.errors import Error
from kafkalike.protocol.messages import find_coordinator as messages

log = logging.getLogger("kafka.server.KafkaApis")

GROUP, TRANSACTION, SHARE = 0, 1, 2
TOPIC = "__consumer_offsets"
# How long the first question may wait for the topic that it creates.
CREATION_WAIT_MS = 3000


async def find_coordinator(broker: Any, call: Any) -> Any:
    """Finds the leader for each key."""
    request, version = call.request, call.version
    keys = request.coordinator_keys if version >= 4 else [request.key]
    if request.key_type == GROUP and not _known(broker):
        await _create(broker)
    found = [_find(broker, call, request.key_type, key) for key in keys]
    if version >= 4:
        return messages.Response(coordinators=found)
    (one,) = found
    return messages.Response(
        error_code=one.error_code,
        # Kafka's older versions say so in words when there is no error, too.
        error_message="NONE" if not one.error_code else one.error_message,
        node_id=one.node_id,
        host=one.host,
        port=one.port,
    )


def _find(broker: Any, call: Any, key_type: int, key: str) -> Any:
    error = Error.COORDINATOR_NOT_AVAILABLE
    if key_type == GROUP:
        state = broker.metadata.image.partition(TOPIC, broker.groups.partition_for(key))
        endpoint = state and broker.metadata.image.endpoint(state.leader, call.listener)
        if endpoint:
            return messages.Coordinator(key=key, node_id=state.leader, host=endpoint[0], port=endpoint[1])
    elif key_type not in (TRANSACTION, SHARE) or (key_type == SHARE and call.version < 6):
        error = Error.INVALID_REQUEST
    return messages.Coordinator(key=key, node_id=-1, host="", port=-1, error_code=error, error_message=error.message)


def _known(broker: Any) -> bool:
    topic = broker.metadata.image.topics.get(TOPIC)
    return topic is not None and any(state.leader >= 0 for state in topic.partitions.values())


async def _create(broker: Any) -> None:
    config = broker.config
    if TOPIC not in broker.metadata.image.topics:
        try:
            await broker.create_topic(
                TOPIC,
                config["offsets.topic.num.partitions"],
                config["offsets.topic.replication.factor"],
                {
                    "cleanup.policy": "compact",
                    "compression.type": "producer",
                    "segment.bytes": str(config["offsets.topic.segment.bytes"]),
                },
            )
        except Exception as problem:
            # Already there, or too few brokers: the client asks again.
            log.info("Topic %s was not created: %s", TOPIC, problem)
    await broker.metadata.wait(_all_led, CREATION_WAIT_MS)


def _all_led(image: Any) -> bool:
    topic = image.topics.get(TOPIC)
    return topic is not None and all(state.leader >= 0 for state in topic.partitions.values())
