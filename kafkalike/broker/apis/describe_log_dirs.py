"""The log directories of this broker: their partitions, sizes and room (KIP-113, KIP-827).

Answered by the broker about itself. A directory whose disk failed is listed with KAFKA_STORAGE_ERROR (56).
v0 and v1 the same; v2 flexible; v3 a top-level error; v4 total and usable bytes.
"""

from __future__ import annotations

import os

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.errors import Error
from kafkalike.protocol.messages import describe_log_dirs as messages
from kafkalike.replication.hosted_partitions import HostedPartitions
from kafkalike.storage.directory import LogDirectory

ROOM = 4  # the first version that tells it


ACCESS = (Access(Operation.DESCRIBE),)


def describe_log_dirs(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Lists every directory with the partitions that were asked for (null: all)."""
    asked = call.request.topics
    wanted = None if asked is None else {(topic.topic, p) for topic in asked for p in topic.partitions}
    results = []
    for directory in broker.partitions.directories:
        result = messages.DescribeLogDirsResult(error_code=0, log_dir=directory.path)
        if directory.offline is not None:
            result.error_code = Error.KAFKA_STORAGE_ERROR
        else:
            result.topics = _topics(broker.partitions, directory, wanted)
            if call.version >= ROOM:
                room = os.statvfs(directory.path)
                result.total_bytes = room.f_blocks * room.f_frsize
                result.usable_bytes = room.f_bavail * room.f_frsize
        results.append(result)
    return messages.Response(results=results)


def _topics(
    partitions: HostedPartitions, directory: LogDirectory, wanted: set[tuple[str, int]] | None
) -> list[messages.DescribeLogDirsTopic]:
    topics: dict[str, messages.DescribeLogDirsTopic] = {}
    for (name, index), log in sorted(directory.logs.items()):
        if wanted is not None and (name, index) not in wanted:
            continue
        hosted = partitions.hosted.get((name, index))
        mark = hosted.partition.high_watermark if hosted is not None else log.log_end_offset
        topic = topics.get(name)
        if topic is None:
            topic = topics[name] = messages.DescribeLogDirsTopic(name=name, partitions=[])
        topic.partitions.append(
            messages.DescribeLogDirsPartition(
                partition_index=index,
                partition_size=log.size_bytes,
                offset_lag=max(mark - log.log_end_offset, 0),
                is_future_key=False,
            )
        )
    return list(topics.values())
