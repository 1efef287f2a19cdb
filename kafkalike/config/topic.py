"""A topic's configuration: its own values over the broker's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kafkalike.config.broker import Config
from kafkalike.config.keys import TopicKey, parse
from kafkalike.config.topic_keys import TOPIC
from kafkalike.config.values import ConfigException


def topic_default(config: Config, key: TopicKey) -> Any:
    """What a topic without an override has for `key`: the broker's value under the first synonym that is set."""
    for name, factor in key.synonyms:
        value = config[name]
        if value is not None:
            if key.name == "retention.ms" and value < 0:
                return -1
            return value * factor if factor > 1 else value
    return key.default


def topic_config(config: Config, overrides: Mapping[str, str]) -> Config:
    """The effective configuration of a topic: its overrides over the broker's. Bad overrides raise ConfigException."""
    values = {name: topic_default(config, key) for name, key in TOPIC.items()}
    values.update(parse_topic_overrides(overrides))
    return Config(values, dict(overrides))


def usable(overrides: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The usable part of a topic's stored configuration, and a line for each value that cannot be used."""
    found, bad = {}, []
    for name, text in overrides.items():
        try:
            parse_topic_overrides({name: text})
            found[name] = text
        except ConfigException as problem:
            bad.append(f"{name}: {problem}")
    return found, bad


def parse_topic_overrides(overrides: Mapping[str, str]) -> dict[str, Any]:
    """Typed topic overrides. ConfigException for an unknown name or a bad value."""
    values = {}
    for name, text in overrides.items():
        if name not in TOPIC:
            raise ConfigException(f"Unknown topic config name: {name}")
        values[name] = parse(TOPIC[name], text)
    return values


def check_topic(config: Config, overrides: Mapping[str, str]) -> str | None:
    """Why a topic's values contradict each other, in Kafka's words; None when they do not. ConfigException for a bad
    value."""
    values = topic_config(config, overrides)
    low, high = values["min.compaction.lag.ms"], values["max.compaction.lag.ms"]
    if low > high:
        return f"conflict topic config setting min.compaction.lag.ms ({low}) > max.compaction.lag.ms ({high})"
    if values["remote.log.delete.on.disable"] or values["remote.log.copy.disable"]:
        return (
            "It is invalid to set `remote.log.delete.on.disable` or `remote.log.copy.disable` under Zookeeper's mode."
        )
    if values["remote.storage.enable"]:
        raise ConfigException(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log "
            "storage."
        )
    return None
