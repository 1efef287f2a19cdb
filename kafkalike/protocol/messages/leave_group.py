"""LeaveGroup: a member leaves its group, or an admin removes members from it.

v1   throttle time in the answer
v3   several members at once, also by group_instance_id (KIP-345)
v4   flexible
v5   reason (KIP-800)
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 13, "LeaveGroup", (0, 5), 4


class MemberIdentity(Struct):
    member_id = string("3+")
    group_instance_id = string("3+", nullable="3+", default=None)
    reason = string("5+", nullable="5+", default=None, ignorable=True)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    group_id = string()
    member_id = string("0-2")
    members = array(MemberIdentity, "3+")


class MemberResponse(Struct):
    member_id = string("3+")
    group_instance_id = string("3+", nullable="3+")
    error_code = int16("3+")


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("1+", ignorable=True)
    error_code = int16()
    members = array(MemberResponse, "3+")
