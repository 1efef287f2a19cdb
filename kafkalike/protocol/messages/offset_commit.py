"""OffsetCommit: a consumer says how far its group has come.

Which store a commit goes to once depended on the version: 0 meant ZooKeeper, later ones the offsets topic.

    v1   member and generation, and a timestamp for each commit
    v2   retention_time_ms replaces the timestamps
    v3   throttle time in the answer
    v5   no retention time any more
    v6   the leader epoch of the committed offset (KIP-320)
    v7   group_instance_id (KIP-345)
    v8   flexible
    v9   members of the newer group protocol commit too: the generation is their member epoch (KIP-848)
"""

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
