"""OffsetForLeaderEpoch: where does a leader epoch end? Followers and consumers find out where their log diverges.

v1   the epoch found is in the answer
v2   current_leader_epoch fences both sides (KIP-320); throttle time in the answer
v3   replica_id
v4   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 23, "OffsetForLeaderEpoch", (0, 4), 4


class OffsetForLeaderPartition(Struct):
    partition = int32()
    current_leader_epoch = int32("2+", default=-1, ignorable=True)
    leader_epoch = int32()


class OffsetForLeaderTopic(Struct):
    topic = string()
    partitions = array(OffsetForLeaderPartition)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    replica_id = int32("3+", default=-2, ignorable=True)
    topics = array(OffsetForLeaderTopic)


class EpochEndOffset(Struct):
    error_code = int16()
    partition = int32()
    leader_epoch = int32("1+", default=-1, ignorable=True)
    end_offset = int64(default=-1)


class OffsetForLeaderTopicResult(Struct):
    topic = string()
    partitions = array(EpochEndOffset)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("2+", ignorable=True)
    topics = array(OffsetForLeaderTopicResult)
