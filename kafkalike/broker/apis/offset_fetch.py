"""Reads the offsets of groups from ZooKeeper: whatever has been written there, by whom ever; or, in a cluster with
brokers of Apache Kafka, from the log.

Answered by the group's coordinator, v0 by any broker. A partition without an offset is -1 without an error, in v0
UNKNOWN_TOPIC_OR_PARTITION, as is a partition that does not exist. Every read sees every commit that was answered.
UNSTABLE_OFFSET_COMMIT for a partition with a commit of an open transaction, if the request requires stable ones.
v0 no coordinator; v1 the coordinator's errors stand at each partition; v2 error for the group, null topics are all;
v3 throttle time; v5 leader epoch; v6 flexible; v7 require_stable; v8 several groups; v9 member id and epoch.
"""

from __future__ import annotations

from typing import Any, TypeVar

from kafkalike.broker.access import LAST_VERSION, Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.coordinator.offsets.offset_commit import Committed, TopicPartition
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import offset_fetch as messages

P = TypeVar("P", messages.OffsetFetchResponsePartition, messages.OffsetFetchResponsePartitions)


ACCESS = (
    Access(Operation.DESCRIBE, Resource.GROUP, "group_id", versions=(0, 7)),
    Access(Operation.DESCRIBE, Resource.TOPIC, "name", "topics", versions=(0, 7)),
    Access(Operation.DESCRIBE, Resource.GROUP, "group_id", "groups", versions=(8, LAST_VERSION)),
)


async def offset_fetch(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Reads for each group."""
    request, version = call.request, call.version
    if version >= 8:
        stable = request.require_stable
        return messages.Response(groups=[await _group(broker, group, stable) for group in request.groups])
    keys = _keys(request.topics)
    if version == 0:
        return messages.Response(topics=_topics(await _read_unbound(broker, request.group_id, keys or [])))
    error = Error.NONE
    try:
        found = await broker.group_coordinator.fetch(request.group_id, keys, request.require_stable)
    except KafkaError as problem:
        error = problem.error
        # Version 1 has no other place for it.
        found = [(key, Committed(error=error)) for key in keys or ()] if version < 2 else []
    return messages.Response(topics=_topics(found), error_code=error)


async def _group(
    broker: Broker, group: messages.OffsetFetchRequestGroup, require_stable: bool
) -> messages.OffsetFetchResponseGroup:
    answer = messages.OffsetFetchResponseGroup(group_id=group.group_id)
    try:
        found = await broker.group_coordinator.fetch(group.group_id, _keys(group.topics), require_stable)
    except KafkaError as problem:
        answer.error_code = problem.error
        return answer
    by_topic: dict[str, list[messages.OffsetFetchResponsePartitions]] = {}
    for (topic, partition), committed in found:
        by_topic.setdefault(topic, []).append(
            _filled(messages.OffsetFetchResponsePartitions(partition_index=partition), committed)
        )
    answer.topics = [
        messages.OffsetFetchResponseTopics(name=topic, partitions=partitions) for topic, partitions in by_topic.items()
    ]
    return answer


async def _read_unbound(
    broker: Broker, group_id: str, keys: list[TopicPartition]
) -> list[tuple[TopicPartition, Committed]]:
    unknown = Committed(error=Error.UNKNOWN_TOPIC_OR_PARTITION)
    image = broker.metadata.image
    answers = dict.fromkeys(keys, unknown)
    known = [key for key in answers if image.partition(*key) is not None]
    for key, committed in zip(known, await broker.group_coordinator.fetch_unbound(group_id, known), strict=True):
        if committed.offset != -1 or committed.error is not Error.NONE:
            answers[key] = committed._replace(metadata="", leader_epoch=-1)
    return list(answers.items())


def _keys(topics: Any) -> list[TopicPartition] | None:
    if topics is None:
        return None
    return list(dict.fromkeys((topic.name, index) for topic in topics for index in topic.partition_indexes))


def _topics(found: list[tuple[TopicPartition, Committed]]) -> list[messages.OffsetFetchResponseTopic]:
    by_topic: dict[str, list[messages.OffsetFetchResponsePartition]] = {}
    for (topic, partition), committed in found:
        by_topic.setdefault(topic, []).append(
            _filled(messages.OffsetFetchResponsePartition(partition_index=partition), committed)
        )
    return [
        messages.OffsetFetchResponseTopic(name=topic, partitions=partitions) for topic, partitions in by_topic.items()
    ]


def _filled(answer: P, committed: Committed) -> P:
    answer.committed_offset = committed.offset
    answer.committed_leader_epoch = committed.leader_epoch
    answer.metadata = committed.metadata
    answer.error_code = committed.error
    return answer
