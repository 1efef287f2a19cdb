"""CreatePartitions: an admin gives topics more partitions.

v2   flexible
v3   THROTTLING_QUOTA_EXCEEDED may be answered (KIP-599)
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 37, "CreatePartitions", (0, 3), 2


class CreatePartitionsAssignment(Struct):
    broker_ids = array(int32)


class CreatePartitionsTopic(Struct):
    name = string()
    count = int32()  # the new total
    assignments = array(CreatePartitionsAssignment, nullable="0+")


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    topics = array(CreatePartitionsTopic)
    timeout_ms = int32()
    validate_only = boolean()


class CreatePartitionsTopicResult(Struct):
    name = string()
    error_code = int16()
    error_message = string(nullable="0+", default=None)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    results = array(CreatePartitionsTopicResult)
