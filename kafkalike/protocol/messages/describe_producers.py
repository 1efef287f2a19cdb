"""DescribeProducers: an admin asks a leader which producers wrote to its partitions lately (KIP-664)."""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 61, "DescribeProducers", (0, 0), 0


class TopicRequest(Struct):
    name = string()
    partition_indexes = array(int32)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    topics = array(TopicRequest)


class ProducerState(Struct):
    producer_id = int64()
    producer_epoch = int32()
    last_sequence = int32(default=-1)
    last_timestamp = int64(default=-1)
    coordinator_epoch = int32()
    current_txn_start_offset = int64(default=-1)


class PartitionResponse(Struct):
    partition_index = int32()
    error_code = int16()
    error_message = string(nullable="0+", default=None)
    active_producers = array(ProducerState)


class TopicResponse(Struct):
    name = string()
    partitions = array(PartitionResponse)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    topics = array(TopicResponse)
