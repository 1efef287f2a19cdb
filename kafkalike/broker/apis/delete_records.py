"""Deletes the records of a partition before an offset (KIP-107).

Answered by the leader. -1 means the high watermark; beyond it is OFFSET_OUT_OF_RANGE (1); a topic whose cleanup policy
lacks delete refuses with POLICY_VIOLATION (44). The log start moves at once; files go when no range of them is unsent.
v0 and v1 the same; v2 flexible.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.distinct_partitions import by_topic
from kafkalike.broker.request import Call
from kafkalike.cluster.topic_names import INTERNAL_TOPICS
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import delete_records as messages

ACCESS = (Access(Operation.DELETE, Resource.TOPIC, "name", "topics"),)


def delete_records(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Moves every partition's start."""
    topics = []
    for name, named in by_topic(call.request.topics).items():
        partitions = []
        for index, asked in named.items():
            result = messages.DeleteRecordsPartitionResult(partition_index=index, low_watermark=-1)
            try:
                if name in INTERNAL_TOPICS:
                    raise KafkaError(Error.INVALID_TOPIC_EXCEPTION)
                result.low_watermark = broker.replicas.delete_records(name, index, asked.offset)
            except KafkaError as problem:
                result.error_code = problem.error
            partitions.append(result)
        topics.append(messages.DeleteRecordsTopicResult(name=name, partitions=partitions))
    return messages.Response(topics=topics)
