"""A broker's configuration as its start reads it from server.properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kafkalike.config import rules
from kafkalike.config.broker import ALL, Config
from kafkalike.config.broker_keys import BROKER
from kafkalike.config.keys import parse
from kafkalike.config.values import ConfigException


def broker_config(properties: Mapping[str, str]) -> tuple[Config, list[str]]:
    """The configuration of a broker and the names that no table knows (they are ignored, with a warning).

    ConfigException when a value cannot be parsed, a required key is missing, or keys contradict each other.
    """
    texts = dict(properties)
    if parse(BROKER["process.roles"], texts.get("process.roles", "")):
        raise ConfigException(
            f"process.roles={texts['process.roles'].strip()} is a configuration for KRaft, and this broker works with "
            "ZooKeeper: leave process.roles and controller.* out, and set zookeeper.connect."
        )
    # node.id stands for broker.id and the reverse, when only one is set.
    for name, other in (("node.id", "broker.id"), ("broker.id", "node.id")):
        if name not in texts and other in texts:
            texts[name] = texts[other]
    values = {name: key.default for name, key in ALL.items()}
    for name, text in texts.items():
        if name in BROKER:
            values[name] = parse(BROKER[name], text)
    if not values["zookeeper.connect"]:
        raise ConfigException('Missing required configuration "zookeeper.connect" which has no default value.')
    if values["zookeeper.connection.timeout.ms"] is None:
        values["zookeeper.connection.timeout.ms"] = values["zookeeper.session.timeout.ms"]
    config = Config(values, texts)
    broken = rules.broken(config)
    if broken is not None:
        raise ConfigException(broken.text)
    return config, [name for name in properties if name not in BROKER]


def without_effect(config: Config, names: Iterable[str]) -> list[str]:
    """Those of the keys that are set to another value than the default though no code reads them: a line for each
    reason."""
    found: dict[str, list[str]] = {}
    for name in names:
        key = BROKER.get(name)
        if key is not None and key.unused and config[name] != key.default:
            found.setdefault(key.unused, []).append(name)
    return [f"{', '.join(named)} ({reason.rstrip('.')})" for reason, named in found.items()]
