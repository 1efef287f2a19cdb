"""Creates topics.

Answered by the controller only (41 elsewhere). Each topic is checked by itself, in Kafka's order and words; then its
configuration and assignment are written, and the answer waits until this broker's metadata show a leader for every
partition: REQUEST_TIMED_OUT when they do not in time, though the topic still comes. A timeout of 0 or less answers
REQUEST_TIMED_OUT at once for what succeeded.
v1 validate_only and messages; v4 -1 means the broker's defaults; v5 the answer echoes numbers and configuration;
v6 quota errors; v7 topic ids.
"""

from __future__ import annotations

from collections import Counter

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.bulk_requests import in_slices
from kafkalike.broker.request import Call
from kafkalike.cluster import topic_names, znode_sizes
from kafkalike.config import Config
from kafkalike.controller import topic_admin
from kafkalike.controller.topic_admin import NewTopic
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import create_topics as messages

ACCESS = (Access(Operation.CREATE, Resource.TOPIC, "name", "topics", or_cluster=Operation.CREATE),)


async def create_topics(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Creates every topic that can be."""
    request = call.request
    results = [messages.CreatableTopicResult(name=topic.name, error_message=None) for topic in request.topics]
    if not broker.controller.active:
        for result in results:
            result.error_code = Error.NOT_CONTROLLER
        return messages.Response(topics=results)
    try:
        image = broker.metadata.image
        each = (topic_admin.size_of_new(broker.config, image, topic) for topic in request.topics)
        znode_sizes.check_together(len(request.topics), each)
    except KafkaError as error:
        for result in results:
            result.error_code, result.error_message = error.error, error.message
        return messages.Response(topics=results)
    named = Counter(topic.name for topic in request.topics)

    async def one(asked: tuple[messages.CreatableTopic, messages.CreatableTopicResult]) -> NewTopic | None:
        topic, result = asked
        try:
            if topic.name == topic_names.CLUSTER_METADATA:
                raise KafkaError(Error.INVALID_REQUEST, f"Creation of internal topic {topic.name} is prohibited.")
            if named[topic.name] > 1:
                raise KafkaError(Error.INVALID_REQUEST, "Found multiple entries for this topic.")
            new = await _check(broker, topic)
            if not request.validate_only:
                await topic_admin.write_new(broker.zk, new)
        except KafkaError as error:
            result.error_code = error.error
            result.error_message = error.message
            return None
        _describe(broker.config, new, result, request.validate_only)
        return new

    created = await in_slices(broker.reactor, zip(request.topics, results, strict=True), one)
    if request.validate_only:
        return messages.Response(topics=results)
    wanted = {new.name: new.partitions for new in created if new is not None}
    await broker.metadata.wait(
        lambda image: all(topic_admin.led(image, name, partitions) for name, partitions in wanted.items()),
        request.timeout_ms,
    )
    image = broker.metadata.image
    for result in results:
        if result.name in wanted and not result.error_code:
            in_time = request.timeout_ms > 0 and topic_admin.led(image, result.name, wanted[result.name])
            if not in_time:
                _reset(result, Error.REQUEST_TIMED_OUT)
    return messages.Response(topics=results)


async def _check(broker: Broker, topic: messages.CreatableTopic) -> NewTopic:
    # Of several assignments of one partition the last one counts, as in Kafka.
    manual = {assignment.partition_index: tuple(assignment.broker_ids) for assignment in topic.assignments}
    return await topic_admin.check_new(
        broker.zk,
        broker.config,
        broker.metadata.image,
        broker.rng,
        topic.name,
        topic.num_partitions,
        topic.replication_factor,
        manual,
        {config.name: config.value for config in topic.configs},
    )


def _describe(config: Config, new: NewTopic, result: messages.CreatableTopicResult, validate_only: bool) -> None:
    if not validate_only:
        result.topic_id = new.topic_id
    result.num_partitions = len(new.replicas)
    result.replication_factor = len(new.replicas[0])
    result.configs = [
        messages.CreatableTopicConfigs(name=name, value=value, config_source=source)
        for name, value, source in topic_admin.effective_configs(config, new.configs)
    ]


def _reset(result: messages.CreatableTopicResult, error: Error) -> None:
    """An answer with an error echoes nothing."""
    result.error_code = error
    result.num_partitions = result.replication_factor = -1
    result.configs = []
