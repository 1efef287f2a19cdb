"""DescribeConfigs: an admin asks for the configuration of topics, brokers and loggers.

v1   synonyms: where else a value could come from, in order; the source of each value
v3   types and documentation of keys (KIP-569)
v4   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 32, "DescribeConfigs", (0, 4), 4


class DescribeConfigsResource(Struct):
    resource_type = int8()  # 2: topic, 4: broker, 8: broker logger
    resource_name = string()
    configuration_keys = array(string, nullable="0+")  # null: all


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    resources = array(DescribeConfigsResource)
    include_synonyms = boolean("1+")
    include_documentation = boolean("3+")


class DescribeConfigsSynonym(Struct):
    name = string("1+")
    value = string("1+", nullable="0+")
    source = int8("1+")


class DescribeConfigsResourceResult(Struct):
    name = string()
    value = string(nullable="0+")
    read_only = boolean()
    is_default = boolean("0")
    config_source = int8("1+", default=-1, ignorable=True)
    is_sensitive = boolean()
    synonyms = array(DescribeConfigsSynonym, "1+", ignorable=True)
    config_type = int8("3+", ignorable=True)
    documentation = string("3+", nullable="0+", ignorable=True)


class DescribeConfigsResult(Struct):
    error_code = int16()
    error_message = string(nullable="0+")
    resource_type = int8()
    resource_name = string()
    configs = array(DescribeConfigsResourceResult)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    results = array(DescribeConfigsResult)
