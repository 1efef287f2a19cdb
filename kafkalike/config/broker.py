"""A broker's configuration: the typed values of its file, and of what was set while it runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kafkalike.config import rules
from kafkalike.config.broker_keys import BROKER, DYNAMIC_ONLY
from kafkalike.config.keys import Key, parse
from kafkalike.config.values import ConfigException, integer

ALL = BROKER | DYNAMIC_ONLY
_HOST = re.compile(r"\[?[0-9a-zA-Z%._:-]*\]?")
SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


class Endpoint(NamedTuple):
    """One listener: its name, protocol and address. Port 0 means that the system chooses."""

    listener: str
    security_protocol: str
    host: str
    port: int


class Config(Mapping[str, Any]):
    """Typed values by Kafka's key. `originals` holds what was set explicitly, as text.

    A broker's values also change while it runs: `own` is what was set for this broker and `cluster` what was set for
    all, as text; the first wins, and both win over the file.
    """

    def __init__(self, typed: dict[str, Any], originals: dict[str, str]) -> None:
        self._typed = typed
        self.originals = originals
        self.own: Mapping[str, str] = {}
        self.cluster: Mapping[str, str] = {}

    def reconfigure(self, own: Mapping[str, str], cluster: Mapping[str, str]) -> list[str]:
        """Takes over what was set while it runs. What cannot be used is left out, and returned with the reason, a line
        for each: it stops none of the others."""
        self.own, self.cluster, values, bad = self._sorted_out(own, cluster)
        self._typed.update(values)
        return bad

    def usable(self, stored: Mapping[str, str], per_broker: bool) -> Mapping[str, str]:
        """What would be taken over if this were all that is set for this broker, or for all."""
        if per_broker:
            return self._sorted_out(stored, self.cluster)[0]
        return self._sorted_out(self.own, stored)[1]

    def _sorted_out(
        self, own: Mapping[str, str], cluster: Mapping[str, str]
    ) -> tuple[dict[str, str], dict[str, str], dict[str, Any], list[str]]:
        mine, bad = _usable(own, per_broker=True)
        shared, worse = _usable(cluster, per_broker=False)
        bad += worse
        while True:
            values = self._with(mine, shared)
            proposed = Config(values, self.originals)
            broken = rules.broken(proposed) or rules.unbindable(proposed)
            culprits = [name for name in broken.names if name in mine or name in shared] if broken else []
            if broken is None or not culprits:
                return mine, shared, values, bad
            bad += [f"{name}: {broken.text}" for name in culprits]
            for name in culprits:
                mine.pop(name, None)
                shared.pop(name, None)

    def proposed(self, values: Mapping[str, str], per_broker: bool) -> Config:
        """This configuration if `values` were all that is set for this broker, or for all."""
        own, cluster = (values, self.cluster) if per_broker else (self.own, values)
        return Config(self._with(own, cluster), self.originals)

    def _with(self, own: Mapping[str, str], cluster: Mapping[str, str]) -> dict[str, Any]:
        values = dict(self._typed)
        for name, key in ALL.items():
            if key.dynamic:
                text = own.get(name, cluster.get(name, self.originals.get(name)))
                values[name] = key.default if text is None else parse(key, text)
        return values

    def __getitem__(self, key: str) -> Any:
        return self._typed[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._typed)

    def __len__(self) -> int:
        return len(self._typed)

    @property
    def log_dirs(self) -> list[str]:
        """The directories that hold logs: log.dirs, else log.dir."""
        text = self._typed["log.dirs"]
        if text is None:
            text = self._typed["log.dir"]
        return [part.strip() for part in text.split(",") if part.strip()]

    @property
    def listeners(self) -> list[Endpoint]:
        """Where to listen."""
        return self._endpoints("listeners")

    @property
    def advertised_listeners(self) -> list[Endpoint]:
        """What clients are told; `listeners` unless set."""
        return self._endpoints("advertised.listeners")

    @property
    def inter_broker_listener(self) -> str:
        """The name of the listener that brokers use among themselves."""
        named = self._typed["inter.broker.listener.name"]
        return str(named or self._typed["security.inter.broker.protocol"]).upper()

    @property
    def protocols(self) -> dict[str, str]:
        """The security protocol by listener, from listener.security.protocol.map."""
        found = {}
        for part in self._typed["listener.security.protocol.map"].split(","):
            if part.strip():
                name, _, protocol = part.rpartition(":")
                if protocol.strip() not in SECURITY_PROTOCOLS:
                    raise ConfigException(
                        f"Invalid security protocol `{protocol.strip()}` defined in listener.security.protocol.map"
                    )
                found[name.strip().upper()] = protocol.strip()
        return found

    def _endpoints(self, key: str) -> list[Endpoint]:
        text, protocols = self._typed["listeners" if self._typed[key] is None else key], self.protocols
        try:
            endpoints = [self._endpoint(part.strip(), protocols) for part in text.split(",") if part.strip()]
        except ConfigException as problem:
            raise ConfigException(f"Error creating broker listeners from '{text}': {problem}") from None
        names = [endpoint.listener for endpoint in endpoints]
        ports = [endpoint.port for endpoint in endpoints if endpoint.port]
        if len(set(names)) != len(names):
            raise ConfigException(f"Each listener must have a different name, {key}: {text}")
        if key == "listeners" and len(set(ports)) != len(ports):
            raise ConfigException(f"Each listener must have a different port, {key}: {text}")
        return endpoints

    @staticmethod
    def _endpoint(part: str, protocols: dict[str, str]) -> Endpoint:
        name, separator, address = part.partition("://")
        host, _, port = address.rpartition(":")
        number = integer(port) if port.isascii() and port.isdigit() else None
        if not separator or not _HOST.fullmatch(host) or number is None or number > 65535:
            raise ConfigException(f"Unable to parse {part} to a broker endpoint")
        name = name.upper()
        if name not in protocols:
            raise ConfigException(f"No security protocol defined for listener {name}")
        return Endpoint(name, protocols[name], host.removeprefix("[").removesuffix("]"), number)


def _usable(texts: Mapping[str, str], per_broker: bool) -> tuple[dict[str, str], list[str]]:
    """What can be used of what is stored, and why the rest cannot. Names that no table knows are kept: they may be
    somebody else's."""
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
    # Either of these stands for the other.
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
    """Which of these have another value than the default although nothing reads it here: a line for each reason."""
    found: dict[str, list[str]] = {}
    for name in names:
        key = BROKER.get(name)
        if key is not None and key.unused and config[name] != key.default:
            found.setdefault(key.unused, []).append(name)
    return [f"{', '.join(named)} ({reason.rstrip('.')})" for reason, named in found.items()]
