"""ElectLeaders: an admin asks the controller to elect leaders: the preferred ones, or any replica at all.

v1   election_type; an error for the whole answer (KIP-460)
v2   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 43, "ElectLeaders", (0, 2), 2


class TopicPartitions(Struct):
    topic = string()
    partitions = array(int32)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    election_type = int8("1+")  # 0: preferred, 1: unclean
    topic_partitions = array(TopicPartitions, nullable="0+")  # null: all
    timeout_ms = int32(default=60000)


class PartitionResult(Struct):
    partition_id = int32()
    error_code = int16()
    error_message = string(nullable="0+")


class ReplicaElectionResult(Struct):
    topic = string()
    partition_result = array(PartitionResult)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16("1+")
    replica_election_results = array(ReplicaElectionResult)
