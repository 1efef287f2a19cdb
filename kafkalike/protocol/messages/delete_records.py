"""DeleteRecords: an admin moves the start of partitions forward; what lies before is gone.

v1   the throttle time applies after the answer
v2   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 21, "DeleteRecords", (0, 2), 2


class DeleteRecordsPartition(Struct):
    partition_index = int32()
    offset = int64()  # -1: the high watermark


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
