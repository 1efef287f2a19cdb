"""UpdateMetadata: the controller tells every broker who is alive and who leads what; Metadata is answered from it.

v0   one address per broker
v1   several endpoints per broker
v2   racks
v3   listener names
v4   offline replicas
v5   broker_epoch; partitions are listed by topic
v6   flexible
v7   topic ids (KIP-516)
v8   is_kraft_controller and type (KIP-866)
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int8, int16, int32, int64, string, uuid

API_KEY, NAME, VERSIONS, FLEXIBLE = 6, "UpdateMetadata", (0, 8), 6


# Types: unknown, incremental, full. A topic that a full one does not name is gone.
UNKNOWN, INCREMENTAL, FULL = 0, 1, 2


class UpdateMetadataPartitionState(Struct):
    topic_name = string("0-4", ignorable=True)
    partition_index = int32()
    controller_epoch = int32()
    leader = int32()
    leader_epoch = int32()
    isr = array(int32)
    zk_version = int32()  # the version of the partition's znode
    replicas = array(int32)
    offline_replicas = array(int32, "4+", ignorable=True)


class UpdateMetadataTopicState(Struct):
    topic_name = string("5+")
    topic_id = uuid("7+", ignorable=True)
    partition_states = array(UpdateMetadataPartitionState, "5+")


class UpdateMetadataEndpoint(Struct):
    port = int32("1+")
    host = string("1+")
    listener = string("3+", ignorable=True)
    security_protocol = int16("1+")  # 0: PLAINTEXT, 1: SSL, 2: SASL_PLAINTEXT, 3: SASL_SSL


class UpdateMetadataBroker(Struct):
    id = int32()
    v0_host = string("0", ignorable=True)
    v0_port = int32("0", ignorable=True)
    endpoints = array(UpdateMetadataEndpoint, "1+", ignorable=True)
    rack = string("2+", nullable="0+", ignorable=True)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    controller_id = int32()
    is_kraft_controller = boolean("8+")
    type = int8("8+", tag=0, ignorable=True)
    controller_epoch = int32()
    broker_epoch = int64("5+", default=-1, ignorable=True)
    ungrouped_partition_states = array(UpdateMetadataPartitionState, "0-4")
    topic_states = array(UpdateMetadataTopicState, "5+")
    live_brokers = array(UpdateMetadataBroker)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
