"""SyncGroup: the second half of joining. The leader hands in everybody's assignment, each member gets its own.

v1   throttle time in the answer
v3   group_instance_id (KIP-345)
v4   flexible
v5   protocol type and name, checked against the group's (KIP-559)
"""

from kafkalike.protocol.schema import Message, Struct, array, binary, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 14, "SyncGroup", (0, 5), 4


class SyncGroupRequestAssignment(Struct):
    member_id = string()
    assignment = binary()


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    group_id = string()
    generation_id = int32()
    member_id = string()
    group_instance_id = string("3+", nullable="3+", default=None)
    protocol_type = string("5+", nullable="5+", default=None, ignorable=True)
    protocol_name = string("5+", nullable="5+", default=None, ignorable=True)
    assignments = array(SyncGroupRequestAssignment)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("1+", ignorable=True)
    error_code = int16()
    protocol_type = string("5+", nullable="5+", default=None, ignorable=True)
    protocol_name = string("5+", nullable="5+", default=None, ignorable=True)
    assignment = binary()
