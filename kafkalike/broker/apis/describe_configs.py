"""The configuration of topics and of this broker.

Answered by any broker for topics, and by the broker itself for a broker resource. Each value says where it comes from:
the topic's own, what was set for this broker or for all while they ran, this broker's file, or the default; with its
synonyms when asked. Passwords are never echoed.
v0 has "is default" instead of the source; v1 synonyms; v3 type and documentation; v4 flexible.
"""

from __future__ import annotations

from typing import Any

from kafkalike import config as tables
from kafkalike.broker import loggers
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import describe_configs as messages

TOPIC, BROKER, BROKER_LOGGER = 2, 4, 8  # resource types
# Sources.
DYNAMIC_TOPIC, DYNAMIC_BROKER, DYNAMIC_DEFAULT, STATIC_BROKER, DEFAULT, DYNAMIC_BROKER_LOGGER = range(1, 7)
TYPES = {
    name: number
    for number, name in enumerate(
        ("UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD")
    )
}


async def describe_configs(broker: Any, call: Any) -> Any:
    """Describes every resource."""
    results = []
    for resource in call.request.resources:
        result = messages.DescribeConfigsResult(
            resource_type=resource.resource_type, resource_name=resource.resource_name, error_message=""
        )
        try:
            if resource.resource_type == TOPIC:
                entries = await _topic(broker, resource.resource_name)
            elif resource.resource_type == BROKER:
                entries = _broker(broker, resource.resource_name)
            elif resource.resource_type == BROKER_LOGGER:
                entries = _loggers(broker, resource.resource_name)
            else:
                raise KafkaError(Error.INVALID_REQUEST, f"Unsupported resource type: {resource.resource_type}")
        except KafkaError as problem:
            result.error_code = problem.error
            result.error_message = problem.message
        else:
            wanted = resource.configuration_keys
            result.configs = [_render(e, call) for e in entries if wanted is None or e[0] in wanted]
        results.append(result)
    return messages.Response(results=results)


async def _topic(broker: Any, topic: str) -> list[tuple[Any, ...]]:
    """(name, type, sentence, read only, synonyms) of every topic key; the first synonym is the value in force."""
    broker.check_topic_name(topic)
    if topic not in broker.metadata.image.topics:
        raise KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION)
    overrides = await broker.topic_overrides(topic)
    entries = []
    for key in tables.TOPIC.values():
        chain = []
        if key.name in overrides:
            chain.append((key.name, overrides[key.name], DYNAMIC_TOPIC))
        chain += [link for name, factor in key.synonyms for link in _broker_chain(broker.config, name, factor)]
        if not key.synonyms:
            chain.append((key.name, tables.text_of(key.default), DEFAULT))
        entries.append((key.name, key.type, key.sentence, False, chain))
    return entries


def _broker(broker: Any, name: str) -> list[tuple[Any, ...]]:
    if name and name != str(broker.broker_id):
        if not name.isdigit():
            raise KafkaError(Error.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}")
        raise KafkaError(
            Error.INVALID_REQUEST,
            f"Unexpected broker id, expected {broker.broker_id} or empty string, but received {name}",
        )
    config = broker.config
    if not name:
        return [
            (key, *_known(key), not _changes(key), [(key, text, DYNAMIC_DEFAULT)])
            for key, text in sorted(config.cluster.items())
        ]
    extra = [name for name in config.own | config.cluster if name not in tables.BROKER]
    return [
        (key, *_known(key), not _changes(key), _broker_chain(config, key, 1) or [NOTHING])
        for key in (*tables.BROKER, *extra)
    ]


def _loggers(broker: Any, name: str) -> list[tuple[Any, ...]]:
    if name != str(broker.broker_id):
        raise KafkaError(
            Error.INVALID_REQUEST, f"Unexpected broker id, expected {broker.broker_id} but received {name}"
        )
    return [
        (logger, "STRING", "", False, [(logger, level, DYNAMIC_BROKER_LOGGER)])
        for logger, level in loggers.levels().items()
    ]


UNKNOWN = "UNKNOWN"  # the type of what is in no table: it may be a password of somebody's plugin, and is not shown


def _known(name: str) -> tuple[str, str]:
    key = tables.BROKER.get(name) or tables.DYNAMIC_ONLY.get(name)
    return (UNKNOWN, "") if key is None else (key.type, key.sentence)


def _changes(name: str) -> bool:
    """Whether it may be altered while the broker runs."""
    key = tables.BROKER.get(name) or tables.DYNAMIC_ONLY.get(name)
    return key is not None and bool(key.dynamic)


NOTHING = ("", None, DEFAULT)


def _broker_chain(config: Any, name: str, factor: int) -> list[tuple[str, str | None, int]]:
    """A broker's values and the default of one key as (name, value in the asker's unit, source); the first holds."""
    key = tables.BROKER.get(name)
    texts = ((config.own, DYNAMIC_BROKER), (config.cluster, DYNAMIC_DEFAULT), (config.originals, STATIC_BROKER))
    chain: list[tuple[Any, int]] = [
        (layer[name] if key is None else tables.parse(key, layer[name]), source)
        for layer, source in texts
        if name in layer
    ]
    if key is not None and (key.default is not None or (not chain and config[name] is not None)):
        chain.append((key.default if key.default is not None else config[name], DEFAULT))
    return [
        (name, tables.text_of(value * factor if factor > 1 and value >= 0 else value), source)
        for value, source in chain
    ]


def _render(entry: tuple[Any, ...], call: Any) -> Any:
    name, kind, sentence, read_only, chain = entry
    request = call.request
    _, value, source = chain[0] if chain else NOTHING
    sensitive = kind in (tables.PASSWORD, UNKNOWN)
    synonyms = []
    if request.include_synonyms:
        synonyms = [
            messages.DescribeConfigsSynonym(name=n, value=None if sensitive else v, source=s) for n, v, s in chain if n
        ]
    result = messages.DescribeConfigsResourceResult(
        name=name,
        value=None if sensitive else value,
        read_only=read_only,
        config_source=source,
        is_sensitive=sensitive,
        synonyms=synonyms,
        config_type=TYPES[kind],
        documentation=sentence if request.include_documentation else None,
    )
    if call.version == 0:
        result.is_default = source == DEFAULT
    return result
