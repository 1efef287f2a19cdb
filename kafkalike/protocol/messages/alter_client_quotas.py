"""AlterClientQuotas: an admin sets or removes quotas of users, client ids and addresses.

v1   flexible
"""

from kafkalike.protocol.schema import Message, Struct, array, boolean, float64, int16, int32, string

API_KEY, NAME, VERSIONS, FLEXIBLE = 49, "AlterClientQuotas", (0, 1), 1


class EntityData(Struct):
    entity_type = string()
    entity_name = string(nullable="0+")


class OpData(Struct):
    key = string()
    value = float64()
    remove = boolean()


class EntryData(Struct):
    entity = array(EntityData)
    ops = array(OpData)


class Request(Message, versions=VERSIONS, flexible=FLEXIBLE):
    entries = array(EntryData)
    validate_only = boolean()


class ResponseEntryData(Struct):
    error_code = int16()
    error_message = string(nullable="0+")
    entity = array(EntityData)


class Response(Message, versions=VERSIONS, flexible=FLEXIBLE):
    throttle_time_ms = int32()
    entries = array(ResponseEntryData)
