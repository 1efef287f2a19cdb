"""DescribeAcls: an admin asks for the rules that match a filter.

v1   pattern types: literal and prefixed (KIP-290)
v2   flexible
v3   resources of type user
"""

from kafkalike.protocol.schema import Message, Struct, array, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 29, "DescribeAcls", (0, 3), 2


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    resource_type_filter = int8()
    resource_name_filter = string(nullable="0+")
    pattern_type_filter = int8("1+", default=3)
    principal_filter = string(nullable="0+")
    host_filter = string(nullable="0+")
    operation = int8()
    permission_type = int8()


class AclDescription(Struct):
    principal = string()
    host = string()
    operation = int8()
    permission_type = int8()


class DescribeAclsResource(Struct):
    resource_type = int8()
    resource_name = string()
    pattern_type = int8("1+", default=3)
    acls = array(AclDescription)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    error_message = string(nullable="0+")
    resources = array(DescribeAclsResource)
