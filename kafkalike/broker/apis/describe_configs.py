"""The configuration of topics and of this broker.

Answered by any broker for topics, and by the broker itself for a broker resource. Each value says where it comes from:
the topic's own, what was set for this broker or for all while they ran, this broker's file, or the default; with its
synonyms when asked. Passwords are never echoed. A type that nobody describes fails the whole request, as Kafka does.
v0 has "is default" instead of the source; v1 synonyms; v3 type and documentation; v4 flexible.
"""

from __future__ import annotations

from typing import NamedTuple

from kafkalike import config as tables
from kafkalike.broker import config_admin, loggers
from kafkalike.broker.access import Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.dynamic_config import topic_overrides
from kafkalike.broker.request import Call
from kafkalike.cluster import topic_names
from kafkalike.config import Config
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import describe_configs as messages

TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS = 2, 4, 8, 16  # resource types
# Sources.
DYNAMIC_TOPIC, DYNAMIC_BROKER, DYNAMIC_DEFAULT, STATIC_BROKER, DEFAULT, DYNAMIC_BROKER_LOGGER = range(1, 7)
TYPES = {
    name: number
    for number, name in enumerate(
        ("UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD")
    )
}
# Keys of a broker that stand for the same in several units, the strongest first.
SYNONYMS = {
    "log.roll.ms": ("log.roll.ms", "log.roll.hours"),
    "log.roll.jitter.ms": ("log.roll.jitter.ms", "log.roll.jitter.hours"),
    "log.retention.ms": ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
    "log.flush.interval.ms": ("log.flush.interval.ms", "log.flush.scheduler.interval.ms"),
}
SYNONYMS |= {
    name: group for group in list(SYNONYMS.values()) for name in group if name != "log.flush.scheduler.interval.ms"
}
MALFORMED = (
    "This most likely occurs because of a request being malformed by the client library or the message was sent to an "
    "incompatible broker. See the broker logs for more details."
)
UNKNOWN = "UNKNOWN"  # the type of a key that no table has: it may be a plugin's password, and is not shown

Link = tuple[str, str | None, int]  # a synonym: name, value, source


ACCESS = config_admin.access(Operation.DESCRIBE_CONFIGS)


class Entry(NamedTuple):
    """One key of a resource. The first synonym says where the value comes from."""

    name: str
    type: str
    value: str | None
    documentation: str
    read_only: bool
    synonyms: list[Link]


async def describe_configs(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Describes every resource."""
    resources = call.request.resources
    if any(resource.resource_type not in (TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS) for resource in resources):
        return messages.Response(
            results=[_refused(each, KafkaError(Error.INVALID_REQUEST, MALFORMED)) for each in resources]
        )
    defaults = _topic_defaults(broker.config) if any(each.resource_type == TOPIC for each in resources) else []
    results = []
    for resource in resources:
        try:
            entries = await _entries(broker, resource, defaults)
        except KafkaError as problem:
            results.append(_refused(resource, problem))
        else:
            wanted = resource.configuration_keys
            result = _result(resource)
            result.configs = [_render(entry, call) for entry in entries if not wanted or entry.name in wanted]
            results.append(result)
    return messages.Response(results=results)


def _result(resource: messages.DescribeConfigsResource) -> messages.DescribeConfigsResult:
    return messages.DescribeConfigsResult(
        resource_type=resource.resource_type, resource_name=resource.resource_name, error_message=""
    )


def _refused(resource: messages.DescribeConfigsResource, problem: KafkaError) -> messages.DescribeConfigsResult:
    result = _result(resource)
    result.error_code, result.error_message = problem.error, problem.message
    return result


async def _entries(broker: Broker, resource: messages.DescribeConfigsResource, defaults: list[Entry]) -> list[Entry]:
    name = resource.resource_name
    if resource.resource_type == TOPIC:
        return await _topic(broker, name, defaults)
    if resource.resource_type == BROKER:
        return _broker(broker, name)
    if resource.resource_type == BROKER_LOGGER:
        return _loggers(broker, name)
    if not name:
        raise KafkaError(Error.INVALID_REQUEST, "Client metrics subscription name must not be empty")
    raise KafkaError(Error.INVALID_REQUEST, "Config type client-metrics is only supported on KRaft clusters")


async def _topic(broker: Broker, topic: str, defaults: list[Entry]) -> list[Entry]:
    reason = topic_names.illegal(topic)
    if reason:
        raise KafkaError(Error.INVALID_TOPIC_EXCEPTION, reason)
    if topic not in broker.metadata.image.topics:
        raise KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION, "")
    overrides, _ = tables.usable(await topic_overrides(broker.zk, topic))
    values = {name: tables.text_of(value) for name, value in tables.parse_topic_overrides(overrides).items()}
    return [_overridden(entry, values[entry.name]) if entry.name in values else entry for entry in defaults]


def _overridden(entry: Entry, value: str | None) -> Entry:
    return entry._replace(value=value, synonyms=[(entry.name, value, DYNAMIC_TOPIC), *entry.synonyms])


def _topic_defaults(config: Config) -> list[Entry]:
    """The values of a topic that sets no key itself."""
    entries = []
    for key in tables.TOPIC.values():
        chain = _chain(config, key.synonyms[0][0]) if key.synonyms else []
        if key.synonyms and all(source == DEFAULT for _, _, source in chain):
            chain = _without_others(chain, key.synonyms[0][0])
        value = tables.text_of(tables.topic_default(config, key))
        entries.append(Entry(key.name, key.type, value, key.documentation, False, chain))
    return entries


def _broker(broker: Broker, name: str) -> list[Entry]:
    if name and name != str(broker.broker_id):
        _number(name)
        raise KafkaError(
            Error.INVALID_REQUEST,
            f"Unexpected broker id, expected {broker.broker_id} or empty string, but received {name}",
        )
    config = broker.config
    if not name:
        return [
            _broker_entry(config, key, [(key, _text(key, text), DYNAMIC_DEFAULT)])
            for key, text in sorted(config.cluster.items())
        ]
    named = {**config.originals, **config.own, **config.cluster}
    known = [key.name for key in tables.BROKER.values() if not key.internal or key.name in named]
    extra = [key for key in named if key not in tables.BROKER]
    return [_broker_entry(config, key, _without_others(_chain(config, key), key)) for key in (*known, *extra)]


def _broker_entry(config: Config, name: str, chain: list[Link]) -> Entry:
    base = tables.base_name(name)
    key = tables.BROKER.get(base) or tables.DYNAMIC_ONLY.get(base)
    kind, sentence = (UNKNOWN, "") if key is None else (key.type, key.documentation)
    read_only = name not in tables.BROKER or not tables.BROKER[name].dynamic
    value = chain[0][1] if chain else tables.text_of(config[name])
    return Entry(name, kind, value, sentence, read_only, chain)


def _chain(config: Config, name: str) -> list[Link]:
    """Every value that a broker's key, or another that stands for it, has: the strongest first."""
    names = SYNONYMS.get(name, (name,))
    layers = ((config.own, DYNAMIC_BROKER), (config.cluster, DYNAMIC_DEFAULT), (config.originals, STATIC_BROKER))
    found = [(each, _text(each, layer[each]), source) for layer, source in layers for each in names if each in layer]
    defaults = [(each, tables.BROKER[each].default) for each in names if each in tables.BROKER]
    return found + [(each, tables.text_of(value), DEFAULT) for each, value in defaults if value is not None]


def _without_others(chain: list[Link], name: str) -> list[Link]:
    """The chain of synonyms from the key itself on: stronger synonyms have entries of their own."""
    at = next((index for index, link in enumerate(chain) if link[0] == name), len(chain))
    return chain[at:]


def _text(name: str, text: str) -> str | None:
    key = tables.BROKER.get(name) or tables.DYNAMIC_ONLY.get(name)
    return text if key is None else tables.text_of(tables.parse(key, text))


def _loggers(broker: Broker, name: str) -> list[Entry]:
    if not name:
        raise KafkaError(Error.INVALID_REQUEST, "Broker id must not be empty")
    if _number(name) != broker.broker_id:
        raise KafkaError(
            Error.INVALID_REQUEST, f"Unexpected broker id, expected {broker.broker_id} but received {name}"
        )
    return [
        Entry(logger, UNKNOWN, level, "", False, [(logger, level, DYNAMIC_BROKER_LOGGER)])
        for logger, level in loggers.levels().items()
    ]


def _number(name: str) -> int:
    """The broker id that a resource is named by."""
    number = tables.integer(name)
    if number is None:
        raise KafkaError(Error.INVALID_REQUEST, f"Broker id must be an integer, but it is: {name}")
    return number


def _render(entry: Entry, call: Call[messages.Request]) -> messages.DescribeConfigsResourceResult:
    request = call.request
    source = entry.synonyms[0][2] if entry.synonyms else DEFAULT
    is_logger = source == DYNAMIC_BROKER_LOGGER
    sensitive = entry.type in (tables.PASSWORD, UNKNOWN) and not is_logger
    synonyms = []
    if request.include_synonyms and not is_logger:
        synonyms = [
            messages.DescribeConfigsSynonym(name=name, value=None if sensitive else value, source=origin)
            for name, value, origin in entry.synonyms
        ]
    result = messages.DescribeConfigsResourceResult(
        name=entry.name,
        value=None if sensitive else entry.value,
        read_only=entry.read_only,
        config_source=source,
        is_sensitive=sensitive,
        synonyms=synonyms,
        config_type=TYPES[entry.type],
        documentation=entry.documentation if request.include_documentation and not is_logger else None,
    )
    if call.version == 0:
        result.is_default = source == DEFAULT
    return result
