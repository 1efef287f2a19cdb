"""AddPartitionsToTxn: a producer tells its coordinator which partitions it is about to write to.

Clients send versions up to 3. Brokers send later ones, for their producers, to ask whether a transaction is under way.

    v2   PRODUCER_FENCED may be answered
    v3   flexible
    v4   several transactions at once, and verify_only (KIP-890)
    v5   TRANSACTION_ABORTABLE may be answered
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 24, "AddPartitionsToTxn", (0, 5), 3


class AddPartitionsToTxnTopic(Struct):
    name = string()
    partitions = array(int32)


class AddPartitionsToTxnTransaction(Struct):
    transactional_id = string("4+")
    producer_id = int64("4+")
    producer_epoch = int16("4+")
    verify_only = boolean("4+")
    topics = array(AddPartitionsToTxnTopic, "4+")


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    transactions = array(AddPartitionsToTxnTransaction, "4+")
    v3_and_below_transactional_id = string("0-3")
    v3_and_below_producer_id = int64("0-3")
    v3_and_below_producer_epoch = int16("0-3")
    v3_and_below_topics = array(AddPartitionsToTxnTopic, "0-3")


class AddPartitionsToTxnPartitionResult(Struct):
    partition_index = int32()
    partition_error_code = int16()


class AddPartitionsToTxnTopicResult(Struct):
    name = string()
    results_by_partition = array(AddPartitionsToTxnPartitionResult)


class AddPartitionsToTxnResult(Struct):
    transactional_id = string("4+")
    topic_results = array(AddPartitionsToTxnTopicResult, "4+")


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16("4+", ignorable=True)
    results_by_transaction = array(AddPartitionsToTxnResult, "4+")
    results_by_topic_v3_and_below = array(AddPartitionsToTxnTopicResult, "0-3")
