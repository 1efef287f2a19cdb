"""AlterPartitionReassignments: an admin moves partitions to other replicas, or calls a move off (KIP-455)."""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 45, "AlterPartitionReassignments", (0, 0), 0


class ReassignablePartition(Struct):
    partition_index = int32()
    replicas = array(int32, nullable="0+", default=None)  # null: call the move off


class ReassignableTopic(Struct):
    name = string()
    partitions = array(ReassignablePartition)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    timeout_ms = int32(default=60000)
    topics = array(ReassignableTopic)


class ReassignablePartitionResponse(Struct):
    partition_index = int32()
    error_code = int16()
    error_message = string(nullable="0+")


class ReassignableTopicResponse(Struct):
    name = string()
    partitions = array(ReassignablePartitionResponse)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    error_message = string(nullable="0+")
    responses = array(ReassignableTopicResponse)
