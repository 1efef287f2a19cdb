"""Changes of a broker's configuration while it runs: which ones Kafka allows, and what can be used of those that are
stored in ZooKeeper, which anybody may have written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kafkalike.config import rules
from kafkalike.config.broker import ALL, Config
from kafkalike.config.broker_keys import BROKER
from kafkalike.config.keys import Key, parse
from kafkalike.config.values import ConfigException

# Kafka changes these numbers at run time only to between half and twice of their present value.
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
    """Checks what a broker's dynamic configuration is to become; ConfigException in Kafka's words when it may not."""
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
    single = [name for name in proposed if _is_for_one_broker(name)]
    if single and not per_broker:
        raise ConfigException(
            "Cannot update these configs at default cluster level, broker id must be specified: "
            f"Set({', '.join(single)})"
        )
    own, cluster = (proposed, config.cluster) if per_broker else (config.own, proposed)
    wanted = config.with_dynamic(own, cluster)
    broken = rules.broken(wanted)
    if broken is not None:
        raise ConfigException(f"requirement failed: {broken.text}" if broken.required else broken.text)
    # Kafka can change listeners at run time; this broker binds its sockets once.
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


# What is stored.


def reconfigure(config: Config, own: Mapping[str, str], cluster: Mapping[str, str]) -> list[str]:
    """Takes over what is stored for this broker and for all. What cannot be used is left out, and returned with the
    reason, a line for each: it stops none of the others."""
    own, cluster, bad = _sorted_out(config, own, cluster)
    config.take_over(own, cluster)
    return bad


def usable_dynamic(config: Config, stored: Mapping[str, str], per_broker: bool) -> Mapping[str, str]:
    """What the broker would take over if `stored` were all that is set for it, or for all."""
    if per_broker:
        return _sorted_out(config, stored, config.cluster)[0]
    return _sorted_out(config, config.own, stored)[1]


def _sorted_out(
    config: Config, own: Mapping[str, str], cluster: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """The usable part of what is stored for this broker and for all, and why the rest cannot be used."""
    mine, bad = _usable(own, per_broker=True)
    shared, worse = _usable(cluster, per_broker=False)
    bad += worse
    while True:
        proposed = config.with_dynamic(mine, shared)
        broken = rules.broken(proposed) or rules.unbindable(proposed)
        culprits = [name for name in broken.names if name in mine or name in shared] if broken else []
        if broken is None or not culprits:
            return mine, shared, bad
        bad += [f"{name}: {broken.text}" for name in culprits]
        for name in culprits:
            mine.pop(name, None)
            shared.pop(name, None)


def _usable(texts: Mapping[str, str], per_broker: bool) -> tuple[dict[str, str], list[str]]:
    """The stored texts that can be used, and why the others cannot. Names that no table has are kept: they may belong
    to another program."""
    usable, bad = {}, []
    for name, text in texts.items():
        key = ALL.get(name)
        try:
            if key is not None:
                _check_stored(key, text, per_broker)
            usable[name] = text
        except ConfigException as problem:
            bad.append(f"{name}: {problem}")
    return usable, bad


def _check_stored(key: Key, text: str, per_broker: bool) -> None:
    if not key.dynamic:
        raise ConfigException("it cannot be set while the broker runs")
    if key.dynamic == "B" and not per_broker:
        raise ConfigException("it can be set for single brokers only")
    parse(key, text)
