"""WriteTxnMarkers: a transaction coordinator has the outcome written to every partition of the transaction.

v1   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 27, "WriteTxnMarkers", (0, 1), 1


class WritableTxnMarkerTopic(Struct):
    name = string()
    partition_indexes = array(int32)


class WritableTxnMarker(Struct):
    producer_id = int64()
    producer_epoch = int16()
    transaction_result = boolean()
    topics = array(WritableTxnMarkerTopic)
    coordinator_epoch = int32()


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    markers = array(WritableTxnMarker)


class WritableTxnMarkerPartitionResult(Struct):
    partition_index = int32()
    error_code = int16()


class WritableTxnMarkerTopicResult(Struct):
    name = string()
    partitions = array(WritableTxnMarkerPartitionResult)


class WritableTxnMarkerResult(Struct):
    producer_id = int64()
    topics = array(WritableTxnMarkerTopicResult)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    markers = array(WritableTxnMarkerResult)
