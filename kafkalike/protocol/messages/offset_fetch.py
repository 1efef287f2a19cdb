"""OffsetFetch: a consumer or an admin asks for the committed offsets of a group.

As with OffsetCommit, version 0 once meant ZooKeeper and later versions the offsets topic.

    v2   null means every topic; errors of the whole group have their own field
    v3   throttle time in the answer
    v5   the leader epoch of the committed offset
    v6   flexible
    v7   require_stable: UNSTABLE_OFFSET_COMMIT while a transaction is pending (KIP-447)
    v8   several groups at once (KIP-709)
    v9   member id and epoch, for the newer group protocol (KIP-848)
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 9, "OffsetFetch", (0, 9), 6


class OffsetFetchRequestTopic(Struct):
    name = string("0-7")
    partition_indexes = array(int32, "0-7")


class OffsetFetchRequestTopics(Struct):
    name = string("8+")
    partition_indexes = array(int32, "8+")


class OffsetFetchRequestGroup(Struct):
    group_id = string("8+")
    member_id = string("9+", nullable="9+", default=None, ignorable=True)
    member_epoch = int32("9+", default=-1, ignorable=True)
    topics = array(OffsetFetchRequestTopics, "8+", nullable="8+")


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    group_id = string("0-7")
    topics = array(OffsetFetchRequestTopic, "0-7", nullable="2-7")  # null: all
    groups = array(OffsetFetchRequestGroup, "8+")
    require_stable = boolean("7+")


class OffsetFetchResponsePartition(Struct):
    partition_index = int32("0-7")
    committed_offset = int64("0-7")
    committed_leader_epoch = int32("5-7", default=-1, ignorable=True)
    metadata = string("0-7", nullable="0-7")
    error_code = int16("0-7")


class OffsetFetchResponseTopic(Struct):
    name = string("0-7")
    partitions = array(OffsetFetchResponsePartition, "0-7")


class OffsetFetchResponsePartitions(Struct):
    partition_index = int32("8+")
    committed_offset = int64("8+")
    committed_leader_epoch = int32("8+", default=-1, ignorable=True)
    metadata = string("8+", nullable="8+")
    error_code = int16("8+")


class OffsetFetchResponseTopics(Struct):
    name = string("8+")
    partitions = array(OffsetFetchResponsePartitions, "8+")


class OffsetFetchResponseGroup(Struct):
    group_id = string("8+")
    topics = array(OffsetFetchResponseTopics, "8+")
    error_code = int16("8+")


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("3+", ignorable=True)
    topics = array(OffsetFetchResponseTopic, "0-7")
    error_code = int16("2-7", ignorable=True)
    groups = array(OffsetFetchResponseGroup, "8+")
