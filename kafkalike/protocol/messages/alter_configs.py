"""AlterConfigs: an admin replaces the whole configuration of a resource; what is not named returns to its default.

v2   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 33, "AlterConfigs", (0, 2), 2


class AlterableConfig(Struct):
    name = string()
    value = string(nullable="0+")


class AlterConfigsResource(Struct):
    resource_type = int8()  # 2: topic, 4: broker, 8: broker logger
    resource_name = string()
    configs = array(AlterableConfig)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    resources = array(AlterConfigsResource)
    validate_only = boolean()


class AlterConfigsResourceResponse(Struct):
    error_code = int16()
    error_message = string(nullable="0+")
    resource_type = int8()
    resource_name = string()


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    responses = array(AlterConfigsResourceResponse)
