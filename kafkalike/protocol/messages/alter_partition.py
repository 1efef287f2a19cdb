"""AlterPartition: a leader asks the controller to change the ISR of its partitions (KIP-497).

v1   leader_recovery_state (KIP-704)
v2   topic ids in place of names; INELIGIBLE_REPLICA and NEW_LEADER_ELECTED may be answered (KIP-841)
v3   each member of the new ISR comes with its broker epoch (KIP-903)
"""

from kafkalike.protocol.schema import Message, Struct, array, int8, int16, int32, int64, string, uuid

API_KEY, NAME, VERSIONS, FLEXIBLE = 56, "AlterPartition", (0, 3), 0


class BrokerState(Struct):
    broker_id = int32("3+")
    broker_epoch = int64("3+", default=-1)


class PartitionData(Struct):
    partition_index = int32()
    leader_epoch = int32()
    new_isr = array(int32, "0-2")
    new_isr_with_epochs = array(BrokerState, "3+")
    leader_recovery_state = int8("1+")
    partition_epoch = int32()  # the version of the partition's znode


class TopicData(Struct):
    topic_name = string("0-1", ignorable=True)
    topic_id = uuid("2+", ignorable=True)
    partitions = array(PartitionData)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    broker_id = int32()
    broker_epoch = int64(default=-1)
    topics = array(TopicData)


class ResponsePartitionData(Struct):
    partition_index = int32()
    error_code = int16()
    leader_id = int32()
    leader_epoch = int32()
    isr = array(int32)
    leader_recovery_state = int8("1+", ignorable=True)
    partition_epoch = int32()


class ResponseTopicData(Struct):
    topic_name = string("0-1", ignorable=True)
    topic_id = uuid("2+", ignorable=True)
    partitions = array(ResponsePartitionData)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    topics = array(ResponseTopicData)
