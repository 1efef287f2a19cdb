"""Gives topics more partitions.

Answered by the controller only (41 elsewhere). Each topic is checked by itself, in Kafka's words; the answer waits
until this broker's metadata show a leader for every partition, as in CreateTopics.
v2 flexible; v3 quota errors.
"""

from __future__ import annotations

from collections import Counter

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.bulk_requests import in_slices
from kafkalike.broker.request import Call
from kafkalike.cluster import znode_sizes
from kafkalike.controller import topic_admin
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import create_partitions as messages

ACCESS = (Access(Operation.ALTER, Resource.TOPIC, "name", "topics"),)


async def create_partitions(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Extends every topic that can be."""
    request = call.request
    results = {
        topic.name: messages.CreatePartitionsTopicResult(name=topic.name, error_message=None)
        for topic in request.topics
    }
    if not broker.controller.active:
        for result in results.values():
            result.error_code = Error.NOT_CONTROLLER
        return messages.Response(results=list(results.values()))
    try:
        each = (topic_admin.size_of_added(broker.metadata.image, topic) for topic in request.topics)
        znode_sizes.check_together(len(request.topics), each)
    except KafkaError as error:
        for result in results.values():
            result.error_code, result.error_message = error.error, error.message
        return messages.Response(results=list(results.values()))
    named = Counter(topic.name for topic in request.topics)
    wanted: dict[str, frozenset[int]] = {}

    async def one(topic: messages.CreatePartitionsTopic) -> None:
        result = results[topic.name]
        try:
            if named[topic.name] > 1:
                raise KafkaError(Error.INVALID_REQUEST, "Duplicate topic in request.")
            context = broker.controller.context
            if context is not None and context.is_being_deleted(topic.name):
                raise KafkaError(Error.INVALID_TOPIC_EXCEPTION, "The topic is queued for deletion.")
            manual = None if topic.assignments is None else [tuple(a.broker_ids) for a in topic.assignments]
            wanted[topic.name] = await topic_admin.extend(
                broker.zk, broker.metadata.image, topic.name, topic.count, manual, request.validate_only
            )
        except KafkaError as error:
            result.error_code = error.error
            result.error_message = error.message

    await in_slices(broker.reactor, request.topics, one)
    if request.validate_only:
        return messages.Response(results=list(results.values()))
    await broker.metadata.wait(
        lambda image: all(topic_admin.led(image, name, partitions) for name, partitions in wanted.items()),
        request.timeout_ms,
    )
    image = broker.metadata.image
    for name, partitions in wanted.items():
        if request.timeout_ms <= 0 or not topic_admin.led(image, name, partitions):
            results[name].error_code = Error.REQUEST_TIMED_OUT
    return messages.Response(results=list(results.values()))
