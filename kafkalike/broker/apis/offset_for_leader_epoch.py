"""Where a leader epoch ended in a partition's log (KIP-101, KIP-320).

Answered by the leader: the largest epoch not above the one asked for, and its end offset; (-1, -1) when that is not
known. Clients compare it with what they have read to notice a truncation. A replica that does not lead answers our
controller, when it compares logs.
v0 has no epoch in the answer; v2 the client's current leader epoch (74, 75); v3 replica id; v4 flexible.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.errors import KafkaError
from kafkalike.protocol import ANY_REPLICA
from kafkalike.protocol.messages import offset_for_leader_epoch as messages
from kafkalike.replication.hosted_partitions import HostedPartitions
from kafkalike.storage.log import Log

REPLICA_ID = 3  # the first version that says who asks; what an older one leaves out reads as any replica


ACCESS = (Access(Operation.DESCRIBE, Resource.TOPIC, "topic", "topics", or_cluster=Operation.CLUSTER_ACTION),)


def offset_for_leader_epoch(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Looks every partition up."""
    any_replica = call.version >= REPLICA_ID and call.request.replica_id == ANY_REPLICA
    topics = []
    for topic in call.request.topics:
        partitions = []
        for asked in topic.partitions:
            answer = messages.EpochEndOffset(partition=asked.partition, leader_epoch=-1, end_offset=-1)
            try:
                log = _log(broker.partitions, topic.topic, asked, any_replica)
                answer.leader_epoch, answer.end_offset = log.end_offset_for_epoch(asked.leader_epoch)
            except KafkaError as problem:
                answer.error_code = problem.error
            partitions.append(answer)
        topics.append(messages.OffsetForLeaderTopicResult(topic=topic.topic, partitions=partitions))
    return messages.Response(topics=topics)


def _log(partitions: HostedPartitions, topic: str, asked: messages.OffsetForLeaderPartition, any_replica: bool) -> Log:
    if any_replica:
        hosted = partitions.find(topic, asked.partition)
        hosted.partition.check_epoch(asked.current_leader_epoch)
        return hosted.log
    return partitions.leader(topic, asked.partition, asked.current_leader_epoch).log
