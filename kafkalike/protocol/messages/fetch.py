"""Fetch: a consumer or a follower asks for batches from given offsets on, and may wait until there are enough.

Within a session (KIP-227) a request names only partitions that changed, and the answer only those with news.

    v2   batches may have format 1
    v3   max_bytes for the whole answer; partitions are served in the order asked
    v4   isolation_level, last stable offset and aborted transactions; batches may have format 2
    v5   log_start_offset both ways
    v7   fetch sessions
    v9   current_leader_epoch fences both sides (KIP-320)
    v10  batches may be compressed with zstd
    v11  rack_id, answered with a preferred replica (KIP-392)
    v12  flexible; last_fetched_epoch, answered with where the logs diverge; current leader in the answer
    v13  topic ids in place of names (KIP-516)
    v14  OFFSET_MOVED_TO_TIERED_STORAGE may be answered
    v15  replica_state replaces replica_id and adds the follower's broker epoch (KIP-903)
    v16  the answer names the address of a new leader (KIP-951)
    v17  the follower names its log directory
"""

from kafkalike.protocol.schema import Message, Struct, array, int8, int16, int32, int64, nested, records, string, uuid

API_KEY, NAME, VERSIONS, FLEXIBLE = 1, "Fetch", (0, 17), 12


class ReplicaState(Struct):
    replica_id = int32("15+", default=-1)
    replica_epoch = int64("15+", default=-1)


class FetchPartition(Struct):
    partition = int32()
    current_leader_epoch = int32("9+", default=-1, ignorable=True)
    fetch_offset = int64()
    last_fetched_epoch = int32("12+", default=-1)  # of the last record the sender has; -1 if unknown
    log_start_offset = int64("5+", default=-1, ignorable=True)  # the follower's; -1 from consumers
    partition_max_bytes = int32()
    replica_directory_id = uuid("17+", ignorable=True, tag=0)


class FetchTopic(Struct):
    topic = string("0-12", ignorable=True)
    topic_id = uuid("13+", ignorable=True)
    partitions = array(FetchPartition)


class ForgottenTopic(Struct):
    topic = string("7-12", ignorable=True)
    topic_id = uuid("13+", ignorable=True)
    partitions = array(int32, "7+")


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    cluster_id = string("12+", nullable="12+", default=None, ignorable=True, tag=0)
    replica_id = int32("0-14", default=-1)  # -1: a consumer; from version 15 in replica_state
    replica_state = nested(ReplicaState, "15+", tag=1)
    max_wait_ms = int32()
    min_bytes = int32()
    max_bytes = int32("3+", default=2147483647, ignorable=True)
    isolation_level = int8("4+", ignorable=True)  # 0: read uncommitted, 1: read committed
    session_id = int32("7+", ignorable=True)  # 0: none, or a new one
    session_epoch = int32("7+", default=-1, ignorable=True)  # 0: starts a session, -1: ends it or has none
    topics = array(FetchTopic)
    forgotten_topics_data = array(ForgottenTopic, "7+")
    rack_id = string("11+", ignorable=True)


class EpochEndOffset(Struct):
    epoch = int32("12+", default=-1)
    end_offset = int64("12+", default=-1)


class LeaderIdAndEpoch(Struct):
    leader_id = int32("12+", default=-1)
    leader_epoch = int32("12+", default=-1)


class SnapshotId(Struct):
    end_offset = int64(default=-1)
    epoch = int32(default=-1)


class AbortedTransaction(Struct):
    producer_id = int64("4+")
    first_offset = int64("4+")


class PartitionData(Struct):
    partition_index = int32()
    error_code = int16()
    high_watermark = int64()
    last_stable_offset = int64("4+", default=-1, ignorable=True)
    log_start_offset = int64("5+", default=-1, ignorable=True)
    diverging_epoch = nested(EpochEndOffset, "12+", tag=0)
    current_leader = nested(LeaderIdAndEpoch, "12+", tag=1)
    snapshot_id = nested(SnapshotId, "12+", tag=2)
    aborted_transactions = array(AbortedTransaction, "4+", nullable="4+", ignorable=True)
    preferred_read_replica = int32("11+", default=-1)  # -1: this one
    records = records(nullable="0+")


class FetchableTopicResponse(Struct):
    topic = string("0-12", ignorable=True)
    topic_id = uuid("13+", ignorable=True)
    partitions = array(PartitionData)


class NodeEndpoint(Struct):
    node_id = int32("16+")
    host = string("16+")
    port = int32("16+")
    rack = string("16+", nullable="16+", default=None)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("1+", ignorable=True)
    error_code = int16("7+", ignorable=True)
    session_id = int32("7+")
    responses = array(FetchableTopicResponse)
    node_endpoints = array(NodeEndpoint, "16+", tag=0)
