"""ListGroups: an admin asks which groups this broker coordinates.

v1   throttle time in the answer
v3   flexible
v4   states_filter, and the state of each group (KIP-518)
v5   types_filter, and the type of each group (KIP-848)
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 16, "ListGroups", (0, 5), 3


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    states_filter = array(string, "4+")
    types_filter = array(string, "5+")


class ListedGroup(Struct):
    group_id = string()
    protocol_type = string()
    group_state = string("4+", ignorable=True)
    group_type = string("5+", ignorable=True)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32("1+", ignorable=True)
    error_code = int16()
    groups = array(ListedGroup)
