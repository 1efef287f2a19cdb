"""Which broker coordinates a group.

Answered by any broker: the leader of the partition of __consumer_offsets that the group hashes to. The first question
creates that topic and waits a moment for its leaders, so that a first consumer need not ask again. Errors:
COORDINATOR_NOT_AVAILABLE while there is no leader, and always for transactional ids (key type 1) and share groups (2).
v1 adds key types and error messages; v3 flexible; v4 several keys; v5 no change here; v6 share groups.
"""

from __future__ import annotations

import logging

from kafkalike.broker.access import LAST_VERSION, Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.controller import auto_topic_creation
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import find_coordinator as messages

log = logging.getLogger("kafka.server.KafkaApis")

GROUP, TRANSACTION, SHARE = 0, 1, 2
# How long the first question may wait for the topic that it creates.
CREATION_WAIT_MS = 3000


def _access(resource: Resource, key_type: int) -> tuple[Access, ...]:
    one = Access(Operation.DESCRIBE, resource, "key", versions=(0, 3), when=lambda r: bool(r.key_type == key_type))
    return one, one._replace(name="", each="coordinator_keys", versions=(4, LAST_VERSION))


ACCESS = _access(Resource.GROUP, GROUP) + _access(Resource.TRANSACTIONAL_ID, TRANSACTION)


async def find_coordinator(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Finds the leader for each key."""
    request, version = call.request, call.version
    keys = request.coordinator_keys if version >= 4 else [request.key]
    if request.key_type == GROUP and GROUP_METADATA not in broker.metadata.image.topics:
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


def _find(broker: Broker, call: Call[messages.Request], key_type: int, key: str) -> messages.Coordinator:
    error = Error.COORDINATOR_NOT_AVAILABLE
    if key_type == GROUP:
        state = broker.metadata.image.partition(GROUP_METADATA, broker.group_coordinator.topic.partition_for(key))
        endpoint = state and broker.metadata.image.endpoint(state.leader, call.listener)
        if state and endpoint:
            return messages.Coordinator(key=key, node_id=state.leader, host=endpoint[0], port=endpoint[1])
    elif key_type not in (TRANSACTION, SHARE) or (key_type == SHARE and call.version < 6):
        error = Error.INVALID_REQUEST
    return messages.Coordinator(key=key, node_id=-1, host="", port=-1, error_code=error, error_message=error.message)


async def _create(broker: Broker) -> None:
    try:
        await auto_topic_creation.create_automatically(broker, GROUP_METADATA, CREATION_WAIT_MS)
    except KafkaError as problem:
        # Too few brokers, or no leader yet: the client asks again.
        if problem.error is not Error.INVALID_PARTITIONS:  # which has been told
            log.info("Topic %s cannot be used yet: %s", GROUP_METADATA, problem)
