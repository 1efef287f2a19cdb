"""CreateTopics: an admin creates topics, with a number of partitions or with assigned replicas.

v1   validate_only; a message with each error
v2   throttle time in the answer
v4   -1 partitions and -1 replicas mean the broker's defaults (KIP-464)
v5   flexible; the answer has partitions, replicas and configuration of what was created (KIP-525)
v6   THROTTLING_QUOTA_EXCEEDED may be answered (KIP-599)
v7   topic ids in the answer
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int8, int16, int32, string, uuid

API_KEY, NAME, VERSIONS, FLEXIBLE = 19, "CreateTopics", (0, 7), 5


class CreatableReplicaAssignment(Struct):
    partition_index = int32()
    broker_ids = array(int32)


class CreatableTopicConfig(Struct):
    name = string()
    value = string(nullable="0+")


class CreatableTopic(Struct):
    name = string()
    num_partitions = int32()  # -1: from the assignments, or the default
    replication_factor = int16()  # -1: from the assignments, or the default
    assignments = array(CreatableReplicaAssignment)
    configs = array(CreatableTopicConfig)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    topics = array(CreatableTopic)
    timeout_ms = int32(default=60000)
    validate_only = boolean("1+")


class CreatableTopicConfigs(Struct):
    name = string("5+")
    value = string("5+", nullable="5+")
    read_only = boolean("5+")
    config_source = int8("5+", default=-1, ignorable=True)
    is_sensitive = boolean("5+")


class CreatableTopicResult(Struct):
    name = string()
    topic_id = uuid("7+", ignorable=True)
    error_code = int16()
    error_message = string("1+", nullable="0+", ignorable=True)
    topic_config_error_code = int16("5+", ignorable=True, tag=0)
    num_partitions = int32("5+", default=-1, ignorable=True)
    replication_factor = int16("5+", default=-1, ignorable=True)
    configs = array(CreatableTopicConfigs, "5+", nullable="5+", ignorable=True)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("2+", ignorable=True)
    topics = array(CreatableTopicResult)
