"""DeleteAcls: an admin removes every rule that matches one of the filters.

v1   pattern types: literal and prefixed (KIP-290)
v2   flexible
v3   resources of type user
"""

from kafkalike.protocol.schema import Message, Struct, array, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 31, "DeleteAcls", (0, 3), 2


class DeleteAclsFilter(Struct):
    resource_type_filter = int8()
    resource_name_filter = string(nullable="0+")
    pattern_type_filter = int8("1+", default=3)
    principal_filter = string(nullable="0+")
    host_filter = string(nullable="0+")
    operation = int8()
    permission_type = int8()


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    filters = array(DeleteAclsFilter)


class DeleteAclsMatchingAcl(Struct):
    error_code = int16()
    error_message = string(nullable="0+")
    resource_type = int8()
    resource_name = string()
    pattern_type = int8("1+", default=3)
    principal = string()
    host = string()
    operation = int8()
    permission_type = int8()


class DeleteAclsFilterResult(Struct):
    error_code = int16()
    error_message = string(nullable="0+")
    matching_acls = array(DeleteAclsMatchingAcl)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    filter_results = array(DeleteAclsFilterResult)
