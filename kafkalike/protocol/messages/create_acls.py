"""CreateAcls: an admin adds rules about who may do what.

v1   pattern types: literal and prefixed (KIP-290)
v2   flexible
v3   resources of type user
"""

from kafkalike.protocol.schema import Message, Struct, array, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 30, "CreateAcls", (0, 3), 2


class AclCreation(Struct):
    resource_type = int8()
    resource_name = string()
    resource_pattern_type = int8("1+", default=3)
    principal = string()
    host = string()
    operation = int8()
    permission_type = int8()


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    creations = array(AclCreation)


class AclCreationResult(Struct):
    error_code = int16()
    error_message = string(nullable="0+")


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    results = array(AclCreationResult)
