"""AlterReplicaLogDirs: an admin moves replicas between the log directories of this broker.

v2   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 34, "AlterReplicaLogDirs", (0, 2), 2


class AlterReplicaLogDirTopic(Struct):
    name = string()
    partitions = array(int32)


class AlterReplicaLogDir(Struct):
    path = string()
    topics = array(AlterReplicaLogDirTopic)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    dirs = array(AlterReplicaLogDir)


class AlterReplicaLogDirPartitionResult(Struct):
    partition_index = int32()
    error_code = int16()


class AlterReplicaLogDirTopicResult(Struct):
    topic_name = string()
    partitions = array(AlterReplicaLogDirPartitionResult)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    results = array(AlterReplicaLogDirTopicResult)
