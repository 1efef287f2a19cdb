"""DescribeGroups: an admin asks for the state and members of groups that this broker coordinates.

v1   throttle time in the answer
v3   authorized operations may be asked for
v4   group_instance_id of members
v5   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, binary, boolean, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 15, "DescribeGroups", (0, 5), 5


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    groups = array(string)
    include_authorized_operations = boolean("3+")


class DescribedGroupMember(Struct):
    member_id = string()
    group_instance_id = string("4+", nullable="4+", default=None, ignorable=True)
    client_id = string()
    client_host = string()
    member_metadata = binary()
    member_assignment = binary()


class DescribedGroup(Struct):
    error_code = int16()
    group_id = string()
    group_state = string()
    protocol_type = string()
    protocol_data = string()
    members = array(DescribedGroupMember)
    authorized_operations = int32("3+", default=-2147483648)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("1+", ignorable=True)
    groups = array(DescribedGroup)
