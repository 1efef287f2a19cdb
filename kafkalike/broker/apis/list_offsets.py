"""Offsets of a partition by time.

Answered by the leader; to replica id -2 by any replica, with the end of its log.
Timestamps: -1 the end (high watermark, or last stable offset for read_committed), -2 the start,
-3 the record with the largest timestamp, -4 the start on this broker, -5 the end in remote storage (there is none: -1);
any other that is not negative: the first record at or after it, -1 when there is none. A negative one that the version
does not know is UNSUPPORTED_VERSION, a partition that is named twice INVALID_REQUEST.
v0 returns several segment boundaries; v1 one offset and its timestamp; v2 isolation level; v4 leader epochs (74, 75);
v5 OFFSET_NOT_AVAILABLE; v6 flexible; v7 -3; v8 -4; v9 -5.

A new leader may not know yet how far its predecessor had let consumers read: until its high watermark has reached the
start of its own epoch, an offset at or above that mark is OFFSET_NOT_AVAILABLE, or the end would go back (KIP-207).
"""

from __future__ import annotations

from collections import Counter

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import (
    ANY_REPLICA,
    EARLIEST,
    EARLIEST_LOCAL,
    LATEST,
    LATEST_TIERED,
    MAX_TIMESTAMP,
    READ_COMMITTED,
    READ_UNCOMMITTED,
)
from kafkalike.protocol.messages import list_offsets as messages
from kafkalike.replication.hosted_partitions import HostedPartition, HostedPartitions

# The first version that knows each; any other negative timestamp means nothing.
SINCE = {LATEST: 0, EARLIEST: 0, MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9}
NO_VERSION = 1 << 15
UNKNOWN = (-1, -1, -1)
LEADER_EPOCHS = 4  # the first version that tells them
NOT_AVAILABLE = 5  # the first version that knows OFFSET_NOT_AVAILABLE


ACCESS = (Access(Operation.DESCRIBE, Resource.TOPIC, "name", "topics"),)


def list_offsets(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Looks every partition up."""
    request = call.request
    twice = _named_twice(request) if call.version else frozenset()
    topics = []
    for topic in request.topics:
        partitions = []
        for asked in topic.partitions:
            answer = messages.ListOffsetsPartitionResponse(partition_index=asked.partition_index)
            try:
                _check(asked, call, (topic.name, asked.partition_index) in twice)
                if request.replica_id == ANY_REPLICA and asked.timestamp == LATEST and call.version >= LEADER_EPOCHS:
                    answer.leader_epoch, answer.offset = _log_end(broker.partitions, topic.name, asked)
                    partitions.append(answer)
                    continue
                hosted = broker.partitions.leader(topic.name, asked.partition_index, asked.current_leader_epoch)
                if call.version == 0:
                    found = _boundaries(hosted, asked.timestamp, _visible(hosted, request), broker.clock.wall_ms())
                    answer.old_style_offsets = found[: asked.max_num_offsets]
                else:
                    answer.timestamp, answer.offset, epoch = _look_up(hosted, asked.timestamp, request)
                    if call.version >= LEADER_EPOCHS:
                        answer.leader_epoch = epoch
            except KafkaError as problem:
                answer.error_code = problem.error
                if problem.error is Error.OFFSET_NOT_AVAILABLE and call.version < NOT_AVAILABLE:
                    answer.error_code = Error.LEADER_NOT_AVAILABLE
            partitions.append(answer)
        topics.append(messages.ListOffsetsTopicResponse(name=topic.name, partitions=partitions))
    return messages.Response(topics=topics)


def _named_twice(request: messages.Request) -> frozenset[tuple[str, int]]:
    named = Counter((topic.name, asked.partition_index) for topic in request.topics for asked in topic.partitions)
    return frozenset(key for key, times in named.items() if times > 1)


def _check(asked: messages.ListOffsetsPartition, call: Call[messages.Request], twice: bool) -> None:
    """Refuses what has no meaning, before anything is looked up."""
    if twice:
        raise KafkaError(Error.INVALID_REQUEST)
    if asked.timestamp < 0 and call.version < SINCE.get(asked.timestamp, NO_VERSION):
        raise KafkaError(Error.UNSUPPORTED_VERSION)
    if asked.max_num_offsets < 0 or call.request.isolation_level not in (READ_UNCOMMITTED, READ_COMMITTED):
        raise KafkaError(Error.UNKNOWN_SERVER_ERROR)  # as in Kafka, which does not expect it


def _log_end(partitions: HostedPartitions, topic: str, asked: messages.ListOffsetsPartition) -> tuple[int, int]:
    """(the epoch of the last record, the end of the log), whether this broker leads or not. A log whose records were
    all deleted still knows in which epoch it had come to its start."""
    hosted = partitions.find(topic, asked.partition_index)
    hosted.partition.check_epoch(asked.current_leader_epoch)
    start, end = hosted.log.log_start_offset, hosted.log.log_end_offset
    return hosted.log.epoch_at(end if start == end > 0 else end - 1), end


def _visible(hosted: HostedPartition, request: messages.Request) -> int:
    """How far the log reaches for who asks; a follower is to have all of it."""
    if request.replica_id >= 0:
        return int(hosted.log.log_end_offset)
    mark = hosted.partition.high_watermark
    return int(hosted.log.last_stable_offset(mark) if request.isolation_level == READ_COMMITTED else mark)


def _look_up(hosted: HostedPartition, timestamp: int, request: messages.Request) -> tuple[int, int, int]:
    """(timestamp, offset, leader epoch); UNKNOWN when there is no such record, KafkaError while that cannot be
    known."""
    log = hosted.log
    known = request.replica_id >= 0 or hosted.partition.high_watermark >= hosted.partition.epoch_start
    end = _visible(hosted, request)
    if timestamp == LATEST:
        if not known:
            raise KafkaError(Error.OFFSET_NOT_AVAILABLE)
        return -1, end, hosted.partition.leader_epoch
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        return -1, log.log_start_offset, log.epoch_at(log.log_start_offset)
    if timestamp == LATEST_TIERED:
        return UNKNOWN
    found = log.max_timestamp() if timestamp == MAX_TIMESTAMP else log.offset_for_timestamp(timestamp)
    if found is None or found[1] >= end:
        if not known:
            raise KafkaError(Error.OFFSET_NOT_AVAILABLE)
        return UNKNOWN
    return found


def _boundaries(hosted: HostedPartition, timestamp: int, mark: int, now_ms: int) -> list[int]:
    """Version 0: where segments begin, and the end, newest first, as far as they are not newer than `timestamp`."""
    log = hosted.log
    starts = log.segment_starts()  # (base offset, time of the last change in milliseconds), oldest first
    if timestamp == EARLIEST:
        return [log.log_start_offset]
    if timestamp == LATEST:
        offsets = [base for base, _ in starts] + [mark]
    else:
        offsets = [base for base, changed_ms in starts if changed_ms <= timestamp]
        if now_ms <= timestamp:
            offsets.append(mark)
    return sorted({max(min(o, mark), log.log_start_offset) for o in offsets}, reverse=True)
