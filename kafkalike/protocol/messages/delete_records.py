"""DeleteRecords: TODO."""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 21, "DeleteRecords", (0, 2), 2


class DeleteRecordsPartition(Struct):
    partition_index = int32()
    offset = int64()


class DeleteRecordsTopic(Struct):
    name = string()
    partitions = array(DeleteRecordsPartition)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    topics = array(DeleteRecordsTopic)
    timeout_ms = int32()


class DeleteRecordsPartitionResult(Struct):
    partition_index = int32()
    low_watermark = int64()
    error_code = int16()


class DeleteRecordsTopicResult(Struct):
    name = string()
    partitions = array(DeleteRecordsPartitionResult)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    topics = array(DeleteRecordsTopicResult)
