"""LeaderAndIsr: the controller tells a broker what it leads and what it follows.

v1   is_new
v2   broker_epoch; partitions are listed by topic, once per name
v3   adding and removing replicas (KIP-455)
v4   flexible
v5   type (1: only changes, 2: everything) and topic ids (KIP-516); the answer goes by topic id
v6   leader_recovery_state (KIP-704)
v7   is_kraft_controller (KIP-866)
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int8, int16, int32, int64, string, uuid

API_KEY, NAME, VERSIONS, FLEXIBLE = 4, "LeaderAndIsr", (0, 7), 4


class LeaderAndIsrPartitionState(Struct):
    topic_name = string("0-1", ignorable=True)
    partition_index = int32()
    controller_epoch = int32()
    leader = int32()
    leader_epoch = int32()
    isr = array(int32)
    partition_epoch = int32()  # the version of the partition's znode
    replicas = array(int32)
    adding_replicas = array(int32, "3+", ignorable=True)
    removing_replicas = array(int32, "3+", ignorable=True)
    is_new = boolean("1+", ignorable=True)
    leader_recovery_state = int8("6+")  # 0: recovered, 1: recovering after an unclean election


class LeaderAndIsrTopicState(Struct):
    topic_name = string("2+")
    topic_id = uuid("5+", ignorable=True)
    partition_states = array(LeaderAndIsrPartitionState, "2+")


class LeaderAndIsrLiveLeader(Struct):
    broker_id = int32()
    host_name = string()
    port = int32()


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    controller_id = int32()
    is_kraft_controller = boolean("7+")
    controller_epoch = int32()
    broker_epoch = int64("2+", default=-1, ignorable=True)
    type = int8("5+")  # 1: only changes, 2: everything
    ungrouped_partition_states = array(LeaderAndIsrPartitionState, "0-1")
    topic_states = array(LeaderAndIsrTopicState, "2+")
    live_leaders = array(LeaderAndIsrLiveLeader)


class LeaderAndIsrPartitionError(Struct):
    topic_name = string("0-4", ignorable=True)
    partition_index = int32()
    error_code = int16()


class LeaderAndIsrTopicError(Struct):
    topic_id = uuid("5+")
    partition_errors = array(LeaderAndIsrPartitionError, "5+")


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    error_code = int16()
    partition_errors = array(LeaderAndIsrPartitionError, "0-4")
    topics = array(LeaderAndIsrTopicError, "5+")
