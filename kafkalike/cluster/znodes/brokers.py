"""Live brokers, and their failed log directories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kafkalike.cluster.znodes.encoding import Garbage, field_of, json_object, shortened, to_json

BROKER_SEQUENCE = "/brokers/seqid"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One advertised listener of a broker."""

    listener: str
    security_protocol: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.listener}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BrokerNode:
    """A live broker. `extra` are keys of ours, which Apache Kafka does not look at."""

    endpoints: tuple[Endpoint, ...]
    rack: str | None = None
    timestamp_ms: int = 0
    jmx_port: int = -1
    extra: Mapping[str, Any] = field(default_factory=dict)

    # fmt: off
    KNOWN = frozenset((
        "features", "listener_security_protocol_map", "endpoints", "rack", "jmx_port", "port", "host", "version",
        "timestamp",
    ))
    # fmt: on

    # Keys of ours: this broker was not stopped cleanly before; where it would keep committed offsets.
    UNCLEAN = "unclean_shutdown"
    OFFSETS_STORAGE = "offsets.storage"

    @staticmethod
    def path(broker_id: int) -> str:
        """/brokers/ids/N"""
        return f"/brokers/ids/{broker_id}"

    @staticmethod
    def directory() -> str:
        """The parent of them all."""
        return "/brokers/ids"

    @property
    def is_apaches(self) -> bool:
        """Whether it is one of Apache Kafka's, which announce nothing."""
        return self.OFFSETS_STORAGE not in self.extra

    @property
    def unclean(self) -> bool:
        """Whether the broker says that it was not stopped cleanly, and no controller has attended to that yet."""
        return self.extra.get(self.UNCLEAN) is True

    @classmethod
    def without_mark(cls, data: bytes | None) -> bytes:
        """A registration as it was, but for that key."""
        node = json_object(cls.directory(), data)
        node.pop(cls.UNCLEAN, None)
        return to_json(node)

    def encode(self) -> bytes:
        """Version 5; `host` and `port` are those of the first PLAINTEXT endpoint, for readers of 0.8."""
        plain = next((e for e in self.endpoints if e.security_protocol == "PLAINTEXT"), None)
        node: dict[str, Any] = {
            "features": {},
            "listener_security_protocol_map": {e.listener: e.security_protocol for e in self.endpoints},
            "endpoints": [str(e) for e in self.endpoints],
        }
        if self.rack is not None:
            node["rack"] = self.rack
        node |= {
            "jmx_port": self.jmx_port,
            "port": plain.port if plain else -1,
            "host": plain.host if plain else None,
            "version": 5,
            "timestamp": str(self.timestamp_ms),
        }
        return to_json(node | dict(self.extra))

    @classmethod
    def decode(cls, data: bytes | None, broker_id: int) -> BrokerNode:
        """Any version; version 1 knows host and port only, and without a map a listener's name is its protocol."""
        path = cls.path(broker_id)
        node = json_object(path, data)
        version = field_of(node, path, "version", int)
        if version < 1:
            raise Garbage(path, f"version {version}")
        if version == 1:
            host, port = field_of(node, path, "host", str), field_of(node, path, "port", int)
            endpoints = [Endpoint("PLAINTEXT", "PLAINTEXT", host, port)]
        else:
            protocols = node.get("listener_security_protocol_map") or {}
            texts = field_of(node, path, "endpoints", list)
            if not isinstance(protocols, dict):
                raise Garbage(path, "listener_security_protocol_map is no object")
            endpoints = [_endpoint(path, text, protocols) for text in texts]
        rack = node.get("rack")
        stamp = node.get("timestamp", "")
        return cls(
            endpoints=tuple(endpoints),
            rack=rack if isinstance(rack, str) else None,
            timestamp_ms=int(stamp) if isinstance(stamp, str) and stamp.isascii() and stamp.isdigit() else 0,
            jmx_port=node["jmx_port"] if isinstance(node.get("jmx_port"), int) else -1,
            extra={key: value for key, value in node.items() if key not in cls.KNOWN},
        )


@dataclass(frozen=True, slots=True)
class LogDirEvent:
    """A broker tells that it has lost a log directory: a sequential znode, which the controller deletes."""

    broker_id: int

    PREFIX = "log_dir_event_"

    @staticmethod
    def directory() -> str:
        """The parent of them all."""
        return "/log_dir_event_notification"

    def encode(self) -> bytes:
        """Version 1; event 1 is the loss of a directory, and there is no other."""
        return to_json({"version": 1, "broker": self.broker_id, "event": 1})


def _endpoint(path: str, text: Any, protocols: Mapping[str, Any]) -> Endpoint:
    if isinstance(text, str):
        listener, separator, address = text.partition("://")
        host, colon, port = address.rpartition(":")
        if separator and colon and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536:
            protocol = protocols.get(listener, listener)
            return Endpoint(listener, str(protocol), host.removeprefix("[").removesuffix("]"), int(port))
    raise Garbage(path, f"no endpoint: {shortened(text)}")
