"""Configurations of topics, brokers and loggers: describe and alter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafkalike.client.cluster import Node
from kafkalike.client.effects import Steps
from kafkalike.client.errors import raise_error
from kafkalike.client.routing import Routing
from kafkalike.protocol.messages import by_name

TOPIC, BROKER, BROKER_LOGGER = 2, 4, 8  # kinds of resources
_SET, _DELETE = 0, 1
_DEFAULT_CONFIG = 5

Resource = tuple[int, str]


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One effective configuration value. `source` is Kafka's number; 5 is the default."""

    name: str
    value: str | None
    source: int
    is_sensitive: bool
    synonyms: tuple[tuple[int, str, str | None], ...] = ()  # (source, name, value), the one in force first

    @property
    def is_default(self) -> bool:
        """Nobody set it."""
        return self.source == _DEFAULT_CONFIG


def describe_configs(
    routing: Routing, names: Sequence[str], kind: int = TOPIC, *, synonyms: bool = False
) -> Steps[dict[str, list[ConfigEntry]]]:
    """The effective configuration of topics, of one broker or of its loggers; "" is what is set for all brokers."""
    if not names:
        return {}
    api = by_name("describe_configs")
    request = api.Request(
        resources=[
            api.DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=None)
            for name in names
        ],
        include_synonyms=synonyms,
    )

    def attempt() -> Steps[dict[str, list[ConfigEntry]]]:
        node = yield from _node_of(routing, kind, names[0])
        response = yield from routing.ask(node, api, request)
        found = {}
        for result in response.results:
            raise_error(result.error_code, result.error_message, _resource_text(kind, result.resource_name))
            found[result.resource_name] = [_entry(config) for config in result.configs]
        return found

    return (yield from routing.retrying("describeConfigs", attempt))


def _entry(config: Any) -> ConfigEntry:
    return ConfigEntry(
        config.name,
        config.value,
        _DEFAULT_CONFIG if config.is_default else config.config_source,
        config.is_sensitive,
        tuple((s.source, s.name, s.value) for s in config.synonyms),
    )


def alter_configs(routing: Routing, changes: Mapping[Resource, Mapping[str, str | None]]) -> Steps[None]:
    """Sets single values, or deletes them with None. Keys are (TOPIC, BROKER or BROKER_LOGGER, name)."""
    api = by_name("incremental_alter_configs")
    wanted = {
        resource: [
            api.AlterableConfig(name=key, config_operation=_DELETE if value is None else _SET, value=value)
            for key, value in values.items()
        ]
        for resource, values in changes.items()
    }
    return _alter_configs(routing, "incrementalAlterConfigs", api, wanted)


def replace_configs(routing: Routing, configs: Mapping[Resource, Mapping[str, str]]) -> Steps[None]:
    """Gives each resource exactly these values; what is not named returns to its default."""
    api = by_name("alter_configs")
    wanted = {
        resource: [api.AlterableConfig(name=key, value=value) for key, value in values.items()]
        for resource, values in configs.items()
    }
    return _alter_configs(routing, "alterConfigs", api, wanted)


def _alter_configs(routing: Routing, what: str, api: Any, wanted: Mapping[Resource, list[Any]]) -> Steps[None]:
    """A broker's own configuration is altered by itself, all others by any broker."""
    for resources in _by_node(wanted).values():
        kind, name = resources[0]
        request = api.Request(
            resources=[
                api.AlterConfigsResource(resource_type=k, resource_name=n, configs=wanted[k, n]) for k, n in resources
            ]
        )

        def attempt(kind: int = kind, name: str = name, request: Any = request) -> Steps[None]:
            response = yield from routing.ask((yield from _node_of(routing, kind, name)), api, request)
            for result in response.responses:
                raise_error(result.error_code, result.error_message, _resource_text(kind, name))

        yield from routing.retrying(what, attempt)


def _by_node(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    """Resources under the broker that has to be asked for them; "" is any."""
    nodes: dict[str, list[Resource]] = {}
    for kind, name in resources:
        nodes.setdefault(name if kind in (BROKER, BROKER_LOGGER) else "", []).append((kind, name))
    return nodes


def _node_of(routing: Routing, kind: int, name: str) -> Steps[Node]:
    """Who answers for a configuration."""
    if kind in (BROKER, BROKER_LOGGER) and name:
        return routing.broker(int(name))
    return routing.any_node()


def _resource_text(kind: int, name: str) -> str:
    if kind == TOPIC:
        return f"topic {name}"
    return f"broker {name}" if name else "brokers"
