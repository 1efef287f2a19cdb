"""Produce: a producer appends record batches to partitions that it believes this broker leads.

With acks=0 there is no answer at all; an error closes the connection instead.

    v2   the answer has the log append time
    v3   transactional_id; batches must have format 2, one per partition
    v4   KAFKA_STORAGE_ERROR may be answered
    v5   the answer has log_start_offset, which tells lost data from deleted data
    v7   batches may be compressed with zstd
    v8   the answer names the records that spoiled a batch (KIP-467)
    v9   flexible
    v10  the answer names the new leader and its address (KIP-951)
    v11  TRANSACTION_ABORTABLE may be answered (KIP-890)
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, int64, nested, records, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 0, "Produce", (0, 11), 9


class PartitionProduceData(Struct):
    index = int32()
    records = records(nullable="0+")


class TopicProduceData(Struct):
    name = string()
    partition_data = array(PartitionProduceData)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    transactional_id = string("3+", nullable="3+", default=None)
    acks = int16()  # 0: no answer; 1: the leader; -1: every replica in sync
    timeout_ms = int32()
    topic_data = array(TopicProduceData)


class BatchIndexAndErrorMessage(Struct):
    batch_index = int32("8+")
    batch_index_error_message = string("8+", nullable="8+", default=None)


class LeaderIdAndEpoch(Struct):
    leader_id = int32("10+", default=-1)
    leader_epoch = int32("10+", default=-1)


class PartitionProduceResponse(Struct):
    index = int32()
    error_code = int16()
    base_offset = int64()
    log_append_time_ms = int64("2+", default=-1, ignorable=True)  # -1 unless the topic uses log append time
    log_start_offset = int64("5+", default=-1, ignorable=True)
    record_errors = array(BatchIndexAndErrorMessage, "8+", ignorable=True)  # what spoiled the batch
    error_message = string("8+", nullable="8+", default=None, ignorable=True)
    current_leader = nested(LeaderIdAndEpoch, "10+", tag=0)


class TopicProduceResponse(Struct):
    name = string()
    partition_responses = array(PartitionProduceResponse)


class NodeEndpoint(Struct):
    node_id = int32("10+")
    host = string("10+")
    port = int32("10+")
    rack = string("10+", nullable="10+", default=None)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    responses = array(TopicProduceResponse)
    throttle_time_ms = int32("1+", ignorable=True)
    node_endpoints = array(NodeEndpoint, "10+", tag=0)
