"""Where a leader epoch ended in a partition's log (KIP-101, KIP-320).

Answered by the leader: the largest epoch not above the one asked for, and its end offset; (-1, -1) when that is not
known. Clients compare it with what they have read to notice a truncation.
v0 has no epoch in the answer; v2 the client's current leader epoch (74, 75); v3 replica id; v4 flexible.
"""

from __future__ import annotations

from typing import Any

from kafkalike.errors import KafkaError
from kafkalike.protocol.messages import offset_for_leader_epoch as messages


def offset_for_leader_epoch(broker: Any, call: Any) -> Any:
    """Looks every partition up."""
    topics = []
    for topic in call.request.topics:
        partitions = []
        for asked in topic.partitions:
            answer = messages.EpochEndOffset(partition=asked.partition, leader_epoch=-1, end_offset=-1)
            try:
                log = broker.replicas.leader(topic.topic, asked.partition, asked.current_leader_epoch).log
                answer.leader_epoch, answer.end_offset = log.end_offset_for_epoch(asked.leader_epoch)
            except KafkaError as problem:
                answer.error_code = problem.error
            partitions.append(answer)
        topics.append(messages.OffsetForLeaderTopicResult(topic=topic.topic, partitions=partitions))
    return messages.Response(topics=topics)
