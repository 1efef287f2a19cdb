"""Whether a broker's configuration may be changed so while it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kafkalike.config import rules
from kafkalike.config.broker import ALL, Config
from kafkalike.config.broker_keys import BROKER
from kafkalike.config.keys import parse
from kafkalike.config.values import ConfigException

# Kafka takes such a number only if it is between half and twice of the present one.
THREADS = ("num.io.threads", "num.network.threads", "num.replica.fetchers", "num.recovery.threads.per.data.dir",
           "background.threads")  # fmt: skip


# Keys and certificates, which Kafka takes at run time for one listener only, as listener.name.inside.ssl.key.password.
STORES = frozenset(
    f"ssl.{name}"
    for name in (
        "key.password",
        *(f"keystore.{part}" for part in ("type", "location", "password", "certificate.chain", "key")),
        *(f"truststore.{part}" for part in ("type", "location", "password", "certificates")),
    )
)


def check_dynamic(config: Config, proposed: Mapping[str, str], per_broker: bool) -> None:
    """Whether a broker's dynamic configuration may become this; ConfigException in Kafka's words if not."""
    fixed = [name for name in proposed if name in BROKER and not BROKER[name].dynamic]
    if fixed:
        raise ConfigException(f"Cannot update these configs dynamically: Set({', '.join(fixed)})")
    bare = [name for name in proposed if name in STORES]
    if bare:
        raise ConfigException(
            "These security configs can be dynamically updated only per-listener using the listener prefix: "
            f"HashSet({', '.join(bare)})"
        )
    for name, text in proposed.items():
        key = ALL.get(base_name(name))
        if key is not None:
            parse(key, text)
    own = [name for name in proposed if _is_for_one_broker(name)]
    if own and not per_broker:
        raise ConfigException(
            f"Cannot update these configs at default cluster level, broker id must be specified: Set({', '.join(own)})"
        )
    wanted = config.proposed(proposed, per_broker)
    broken = rules.broken(wanted)
    if broken is not None:
        raise ConfigException(f"requirement failed: {broken.text}" if broken.required else broken.text)
    # Ours: sockets are bound once.
    moved = [name for name in rules.LISTENERS if wanted[name] != config[name]]
    if moved:
        raise ConfigException(f"Listeners cannot change while the broker runs: Set({', '.join(moved)})")
    problem = _thread_problem(config, wanted) or _connection_problem(config, wanted)
    if problem:
        raise ConfigException(
            f"Invalid value org.apache.kafka.common.config.ConfigException: {problem} for configuration Invalid "
            "dynamic configuration"
        )


def _connection_problem(config: Config, wanted: Config) -> str | None:
    for name in ("max.connections", "max.connection.creation.rate"):
        if wanted[name] <= 0 and wanted[name] != config[name]:
            return f"Invalid {name} {wanted[name]}"
    return None


def base_name(name: str) -> str:
    """The key that is meant for one listener: listener.name.inside.ssl.protocol means ssl.protocol."""
    found = re.match(r"listener\.name\.[^.]*\.(.*)", name)
    return found[1] if found else name


def _is_for_one_broker(name: str) -> bool:
    base = base_name(name)
    if base != name:
        return base not in ("max.connections", "max.connection.creation.rate", "num.network.threads")
    return name in BROKER and BROKER[name].dynamic == "B"


def _thread_problem(config: Config, values: Mapping[str, Any]) -> str | None:
    for name in THREADS:
        new, old = values[name], config[name]
        if new == old:
            continue
        refused = f"Dynamic thread count update validation failed for {name}={new}, value should"
        if new <= 0:
            return f"{refused} be at least 1"
        if new < old // 2:
            return f"{refused} be at least half the current value {old}"
        if new > old * 2:
            return f"{refused} not be greater than double the current value {old}"
    new, old = values["log.cleaner.threads"], config["log.cleaner.threads"]
    if new < 1:
        return "Log cleaner threads should be at least 1"
    if new < old // 2:
        return f"Log cleaner threads cannot be reduced to less than half the current value {old}"
    if new > old * 2:
        return f"Log cleaner threads cannot be increased to more than double the current value {old}"
    return None
