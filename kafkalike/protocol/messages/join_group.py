"""JoinGroup: a consumer asks to be a member; the answer comes when the whole group has joined, or given up waiting.

The leader alone gets the list of members, computes who consumes what, and sends it in SyncGroup.

    v1   rebalance_timeout_ms; before, the session timeout served for both
    v2   throttle time in the answer
    v4   a new member is sent back with MEMBER_ID_REQUIRED and an id to join with (KIP-394)
    v5   group_instance_id: members that keep their place over a restart (KIP-345)
    v6   flexible
    v7   protocol type in the answer (KIP-559)
    v8   reason (KIP-800)
    v9   skip_assignment: the leader need not compute anything (KIP-814)
"""

from kafkalike.protocol.schema import Message, Struct, array, binary, boolean, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 11, "JoinGroup", (0, 9), 6


class JoinGroupRequestProtocol(Struct):
    name = string()
    metadata = binary()


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    group_id = string()
    session_timeout_ms = int32()
    rebalance_timeout_ms = int32("1+", default=-1, ignorable=True)
    member_id = string()
    group_instance_id = string("5+", nullable="5+", default=None)
    protocol_type = string()
    protocols = array(JoinGroupRequestProtocol)
    reason = string("8+", nullable="8+", default=None, ignorable=True)


class JoinGroupResponseMember(Struct):
    member_id = string()
    group_instance_id = string("5+", nullable="5+", default=None, ignorable=True)
    metadata = binary()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("2+", ignorable=True)
    error_code = int16()
    generation_id = int32(default=-1)
    protocol_type = string("7+", nullable="7+", default=None, ignorable=True)
    protocol_name = string(nullable="7+")
    leader = string()
    skip_assignment = boolean("9+")
    member_id = string()
    members = array(JoinGroupResponseMember)
