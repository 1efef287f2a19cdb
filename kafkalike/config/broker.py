"""A broker's configuration: the typed values of its file, and of what was set while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kafkalike.config.broker_keys import BROKER, DYNAMIC_ONLY
from kafkalike.config.keys import parse
from kafkalike.config.listeners import Endpoint, endpoints, security_protocols

ALL = BROKER | DYNAMIC_ONLY


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

    def take_over(self, own: Mapping[str, str], cluster: Mapping[str, str]) -> None:
        """Takes over what was set while the broker runs; dynamic.py has sorted out what cannot be used."""
        self._typed.update(self._with(own, cluster))
        self.own, self.cluster = own, cluster

    def with_dynamic(self, own: Mapping[str, str], cluster: Mapping[str, str]) -> Config:
        """This configuration if `own` were all that is set for this broker, and `cluster` all that is set for all."""
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
        return endpoints("listeners", self._typed["listeners"], self.protocols)

    @property
    def advertised_listeners(self) -> list[Endpoint]:
        """What clients are told; `listeners` unless set."""
        text = self._typed["advertised.listeners"]
        return endpoints("advertised.listeners", self._typed["listeners"] if text is None else text, self.protocols)

    @property
    def inter_broker_listener(self) -> str:
        """The name of the listener that brokers use among themselves."""
        named = self._typed["inter.broker.listener.name"]
        return str(named or self._typed["security.inter.broker.protocol"]).upper()

    @property
    def protocols(self) -> dict[str, str]:
        """The security protocol by listener."""
        return security_protocols(self._typed["listener.security.protocol.map"])
