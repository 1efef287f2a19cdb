"""ListPartitionReassignments: an admin asks which partitions are being moved (KIP-455)."""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 46, "ListPartitionReassignments", (0, 0), 0


class ListPartitionReassignmentsTopics(Struct):
    name = string()
    partition_indexes = array(int32)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    timeout_ms = int32(default=60000)
    topics = array(ListPartitionReassignmentsTopics, nullable="0+", default=None)  # null: all


class OngoingPartitionReassignment(Struct):
    partition_index = int32()
    replicas = array(int32)
    adding_replicas = array(int32)
    removing_replicas = array(int32)


class OngoingTopicReassignment(Struct):
    name = string()
    partitions = array(OngoingPartitionReassignment)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    error_message = string(nullable="0+")
    topics = array(OngoingTopicReassignment)
