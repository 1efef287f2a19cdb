"""ConsumerGroupDescribe: an admin asks for groups of the newer group protocol (KIP-848)."""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int16, int32, nested, string, uuid

API_KEY, NAME, VERSIONS, FLEXIBLE = 69, "ConsumerGroupDescribe", (0, 0), 0


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    group_ids = array(string)
    include_authorized_operations = boolean()


class TopicPartitions(Struct):
    topic_id = uuid()
    topic_name = string()
    partitions = array(int32)


class Assignment(Struct):
    topic_partitions = array(TopicPartitions)


class Member(Struct):
    member_id = string()
    instance_id = string(nullable="0+", default=None)
    rack_id = string(nullable="0+", default=None)
    member_epoch = int32()
    client_id = string()
    client_host = string()
    subscribed_topic_names = array(string)
    subscribed_topic_regex = string(nullable="0+", default=None)
    assignment = nested(Assignment)
    target_assignment = nested(Assignment)


class DescribedGroup(Struct):
    error_code = int16()
    error_message = string(nullable="0+", default=None)
    group_id = string()
    group_state = string()
    group_epoch = int32()
    assignment_epoch = int32()
    assignor_name = string()
    members = array(Member)
    authorized_operations = int32(default=-2147483648)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    groups = array(DescribedGroup)
