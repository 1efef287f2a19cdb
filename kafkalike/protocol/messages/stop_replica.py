"""StopReplica: the controller tells a broker to stop following or leading partitions, and perhaps to delete them.

v0   one flag for all partitions
v1   broker_epoch; partitions are listed by topic
v2   flexible
v3   leader epoch and deletion per partition (KIP-570); FENCED_LEADER_EPOCH may be answered
v4   is_kraft_controller (KIP-866)
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int16, int32, int64, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 5, "StopReplica", (0, 4), 2


class StopReplicaPartitionV0(Struct):
    topic_name = string("0")
    partition_index = int32("0")


class StopReplicaTopicV1(Struct):
    name = string("1-2")
    partition_indexes = array(int32, "1-2")


class StopReplicaPartitionState(Struct):
    partition_index = int32("3+")
    leader_epoch = int32("3+", default=-1)
    delete_partition = boolean("3+")


class StopReplicaTopicState(Struct):
    topic_name = string("3+")
    partition_states = array(StopReplicaPartitionState, "3+")


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    controller_id = int32()
    is_kraft_controller = boolean("4+")
    controller_epoch = int32()
    broker_epoch = int64("1+", default=-1, ignorable=True)
    delete_partitions = boolean("0-2")
    ungrouped_partitions = array(StopReplicaPartitionV0, "0")
    topics = array(StopReplicaTopicV1, "1-2")
    topic_states = array(StopReplicaTopicState, "3+")


class StopReplicaPartitionError(Struct):
    topic_name = string()
    partition_index = int32()
    error_code = int16()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    partition_errors = array(StopReplicaPartitionError)
