"""OffsetCommit: TODO."""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 8, "OffsetCommit", (0, 9), 8


class OffsetCommitRequestPartition(Struct):
    partition_index = int32()
    committed_offset = int64()
    committed_leader_epoch = int32("6+", default=-1, ignorable=True)
    commit_timestamp = int64("1", default=-1)
    committed_metadata = string(nullable="0+")


class OffsetCommitRequestTopic(Struct):
    name = string()
    partitions = array(OffsetCommitRequestPartition)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    group_id = string()
    generation_id_or_member_epoch = int32("1+", default=-1, ignorable=True)
    member_id = string("1+", ignorable=True)
    group_instance_id = string("7+", nullable="7+", default=None)
    retention_time_ms = int64("2-4", default=-1, ignorable=True)
    topics = array(OffsetCommitRequestTopic)


class OffsetCommitResponsePartition(Struct):
    partition_index = int32()
    error_code = int16()


class OffsetCommitResponseTopic(Struct):
    name = string()
    partitions = array(OffsetCommitResponsePartition)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("3+", ignorable=True)
    topics = array(OffsetCommitResponseTopic)
