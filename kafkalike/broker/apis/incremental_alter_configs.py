"""Sets, deletes, extends and shortens single values of the configuration of topics and brokers (KIP-339).

Answered by any broker for topics and for all brokers together, by a broker itself for its own. Each resource is checked
by itself; see config_admin.py. Only lists are extended and shortened: what is not set is first taken from the default.
v0 the request; v1 flexible.
"""

from __future__ import annotations

from collections.abc import Mapping

from kafkalike import config as tables
from kafkalike.broker import config_admin
from kafkalike.broker.access import Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.config.keys import TopicKey
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import incremental_alter_configs as messages

SET, DELETE, APPEND, SUBTRACT = range(4)


ACCESS = config_admin.access(Operation.ALTER_CONFIGS)


async def incremental_alter_configs(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Alters every resource that can be."""
    results = await config_admin.alter(broker, call, messages, altered)
    return messages.Response(responses=results)


def altered(
    resource: messages.AlterConfigsResource, present: Mapping[str, str], keys: config_admin.Keys
) -> dict[str, str]:
    """The values after the resource's operations, in their order."""
    values = dict(present)
    for entry in resource.configs:
        if entry.config_operation == SET:
            values[entry.name] = entry.value
        elif entry.config_operation == DELETE:
            values.pop(entry.name, None)
        elif entry.config_operation in (APPEND, SUBTRACT):
            values[entry.name] = _list(entry, values, keys)
        elif resource.resource_type == config_admin.BROKER:
            raise KafkaError(Error.INVALID_REQUEST, f"Unknown operations type {entry.config_operation}")
        else:
            raise KafkaError(Error.UNKNOWN_SERVER_ERROR)
    return values


def _list(entry: messages.AlterableConfig, values: Mapping[str, str], keys: config_admin.Keys) -> str:
    key = keys.get(entry.name)
    if key is None:
        raise KafkaError(Error.UNKNOWN_SERVER_ERROR)  # as Kafka, which does not look before it leaps
    append = entry.config_operation == APPEND
    if key.type != tables.LIST:
        word = "append" if append else "subtract"
        raise KafkaError(Error.INVALID_CONFIG, f"Config value {word} is not allowed for config key: {entry.name}")
    default = key.default
    if default is None and isinstance(key, TopicKey):
        default = tables.BROKER[key.synonyms[0][0]].default
    text = values.get(entry.name, tables.text_of(default) or "")
    old = text.split(",") if text else []
    named = entry.value.split(",")
    if append:
        return ",".join(old + [value for value in named if value not in old])
    for value in named:
        if value in old:
            old.remove(value)
    return ",".join(old)
