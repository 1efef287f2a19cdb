"""What must hold between the values of several keys: Kafka's KafkaConfig.validateValues in ZooKeeper mode, and ours.

A rule names all keys that it reads and that can be stored in ZooKeeper: when it is broken, these are left out of what
is stored, and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from kafkalike.config.broker import Config
from kafkalike.config.validators import VERSIONS
from kafkalike.config.values import ConfigException

RACK_AWARE_SELECTOR = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
LISTENERS = ("listeners", "advertised.listeners", "listener.security.protocol.map")


class Broken(NamedTuple):
    """A rule that does not hold: its keys, and the line for the operator. `required` are Kafka's `require`s, which say
    "requirement failed" when a value is set at run time."""

    names: tuple[str, ...]
    text: str
    required: bool = True


def broken(config: Config) -> Broken | None:
    """The first rule that does not hold."""
    for names, rule in RULES:
        try:
            text = rule(config)
        except ConfigException as problem:
            return Broken(names, str(problem), required=False)
        if text is not None:
            return Broken(names, text)
    return None


def unbindable(config: Config) -> Broken | None:
    """A listener that cannot be opened here."""
    for endpoint in config.listeners:
        if endpoint.security_protocol != "PLAINTEXT":
            return Broken(
                LISTENERS,
                f"Listener {endpoint.listener} needs {endpoint.security_protocol}, which is not supported yet: "
                "use PLAINTEXT",
                required=False,
            )
    return None


def _names(config: Config) -> list[str]:
    return [endpoint.listener for endpoint in config.advertised_listeners]


def _identity(config: Config) -> str | None:
    number, highest = config["broker.id"], config["reserved.broker.max.id"]
    if config["node.id"] != number:
        raise ConfigException("You must set `node.id` to the same value as `broker.id`.")
    if not config["broker.id.generation.enable"]:
        return None if number >= 0 else "broker.id must be greater than or equal to 0"
    if -1 <= number <= highest:
        return None
    return "broker.id must be greater than or equal to -1 and not greater than reserved.broker.max.id"


def _times(config: Config) -> str | None:
    if (config["log.roll.ms"] if config["log.roll.ms"] is not None else 1) < 1:
        return "log.roll.ms must be greater than or equal to 1"
    if (config["log.roll.jitter.ms"] or 0) < 0:
        return "log.roll.jitter.ms must be greater than or equal to 0"
    retention = config["log.retention.ms"]
    if retention is None:
        minutes = config["log.retention.minutes"]
        retention = config["log.retention.hours"] if minutes is None else minutes
    return "log.retention.ms must be unlimited (-1) or, greater than or equal to 1" if retention == 0 else None


def _log_dirs(config: Config) -> str | None:
    return None if config.log_dirs else "At least one log directory must be defined via log.dirs or log.dir."


def _cleaner(config: Config) -> str | None:
    threads = config["log.cleaner.threads"]
    if threads == 0:
        raise ConfigException("Log cleaner threads should be at least 1")
    if config["log.cleaner.dedupe.buffer.size"] // threads > 1024 * 1024:
        return None
    return "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."


def _waits(config: Config) -> str | None:
    wait = config["replica.fetch.wait.max.ms"]
    if wait > config["replica.socket.timeout.ms"]:
        return (
            "replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary "
            "socket timeouts"
        )
    if wait > config["replica.lag.time.max.ms"]:
        return (
            "replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent "
            "frequent changes in ISR"
        )
    return None


def _listeners(config: Config) -> str | None:
    if config["inter.broker.listener.name"] is not None and "security.inter.broker.protocol" in config.originals:
        raise ConfigException(
            "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set."
        )
    named = config["inter.broker.listener.name"]
    if named is not None and named.upper() not in config.protocols:
        raise ConfigException(
            f"Listener with name {named.upper()} defined in inter.broker.listener.name not found in "
            "listener.security.protocol.map."
        )
    names, advertised = [endpoint.listener for endpoint in config.listeners], _names(config)
    if not advertised:
        return "There must be at least one broker advertised listener."
    if config.inter_broker_listener not in advertised:
        return (
            "inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options "
            f"based on currently configured listeners are {','.join(advertised)}"
        )
    strangers = [name for name in advertised if name not in names]
    if strangers:
        return (
            "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found "
            f"{','.join(advertised)}. The valid options based on the current configuration are {','.join(names)}"
        )
    if any(endpoint.host == "0.0.0.0" for endpoint in config.advertised_listeners):
        return "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address."
    return None


def _control_plane(config: Config) -> str | None:
    name, advertised = config["control.plane.listener.name"], _names(config)
    if name is None:
        return None
    if name.upper() not in config.protocols:
        raise ConfigException(
            f"Listener with {name.upper()} defined in control.plane.listener.name not found in "
            "listener.security.protocol.map."
        )
    if name.upper() not in advertised:
        return (
            "control.plane.listener.name must be a listener name defined in advertised.listeners. The valid options "
            f"based on currently configured listeners are {','.join(advertised)}"
        )
    if name.upper() == config.inter_broker_listener:
        return (
            "control.plane.listener.name, when defined, should have a different value from the inter broker listener "
            f"name. Currently they both have the value ListenerName({name.upper()})"
        )
    return None


def _kraft(config: Config) -> str | None:
    # A rule that Kafka does not have: a KRaft controller would wait for a broker that only said that it migrates.
    if config["zookeeper.metadata.migration.enable"]:
        raise ConfigException("zookeeper.metadata.migration.enable must be false: there is no KRaft to migrate to")
    names = config["controller.listener.names"]
    if names:
        return (
            f"controller.listener.names must be empty when not running in KRaft mode: [{', '.join(names.split(','))}]"
        )
    known = [endpoint.listener for endpoint in config.listeners]
    for part in (config["early.start.listeners"] or "").split(","):
        if part.strip() and part.strip() not in known:
            raise ConfigException(
                f"early.start.listeners contains listener {part.strip()}, but this is not contained in listeners or "
                "controller.listener.names"
            )
    return None


def _formats(config: Config) -> str | None:
    spoken = _generation(config["inter.broker.protocol.version"])
    if spoken >= _RELEASES["3.0-IV1"]:
        return None  # Kafka ignores log.message.format.version from 3.0 on.
    stored = config["log.message.format.version"]
    if _magic(spoken) >= _magic(_generation(stored)):
        return None
    least = {1: "0.10.0", 2: "0.11.0"}[_magic(_generation(stored))]
    return (
        f"log.message.format.version {stored} can only be used when inter.broker.protocol.version is set to version "
        f"{least} or higher"
    )


_RELEASES = {version: number for number, version in enumerate(VERSIONS)}


def _generation(text: str) -> int:
    """The number of the newest release that a version's name means."""
    short = ".".join(text.split(".")[: 3 if text.startswith("0.") else 2])
    return max(number for name, number in _RELEASES.items() if short in (name, name.partition("-")[0]))


def _magic(release: int) -> int:
    return (release >= _RELEASES["0.10.0-IV0"]) + (release >= _RELEASES["0.11.0-IV0"])


def _groups(config: Config) -> str | None:
    protocols = [name.upper() for name in config["group.coordinator.rebalance.protocols"]]
    if "CLASSIC" not in protocols:
        raise ConfigException("Disabling the 'classic' protocol is not supported.")
    if "CONSUMER" in protocols:
        raise ConfigException("The new 'consumer' rebalance protocol is only supported in KRaft cluster.")
    acks, factor = config["offsets.commit.required.acks"], config["offsets.topic.replication.factor"]
    if not -1 <= acks <= factor:
        return (
            "offsets.commit.required.acks must be greater or equal to -1 and less or equal to "
            "offsets.topic.replication.factor"
        )
    return next(_bounds_of_groups(config), None)


def _bounds_of_groups(config: Config) -> Iterator[str]:
    for kind in ("consumer", "share"):
        for what in ("heartbeat.interval.ms", "session.timeout.ms") + ("record.lock.duration.ms",) * (kind == "share"):
            low, high, name = f"group.{kind}.min.{what}", f"group.{kind}.max.{what}", f"group.{kind}.{what}"
            if config[high] < config[low]:
                yield f"{high} must be greater than or equals to {low}"
            if config[name] < config[low]:
                yield f"{name} must be greater than or equals to {low}"
            if config[name] > config[high]:
                yield f"{name} must be less than or equals to {high}"


def _connections(config: Config) -> str | None:
    waiting = config["queued.max.request.bytes"]
    if 0 < waiting < config["socket.request.max.bytes"]:
        return "queued.max.request.bytes must be larger or equal to socket.request.max.bytes"
    if config["max.connections.per.ip"] == 0 and not config["max.connections.per.ip.overrides"]:
        return "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set."
    idle, delay = config["connections.max.idle.ms"], config["connection.failed.authentication.delay.ms"]
    if 0 <= idle <= delay:
        return (
            f"connection.failed.authentication.delay.ms={delay} should always be less than "
            f"connections.max.idle.ms={idle} to prevent failed authentication responses from timing out"
        )
    return None


def _classes(config: Config) -> str | None:
    # A rule that Kafka does not have: Kafka loads the classes that are named.
    selector = config["replica.selector.class"]
    if selector not in (None, RACK_AWARE_SELECTOR):
        raise ConfigException(
            f"Invalid value {selector} for configuration replica.selector.class: no class is loaded by name; "
            f"{RACK_AWARE_SELECTOR} is built in"
        )
    if config["authorizer.class.name"]:
        raise ConfigException(
            f"Invalid value {config['authorizer.class.name']} for configuration authorizer.class.name: access control "
            "is not supported yet, and a broker that ignored it would let everybody in"
        )
    return None


RULES: tuple[tuple[tuple[str, ...], Callable[[Config], str | None]], ...] = (
    (("broker.id", "node.id", "reserved.broker.max.id", "broker.id.generation.enable"), _identity),
    (("log.roll.ms", "log.roll.jitter.ms", "log.retention.ms"), _times),
    (("log.dirs", "log.dir"), _log_dirs),
    (("log.cleaner.threads", "log.cleaner.dedupe.buffer.size"), _cleaner),
    (("replica.fetch.wait.max.ms", "replica.socket.timeout.ms", "replica.lag.time.max.ms"), _waits),
    (("controller.listener.names", "early.start.listeners", *LISTENERS), _kraft),
    (LISTENERS, _listeners),
    (("control.plane.listener.name", *LISTENERS), _control_plane),
    (("inter.broker.protocol.version", "log.message.format.version"), _formats),
    (("group.coordinator.rebalance.protocols",), _groups),
    (("queued.max.request.bytes", "max.connections.per.ip", "max.connections.per.ip.overrides"), _connections),
    (("authorizer.class.name", "replica.selector.class"), _classes),
)
