"""IncrementalAlterConfigs: an admin sets, deletes, extends or shortens single values of a configuration.

v1   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 44, "IncrementalAlterConfigs", (0, 1), 1


class AlterableConfig(Struct):
    name = string()
    config_operation = int8()  # 0: set, 1: delete, 2: append, 3: subtract
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
