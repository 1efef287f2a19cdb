"""DeleteGroups: an admin deletes groups that have no members, with their offsets.

v2   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 42, "DeleteGroups", (0, 2), 2


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    groups_names = array(string)


class DeletableGroupResult(Struct):
    group_id = string()
    error_code = int16()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    results = array(DeletableGroupResult)
