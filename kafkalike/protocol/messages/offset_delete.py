"""OffsetDelete: an admin deletes committed offsets of a group for topics that it no longer consumes (KIP-496)."""

from kafkalike.protocol.fields import NEVER
from kafkalike.protocol.schema import Message, Struct, array, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 47, "OffsetDelete", (0, 0), NEVER


class OffsetDeleteRequestPartition(Struct):
    partition_index = int32()


class OffsetDeleteRequestTopic(Struct):
    name = string()
    partitions = array(OffsetDeleteRequestPartition)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    group_id = string()
    topics = array(OffsetDeleteRequestTopic)


class OffsetDeleteResponsePartition(Struct):
    partition_index = int32()
    error_code = int16()


class OffsetDeleteResponseTopic(Struct):
    name = string()
    partitions = array(OffsetDeleteResponsePartition)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    throttle_time_ms = int32(ignorable=True)
    topics = array(OffsetDeleteResponseTopic)
