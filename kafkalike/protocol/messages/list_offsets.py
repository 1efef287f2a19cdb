"""ListOffsets: a client or a follower asks which offset belongs to a time, or to the log's start or end.

v0   answers a list of segment boundaries, at most max_num_offsets
v1   answers one offset with its timestamp
v2   isolation_level: the end is then the last stable offset
v4   current_leader_epoch, and the epoch of the offset in the answer
v5   OFFSET_NOT_AVAILABLE may be answered after an election
v6   flexible
v7   timestamp -3: the record with the greatest timestamp (KIP-734)
v8   timestamp -4: the start of what is local (KIP-405)
v9   timestamp -5: the end of what is remote (KIP-1005)
"""

from kafkalike.protocol.schema import Message, Struct, array, int8, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 2, "ListOffsets", (0, 9), 6


class ListOffsetsPartition(Struct):
    partition_index = int32()
    current_leader_epoch = int32("4+", default=-1, ignorable=True)
    timestamp = int64()  # or LATEST and its kin in protocol/__init__.py
    max_num_offsets = int32("0", default=1)


class ListOffsetsTopic(Struct):
    name = string()
    partitions = array(ListOffsetsPartition)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    replica_id = int32()  # -1: a consumer, -2: a debugging consumer
    isolation_level = int8("2+")  # 0: read uncommitted, 1: read committed
    topics = array(ListOffsetsTopic)


class ListOffsetsPartitionResponse(Struct):
    partition_index = int32()
    error_code = int16()
    old_style_offsets = array(int64, "0")
    timestamp = int64("1+", default=-1)
    offset = int64("1+", default=-1)
    leader_epoch = int32("4+", default=-1)


class ListOffsetsTopicResponse(Struct):
    name = string()
    partitions = array(ListOffsetsPartitionResponse)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("2+", ignorable=True)
    topics = array(ListOffsetsTopicResponse)
