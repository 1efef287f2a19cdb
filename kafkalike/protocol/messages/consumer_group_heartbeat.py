"""ConsumerGroupHeartbeat: joining, living and leaving in the newer group protocol, in one request (KIP-848)."""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, nested, string, uuid

API_KEY, NAME, VERSIONS, FLEXIBLE = 68, "ConsumerGroupHeartbeat", (0, 0), 0


class TopicPartitions(Struct):
    topic_id = uuid()
    partitions = array(int32)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    group_id = string()
    member_id = string()
    member_epoch = int32()  # 0: joins, -1: leaves, -2: leaves for a while
    instance_id = string(nullable="0+", default=None)
    rack_id = string(nullable="0+", default=None)
    rebalance_timeout_ms = int32(default=-1)
    subscribed_topic_names = array(string, nullable="0+", default=None)
    server_assignor = string(nullable="0+", default=None)
    topic_partitions = array(TopicPartitions, nullable="0+", default=None)


class Assignment(Struct):
    topic_partitions = array(TopicPartitions)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    error_message = string(nullable="0+", default=None)
    member_id = string(nullable="0+", default=None)
    member_epoch = int32()
    heartbeat_interval_ms = int32()
    assignment = nested(Assignment, nullable="0+", default=None)
