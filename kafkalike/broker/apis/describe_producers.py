"""Which producers wrote to partitions lately, and how far they are: for whoever looks for a transaction that hangs.

Answered by any replica, from what its log knows of producer ids. Checks in order: the topic's name is legal (17); it
exists (3), which are told with a message; then the partition is here (3, 6, 56). Nothing is woken.
v0 is flexible.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.cluster import topic_names
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import describe_producers as messages
from kafkalike.storage.producer_state import Producer

ACCESS = (Access(Operation.READ, Resource.TOPIC, "name", "topics"),)

NO_SEQUENCE = -1
NOT_HOSTED = "This server does not host this topic-partition."


def describe_producers(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Describes every partition."""
    topics = []
    for topic in call.request.topics:
        refusal = _refusal(broker, topic.name)
        partitions = [
            _refused(index, refusal) if refusal else _described(broker, topic.name, index)
            for index in topic.partition_indexes
        ]
        topics.append(messages.TopicResponse(name=topic.name, partitions=partitions))
    return messages.Response(topics=topics)


def failed(call: Call[messages.Request], error: KafkaError) -> messages.Response:
    """The error for every partition."""
    return messages.Response(
        topics=[
            messages.TopicResponse(
                name=topic.name, partitions=[_refused(index, error) for index in topic.partition_indexes]
            )
            for topic in call.request.topics
        ]
    )


def _refusal(broker: Broker, topic: str) -> KafkaError | None:
    reason = topic_names.illegal(topic)
    if reason:
        return KafkaError(Error.INVALID_TOPIC_EXCEPTION, reason)
    if topic not in broker.metadata.image.topics:
        return KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION, NOT_HOSTED)
    return None


def _refused(index: int, error: KafkaError) -> messages.PartitionResponse:
    return messages.PartitionResponse(partition_index=index, error_code=error.error, error_message=error.message)


def _described(broker: Broker, topic: str, index: int) -> messages.PartitionResponse:
    try:
        producers = broker.partitions.find(topic, index).log.producers.entries
    except KafkaError as problem:
        return messages.PartitionResponse(partition_index=index, error_code=problem.error)
    active = [_state(producer_id, producer) for producer_id, producer in producers.items()]
    return messages.PartitionResponse(partition_index=index, active_producers=active)


def _state(producer_id: int, producer: Producer) -> messages.ProducerState:
    return messages.ProducerState(
        producer_id=producer_id,
        producer_epoch=producer.epoch,
        last_sequence=producer.batches[-1].last_sequence if producer.batches else NO_SEQUENCE,
        last_timestamp=producer.timestamp,
        coordinator_epoch=producer.coordinator_epoch,
        current_txn_start_offset=producer.txn_first_offset,
    )
