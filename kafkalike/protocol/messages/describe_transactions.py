"""DescribeTransactions: an admin asks a coordinator for the state of transactional ids (KIP-664)."""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 65, "DescribeTransactions", (0, 0), 0


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    transactional_ids = array(string)


class TopicData(Struct):
    topic = string()
    partitions = array(int32)


class TransactionState(Struct):
    error_code = int16()
    transactional_id = string()
    transaction_state = string()
    transaction_timeout_ms = int32()
    transaction_start_time_ms = int64()
    producer_id = int64()
    producer_epoch = int16()
    topics = array(TopicData)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    transaction_states = array(TransactionState)
