"""Metadata: a client asks which brokers there are and who leads the partitions of some or all topics.

v0   an empty list of topics means all
v1   null means all, empty means none; the answer has racks, the controller, and which topics are internal
v2   the answer has the cluster id
v4   allow_auto_topic_creation
v5   the answer has offline replicas
v7   the answer has leader epochs
v8   authorized operations may be asked for
v9   flexible
v10  topic ids in the answer; asking by id was declared too, but brokers never served it
v11  the cluster's authorized operations moved to DescribeCluster
v12  topics may be asked for by id, with a null name
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int16, int32, string, uuid

API_KEY, NAME, VERSIONS, FLEXIBLE = 3, "Metadata", (0, 12), 9


class MetadataRequestTopic(Struct):
    topic_id = uuid("10+", ignorable=True)
    name = string(nullable="10+")


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    topics = array(MetadataRequestTopic, nullable="1+")  # null: all; in version 0 empty means all
    allow_auto_topic_creation = boolean("4+", default=True)
    include_cluster_authorized_operations = boolean("8-10")
    include_topic_authorized_operations = boolean("8+")


class MetadataResponseBroker(Struct):
    node_id = int32()
    host = string()
    port = int32()
    rack = string("1+", nullable="1+", default=None, ignorable=True)


class MetadataResponsePartition(Struct):
    error_code = int16()
    partition_index = int32()
    leader_id = int32()
    leader_epoch = int32("7+", default=-1, ignorable=True)
    replica_nodes = array(int32)
    isr_nodes = array(int32)
    offline_replicas = array(int32, "5+", ignorable=True)


class MetadataResponseTopic(Struct):
    error_code = int16()
    name = string(nullable="12+")
    topic_id = uuid("10+", ignorable=True)
    is_internal = boolean("1+", ignorable=True)
    partitions = array(MetadataResponsePartition)
    topic_authorized_operations = int32("8+", default=-2147483648)  # bits; the least number: not asked


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("3+", ignorable=True)
    brokers = array(MetadataResponseBroker)
    cluster_id = string("2+", nullable="2+", default=None, ignorable=True)
    controller_id = int32("1+", default=-1, ignorable=True)
    topics = array(MetadataResponseTopic)
    cluster_authorized_operations = int32("8-10", default=-2147483648)
