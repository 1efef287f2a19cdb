"""TxnOffsetCommit: a producer hands in offsets that become a group's when its transaction commits.

v2   the leader epoch of the committed offset
v3   flexible; member, instance and generation, so that fenced consumers cannot commit (KIP-447)
v4   TRANSACTION_ABORTABLE may be answered
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 28, "TxnOffsetCommit", (0, 4), 3


class TxnOffsetCommitRequestPartition(Struct):
    partition_index = int32()
    committed_offset = int64()
    committed_leader_epoch = int32("2+", default=-1, ignorable=True)
    committed_metadata = string(nullable="0+")


class TxnOffsetCommitRequestTopic(Struct):
    name = string()
    partitions = array(TxnOffsetCommitRequestPartition)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    transactional_id = string()
    group_id = string()
    producer_id = int64()
    producer_epoch = int16()
    generation_id = int32("3+", default=-1)
    member_id = string("3+")
    group_instance_id = string("3+", nullable="3+", default=None)
    topics = array(TxnOffsetCommitRequestTopic)


class TxnOffsetCommitResponsePartition(Struct):
    partition_index = int32()
    error_code = int16()


class TxnOffsetCommitResponseTopic(Struct):
    name = string()
    partitions = array(TxnOffsetCommitResponsePartition)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    topics = array(TxnOffsetCommitResponseTopic)
