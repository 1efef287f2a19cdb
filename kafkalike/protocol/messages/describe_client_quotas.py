"""DescribeClientQuotas: an admin asks for the quotas that match a filter of users, client ids and addresses.

v1   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, float64, int8, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 48, "DescribeClientQuotas", (0, 1), 1


class ComponentData(Struct):
    entity_type = string()
    match_type = int8()
    match = string(nullable="0+")


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    components = array(ComponentData)
    strict = boolean()


class EntityData(Struct):
    entity_type = string()
    entity_name = string(nullable="0+")


class ValueData(Struct):
    key = string()
    value = float64()


class EntryData(Struct):
    entity = array(EntityData)
    values = array(ValueData)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    error_code = int16()
    error_message = string(nullable="0+")
    entries = array(EntryData, nullable="0+")
