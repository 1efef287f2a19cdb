"""Brokers, topics, partitions and leaders, from this broker's image of the cluster.

Answered by any broker. A topic that is asked for by name and does not exist is created when both the broker
(auto.create.topics.enable) and the request allow it; the answer waits a moment for its leaders, else it is
LEADER_NOT_AVAILABLE, which clients ask again about. A topic that is there and can get no leader is that at once, as the
client's other questions wait behind this one. Only brokers that have the listener of this connection are shown, and for
some seconds who led something when it was lost (cluster/metadata_cache.py says why).
v0 an empty list means all topics, and missing replicas are errors; v1 null means all; v4 creation may be forbidden;
v6 a leader without the listener is LISTENER_NOT_FOUND; v8 authorized operations; v10 topic ids; v12 asking by id.
"""

from __future__ import annotations

from collections.abc import Iterable

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.bulk_requests import SLICE
from kafkalike.broker.request import Call
from kafkalike.cluster import topic_names
from kafkalike.cluster.metadata import Broker as Member
from kafkalike.cluster.metadata import Image, Topic
from kafkalike.cluster.znodes.topics import NO_LEADER, NO_TOPIC_ID
from kafkalike.controller import auto_topic_creation
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import metadata as messages
from zk.client import gather

# How long an answer waits, after a start, for the controller to say who is there. A client that is told of no broker at
# all may forget those it knows (librdkafka does, and never asks anybody again).
FIRST_WAIT_MS = 5000
# How long an answer waits for a topic that it had to create.
CREATION_WAIT_MS = 1000
# How long an answer waits while it is found out whether a leader has died.
SUSPECT_WAIT_MS = 2500
# Bits of the operations that exist for a topic and for the cluster: without an authorizer everybody may do them all.
TOPIC_OPERATIONS = sum(1 << code for code in (3, 4, 5, 6, 7, 8, 10, 11))
CLUSTER_OPERATIONS = sum(1 << code for code in (5, 7, 8, 9, 10, 11, 12))


ACCESS = (Access(Operation.DESCRIBE, Resource.TOPIC, "name", "topics"),)


async def metadata(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Answers, creating what is to be created first."""
    request, version = call.request, call.version
    await broker.metadata.wait(lambda image: bool(image.brokers), FIRST_WAIT_MS)
    await broker.metadata.leaders_trusted(SUSPECT_WAIT_MS)
    everything = request.topics is None or (version == 0 and not request.topics)
    asked = [] if everything else request.topics
    for topic in asked:
        if topic.name is None and version < 12:
            raise KafkaError(Error.INVALID_REQUEST, f"Topic name can not be null for version {version}")
        if topic.name is None and bytes(topic.topic_id) == NO_TOPIC_ID:
            raise KafkaError(Error.UNKNOWN_SERVER_ERROR)  # as Kafka, which does not expect it
        if bytes(topic.topic_id) != NO_TOPIC_ID and version < 12:
            raise KafkaError(Error.INVALID_REQUEST, f"Topic IDs are not supported in requests for version {version}")
    ids = list(dict.fromkeys(bytes(topic.topic_id) for topic in asked if bytes(topic.topic_id) != NO_TOPIC_ID))
    names = [] if ids else list(dict.fromkeys(topic.name for topic in asked if topic.name is not None))
    errors = await _missing(broker, names, request.allow_auto_topic_creation)

    image: Image = broker.metadata.image
    answers = []
    if everything:
        answers = [_topic(image, topic, call) for topic in image.topics.values()]
    for topic_id in ids:
        name = image.names.get(topic_id)
        if name is None:
            answers.append(
                messages.MetadataResponseTopic(error_code=Error.UNKNOWN_TOPIC_ID, name=None, topic_id=topic_id)
            )
        else:
            answers.append(_topic(image, image.topics[name], call))
    for name in names:
        topic = image.topics.get(name)
        if topic is not None:
            answers.append(_topic(image, topic, call))
        else:
            internal = name in topic_names.INTERNAL_TOPICS
            error = errors.get(name, Error.UNKNOWN_TOPIC_OR_PARTITION)
            answers.append(messages.MetadataResponseTopic(error_code=error, name=name, is_internal=internal))
    if request.include_topic_authorized_operations:
        for answer in answers:
            answer.topic_authorized_operations = TOPIC_OPERATIONS
    response = messages.Response(
        brokers=_brokers([*image.brokers.values(), *broker.metadata.departed()], call.listener),
        cluster_id=image.cluster_id,
        controller_id=image.controller_id,
        topics=answers,
    )
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    return response


def failed(call: Call[messages.Request], error: KafkaError) -> messages.Response:
    """The error for every topic that was asked for."""
    return messages.Response(
        topics=[
            messages.MetadataResponseTopic(error_code=error.error, name=topic.name or "", topic_id=topic.topic_id)
            for topic in call.request.topics or []
        ]
    )


def _brokers(brokers: Iterable[Member], listener: str) -> list[messages.MetadataResponseBroker]:
    """The brokers that have the client's listener, as Metadata shows them."""
    return [
        messages.MetadataResponseBroker(node_id=broker.id, host=host, port=port, rack=broker.rack)
        for broker, host, port in _endpoints(brokers, listener)
    ]


def endpoints_on(image: Image, listener: str) -> list[tuple[Member, str, int]]:
    """The live brokers that have a listener, and where it is."""
    return _endpoints(image.brokers.values(), listener)


def _endpoints(brokers: Iterable[Member], listener: str) -> list[tuple[Member, str, int]]:
    found = []
    for broker in sorted(brokers, key=lambda broker: broker.id):
        endpoint = broker.endpoints.get(listener)
        if endpoint is not None:
            found.append((broker, endpoint[0], endpoint[1]))
    return found


async def _missing(broker: Broker, names: list[str], may_create: bool) -> dict[str, Error]:
    """Creates the topics that are not there, as far as it is allowed; the error of each that still is not."""
    errors = {}
    creating = []
    for name in names:
        if name in broker.metadata.image.topics:
            continue
        if topic_names.illegal(name):
            errors[name] = Error.INVALID_TOPIC_EXCEPTION
        elif may_create and broker.config["auto.create.topics.enable"]:
            creating.append(name)
        else:
            errors[name] = Error.UNKNOWN_TOPIC_OR_PARTITION

    async def create(name: str) -> None:
        try:
            await auto_topic_creation.create_automatically(broker, name, CREATION_WAIT_MS)
        except KafkaError as error:
            later = error.error in (Error.REQUEST_TIMED_OUT, Error.NOT_CONTROLLER)
            errors[name] = Error.LEADER_NOT_AVAILABLE if later else error.error

    await gather(create(name) for name in creating[:SLICE])
    # The others when they are asked for again.
    errors |= dict.fromkeys(creating[SLICE:], Error.LEADER_NOT_AVAILABLE)
    return errors


def _topic(image: Image, topic: Topic, call: Call[messages.Request]) -> messages.MetadataResponseTopic:
    return messages.MetadataResponseTopic(
        name=topic.name,
        topic_id=topic.id,
        is_internal=topic.name in topic_names.INTERNAL_TOPICS,
        partitions=_partitions(image, topic, call.listener, call.version),
    )


def _partitions(image: Image, topic: Topic, listener: str, version: int) -> list[messages.MetadataResponsePartition]:
    reachable = {broker.id for broker, _, _ in endpoints_on(image, listener)}
    partitions = []
    for index, state in topic.partitions.items():
        replicas, isr, leader, error = state.replicas, state.isr, state.leader, Error.NONE
        if version == 0:
            replicas = tuple(r for r in replicas if r in reachable)
            isr = tuple(r for r in isr if r in reachable)
        if leader not in reachable:
            listener_missing = leader in image.brokers and version >= 6
            error = Error.LISTENER_NOT_FOUND if listener_missing else Error.LEADER_NOT_AVAILABLE
            leader = NO_LEADER
        elif len(replicas) < len(state.replicas) or len(isr) < len(state.isr):
            error = Error.REPLICA_NOT_AVAILABLE
        partitions.append(
            messages.MetadataResponsePartition(
                error_code=error,
                partition_index=index,
                leader_id=leader,
                leader_epoch=state.leader_epoch,
                replica_nodes=list(replicas),
                isr_nodes=list(isr),
                offline_replicas=list(state.offline_replicas),
            )
        )
    return partitions
