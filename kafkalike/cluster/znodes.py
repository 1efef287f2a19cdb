"""What this project writes to ZooKeeper and reads from it: one class per znode, with its path, encode and decode.

The form is Apache Kafka 3.9's in ZooKeeper mode, key for key, so that either can read the other's. Rules that are
easily broken: parents carry null data, never empty bytes; the version in /cluster/id is a string; time stamps are
strings in /controller and /brokers/ids, and so are block_start and block_end in /latest_producer_id_block.

`decode` raises `Garbage` for anything that cannot be meant. Whoever reads a znode logs that in one line and goes on as
if the node had said nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NO_LEADER = -1
NO_TOPIC_ID = bytes(16)

# Made by every broker at start, in this order, each with its parents and null data.
TOP_LEVEL = (
    "/consumers",
    "/brokers/ids",
    "/brokers/topics",
    "/config/changes",
    "/admin/delete_topics",
    "/brokers/seqid",
    "/isr_change_notification",
    "/latest_producer_id_block",
    "/log_dir_event_notification",
    "/config/topics",
    "/config/clients",
    "/config/users",
    "/config/brokers",
    "/config/ips",
)

BROKER_IDS = "/brokers/ids"
BROKER_SEQUENCE = "/brokers/seqid"
TOPICS = "/brokers/topics"
DELETE_TOPICS = "/admin/delete_topics"
ISR_CHANGES = "/isr_change_notification"
LOG_DIR_EVENTS = "/log_dir_event_notification"


class Garbage(ValueError):
    """A znode holds what its format does not allow."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"znode {path} is ignored: {why}")


def encode_uuid(uuid: bytes) -> str:
    """16 bytes as Kafka prints them: 22 characters of URL-safe base64."""
    return base64.urlsafe_b64encode(uuid).decode().rstrip("=")


def decode_uuid(text: str) -> bytes:
    """The opposite; ValueError when it is no UUID."""
    uuid = base64.urlsafe_b64decode(text + "==")
    if len(uuid) != 16 or not text.isascii():
        raise ValueError(f"not a UUID: {text!r}")
    return uuid


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


class ClusterId:
    """The cluster's name, made by the first broker."""

    path = "/cluster/id"

    @staticmethod
    def encode(cluster_id: str) -> bytes:
        """`{"version":"1","id":...}`"""
        return _json({"version": "1", "id": cluster_id})

    @classmethod
    def decode(cls, data: bytes | None) -> str:
        """The id."""
        cluster_id: str = _get(_object(cls.path, data), cls.path, "id", str)
        return cluster_id


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
        return f"{BROKER_IDS}/{broker_id}"

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
        node = _object(BROKER_IDS, data)
        node.pop(cls.UNCLEAN, None)
        return _json(node)

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
        return _json(node | dict(self.extra))

    @classmethod
    def decode(cls, broker_id: int, data: bytes | None) -> BrokerNode:
        """Any version; version 1 knows host and port only, and without a map a listener's name is its protocol."""
        path = cls.path(broker_id)
        node = _object(path, data)
        version = _get(node, path, "version", int)
        if version < 1:
            raise Garbage(path, f"version {version}")
        if version == 1:
            host, port = _get(node, path, "host", str), _get(node, path, "port", int)
            endpoints = [Endpoint("PLAINTEXT", "PLAINTEXT", host, port)]
        else:
            protocols = node.get("listener_security_protocol_map") or {}
            texts = _get(node, path, "endpoints", list)
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
class ControllerNode:
    """Who the controller is. A positive `kraft_epoch` means that a migration to KRaft owns the cluster."""

    broker_id: int
    timestamp_ms: int = 0
    kraft_epoch: int = -1

    PATH = "/controller"

    def encode(self) -> bytes:
        """Version 2."""
        return _json(
            {
                "version": 2,
                "brokerid": self.broker_id,
                "timestamp": str(self.timestamp_ms),
                "kraftControllerEpoch": self.kraft_epoch,
            }
        )

    @classmethod
    def decode(cls, data: bytes | None) -> ControllerNode:
        """Version 1 has no kraftControllerEpoch."""
        node = _object(cls.PATH, data)
        kraft = node.get("kraftControllerEpoch", -1)
        return cls(_get(node, cls.PATH, "brokerid", int), 0, kraft if isinstance(kraft, int) else -1)


class ControllerEpoch:
    """How many controllers there have been. Its znode's version is what fences them."""

    path = "/controller_epoch"

    @staticmethod
    def encode(epoch: int) -> bytes:
        """Plain decimal text."""
        return b"%d" % epoch

    @classmethod
    def decode(cls, data: bytes | None) -> int:
        """The number."""
        text = (data or b"").strip()
        if not text.isdigit() or len(text) > 10 or not _is_int32(int(text)):
            raise Garbage(cls.path, f"not a number: {_short(data)}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Assignment:
    """The replicas of one partition, the preferred leader first; `adding` and `removing` during a reassignment."""

    replicas: tuple[int, ...]
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()

    @property
    def being_reassigned(self) -> bool:
        """Whether replicas are on their way in or out."""
        return bool(self.adding or self.removing)

    @property
    def origin(self) -> tuple[int, ...]:
        """The replicas before the reassignment."""
        return tuple(r for r in self.replicas if r not in self.adding)

    @property
    def target(self) -> tuple[int, ...]:
        """The replicas after it."""
        return tuple(r for r in self.replicas if r not in self.removing)

    def reassigned(self, target: tuple[int, ...]) -> Assignment:
        """On the way from where it began, whatever it was on the way to, to another target."""
        origin = self.origin
        replicas = tuple(dict.fromkeys((*target, *origin)))
        return Assignment(
            replicas, tuple(r for r in replicas if r not in origin), tuple(r for r in replicas if r not in target)
        )

    def without(self, replica: int) -> Assignment:
        """The assignment less one replica."""
        kept = [tuple(i for i in ids if i != replica) for ids in (self.replicas, self.adding, self.removing)]
        return Assignment(*kept)


@dataclass(frozen=True, slots=True)
class TopicNode:
    """A topic: its id (all zero when it has none yet) and the assignment of each partition."""

    partitions: Mapping[int, Assignment]
    topic_id: bytes = NO_TOPIC_ID

    @staticmethod
    def path(topic: str) -> str:
        """/brokers/topics/T"""
        return f"{TOPICS}/{topic}"

    @staticmethod
    def partitions_path(topic: str) -> str:
        """The parent of the partitions' nodes."""
        return f"{TOPICS}/{topic}/partitions"

    def encode(self) -> bytes:
        """Version 3."""
        node: dict[str, Any] = {"partitions": {str(p): list(a.replicas) for p, a in self.partitions.items()}}
        if self.topic_id != NO_TOPIC_ID:
            node["topic_id"] = encode_uuid(self.topic_id)
        node["adding_replicas"] = {str(p): list(a.adding) for p, a in self.partitions.items() if a.adding}
        node["removing_replicas"] = {str(p): list(a.removing) for p, a in self.partitions.items() if a.removing}
        node["version"] = 3
        return _json(node)

    @classmethod
    def decode(cls, topic: str, data: bytes | None) -> TopicNode:
        """Versions 1 to 3."""
        path = cls.path(topic)
        node = _object(path, data)
        replicas = _replica_map(path, _get(node, path, "partitions", dict))
        adding = _replica_map(path, node.get("adding_replicas") or {})
        removing = _replica_map(path, node.get("removing_replicas") or {})
        topic_id = NO_TOPIC_ID
        if node.get("topic_id") is not None:
            try:
                topic_id = decode_uuid(_get(node, path, "topic_id", str))
            except ValueError as error:
                raise Garbage(path, str(error)) from None
        return cls(
            {p: Assignment(ids, adding.get(p, ()), removing.get(p, ())) for p, ids in sorted(replicas.items())},
            topic_id,
        )


@dataclass(frozen=True, slots=True)
class PartitionNode:
    """The state of one partition. The version of this znode is the partition epoch."""

    leader: int
    leader_epoch: int
    isr: tuple[int, ...]
    controller_epoch: int
    recovering: bool = False
    # Two keys of ours, which Apache Kafka does not look at and does not keep. Who has left the ISR since the leader
    # last changed it and was not alone in it then, in the order in which they left: all that was acknowledged may be on
    # them too, on the last sooner than on the first. And which members of the ISR were started after an unclean stop.
    former: tuple[int, ...] = ()
    suspects: tuple[int, ...] = ()

    @property
    def trusted(self) -> tuple[int, ...]:
        """The members of the ISR that may be elected; a suspect leads only after a comparison of logs."""
        return tuple(i for i in self.isr if i not in self.suspects)

    def with_isr(self, isr: tuple[int, ...], controller_epoch: int, recovering: bool = False) -> PartitionNode:
        """The state after a change that the leader asked for: its epoch stays."""
        former = self._former(isr) if len(isr) == 1 else ()
        return PartitionNode(self.leader, self.leader_epoch, isr, controller_epoch, recovering, former)

    def elected(
        self, leader: int, isr: tuple[int, ...], controller_epoch: int, recovering: bool = False
    ) -> PartitionNode:
        """The state after an election."""
        former = () if recovering else self._former(isr)
        return PartitionNode(leader, self.leader_epoch + 1, isr, controller_epoch, recovering, former)

    def reduced(self, isr: tuple[int, ...], controller_epoch: int) -> PartitionNode:
        """The state after members were struck from the ISR; a leader that is not in it does not lead any more. An ISR
        of nobody is that of the last member."""
        leader = self.leader if self.leader in isr else -1
        kept = isr or self.isr
        suspects = tuple(i for i in self.suspects if i in kept)
        return PartitionNode(
            leader, self.leader_epoch + 1, kept, controller_epoch, self.recovering, self._former(kept), suspects
        )

    def suspecting(self, suspects: tuple[int, ...], controller_epoch: int) -> PartitionNode:
        """The state when nobody else is there: they stay in the ISR, and lead no more."""
        leader = -1 if self.leader in suspects else self.leader
        return PartitionNode(
            leader, self.leader_epoch + 1, self.isr, controller_epoch, self.recovering, self.former, suspects
        )

    def _former(self, isr: tuple[int, ...]) -> tuple[int, ...]:
        earlier = [i for i in self.former if i not in isr and i not in self.isr]
        return (*earlier, *sorted(set(self.isr).difference(isr)))

    @staticmethod
    def parent(topic: str, partition: int) -> str:
        """/brokers/topics/T/partitions/P"""
        return f"{TOPICS}/{topic}/partitions/{partition}"

    @staticmethod
    def path(topic: str, partition: int) -> str:
        """/brokers/topics/T/partitions/P/state"""
        return f"{TOPICS}/{topic}/partitions/{partition}/state"

    def encode(self) -> bytes:
        """Version 1; `leader_recovery_state` only while it is not recovered."""
        node: dict[str, Any] = {
            "controller_epoch": self.controller_epoch,
            "leader": self.leader,
            "version": 1,
            "leader_epoch": self.leader_epoch,
            "isr": list(self.isr),
        }
        if self.recovering:
            node["leader_recovery_state"] = 1
        if self.former:
            node["former_isr"] = list(self.former)
        if self.suspects:
            node["suspect_isr"] = list(self.suspects)
        return _json(node)

    @classmethod
    def decode(cls, topic: str, partition: int, data: bytes | None) -> PartitionNode:
        """All keys are needed but the recovery state and ours."""
        path = cls.path(topic, partition)
        node = _object(path, data)
        return cls(
            leader=_get(node, path, "leader", int),
            leader_epoch=_get(node, path, "leader_epoch", int),
            isr=_ids(path, node.get("isr")),
            controller_epoch=_get(node, path, "controller_epoch", int),
            recovering=node.get("leader_recovery_state", 0) == 1,
            former=_ids(path, node.get("former_isr", [])),
            suspects=_ids(path, node.get("suspect_isr", [])),
        )


class LogDirEvent:
    """A broker tells that it has lost a log directory; the controller deletes the node."""

    PREFIX = f"{LOG_DIR_EVENTS}/log_dir_event_"

    @staticmethod
    def encode(broker_id: int) -> bytes:
        """Version 1; event 1 is the loss of a directory, and there is no other."""
        return _json({"version": 1, "broker": broker_id, "event": 1})


class EntityConfig:
    """The dynamic configuration of a topic, broker, client, user or address."""

    @staticmethod
    def path(kind: str, name: str) -> str:
        """/config/<topics|brokers|clients|users|ips>/<name>"""
        return f"/config/{kind}/{name}"

    @staticmethod
    def encode(config: Mapping[str, str]) -> bytes:
        """Values are strings, whatever they mean."""
        return _json({"version": 1, "config": dict(config)})

    @classmethod
    def decode(cls, kind: str, name: str, data: bytes | None) -> dict[str, str]:
        """No node and no data mean an empty configuration. A number or a word that somebody wrote without quotes is
        taken as its text: whether the key can have it is not known here."""
        if data is None:
            return {}
        path = cls.path(kind, name)
        config: dict[str, Any] = _get(_object(path, data), path, "config", dict)
        return {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in config.items()
            if value is not None
        }


class ConfigChange:
    """A notification that an entity's configuration has changed: a sequential znode below /config/changes."""

    PARENT = "/config/changes"
    PREFIX = f"{PARENT}/config_change_"

    @staticmethod
    def encode(kind: str, name: str) -> bytes:
        """Version 2."""
        return _json({"version": 2, "entity_path": f"{kind}/{name}"})

    @staticmethod
    def decode(path: str, data: bytes | None) -> tuple[str, str]:
        """Kind and name. Version 1 has them apart, and knows topics and clients only."""
        node = _object(path, data)
        if node.get("version") == 1:
            return _get(node, path, "entity_type", str), _get(node, path, "entity_name", str)
        kind, slash, name = _get(node, path, "entity_path", str).partition("/")
        if not slash:
            raise Garbage(path, "no entity path")
        return kind, name


class DeleteTopicNode:
    """The order to delete a topic: it has no data."""

    @staticmethod
    def path(topic: str) -> str:
        """/admin/delete_topics/T"""
        return f"{DELETE_TOPICS}/{topic}"


class PreferredElectionNode:
    """Partitions whose leadership is to go back to the preferred replica: written by old tools."""

    PATH = "/admin/preferred_replica_election"

    @staticmethod
    def encode(partitions: Iterable[tuple[str, int]]) -> bytes:
        """Version 1."""
        return _json({"version": 1, "partitions": [{"topic": topic, "partition": p} for topic, p in partitions]})

    @classmethod
    def decode(cls, data: bytes | None) -> list[tuple[str, int]]:
        """In the order of the list, each once."""
        return list(dict.fromkeys((topic, p) for topic, p, _ in _partition_list(cls.PATH, data)))


class ReassignNode:
    """Partitions and the replicas that they are to have: written by old tools. What is done is taken out of it."""

    PATH = "/admin/reassign_partitions"

    @staticmethod
    def encode(wanted: Mapping[tuple[str, int], tuple[int, ...]]) -> bytes:
        """Version 1."""
        entries = [{"topic": topic, "partition": p, "replicas": list(ids)} for (topic, p), ids in wanted.items()]
        return _json({"version": 1, "partitions": entries})

    @classmethod
    def decode(cls, data: bytes | None) -> dict[tuple[str, int], tuple[int, ...]]:
        """The last entry for a partition counts."""
        found = _partition_list(cls.PATH, data)
        return {(topic, p): _ids(cls.PATH, entry.get("replicas")) for topic, p, entry in found}


class FeatureNode:
    """Finalized features: none in ZooKeeper mode, but brokers of Apache Kafka wait for the node."""

    path = "/feature"

    @staticmethod
    def encode() -> bytes:
        """Version 2, enabled, nothing finalized."""
        return _json({"features": {}, "version": 2, "status": 1})

    @classmethod
    def is_current(cls, data: bytes | None) -> bool:
        """Whether the node needs no rewriting."""
        try:
            node = _object(cls.path, data)
        except Garbage:
            return False
        return node.get("version") == 2 and node.get("status") == 1 and isinstance(node.get("features"), dict)


@dataclass(frozen=True, slots=True)
class ProducerIdBlock:
    """The newest block of producer ids and the broker that has it; `last` belongs to the block."""

    broker_id: int
    first: int
    last: int

    PATH = "/latest_producer_id_block"
    SIZE = 1000

    def encode(self) -> bytes:
        """The bounds are strings."""
        return _json(
            {"version": 1, "broker": self.broker_id, "block_start": str(self.first), "block_end": str(self.last)}
        )

    @classmethod
    def decode(cls, data: bytes | None) -> ProducerIdBlock | None:
        """None for null data: no block was given out yet. Empty bytes are garbage, as to Apache Kafka."""
        if data is None:
            return None
        node = _object(cls.PATH, data)
        first, last = (_get(node, cls.PATH, key, str) for key in ("block_start", "block_end"))
        # 18 digits are numbers of 64 bits, whatever they are.
        if not all(bound.isascii() and bound.isdigit() and len(bound) <= 18 for bound in (first, last)):
            raise Garbage(cls.PATH, "a bound is no number")
        return cls(_get(node, cls.PATH, "broker", int), int(first), int(last))

    @classmethod
    def after(cls, block: ProducerIdBlock | None, broker_id: int) -> ProducerIdBlock:
        """The block that follows."""
        first = block.last + 1 if block else 0
        return cls(broker_id, first, first + cls.SIZE - 1)


def _json(node: Mapping[str, Any]) -> bytes:
    return json.dumps(node, separators=(",", ":"), ensure_ascii=False).encode()


def _object(path: str, data: bytes | None) -> dict[str, Any]:
    try:
        node = json.loads(data or b"")
    except (ValueError, RecursionError):
        raise Garbage(path, f"no JSON: {_short(data)}") from None
    if not isinstance(node, dict):
        raise Garbage(path, f"no JSON object: {_short(data)}")
    return node


def _get(node: Mapping[str, Any], path: str, key: str, kind: type) -> Any:
    value = node.get(key)
    if not (_is_int32(value) if kind is int else isinstance(value, kind)):
        raise Garbage(path, f"{key} is {_short(value)}")
    return value


def _is_int32(value: Any) -> bool:
    """Every number in a znode has to fit into a field of the protocol."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


def _ids(path: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(map(_is_int32, value)):
        raise Garbage(path, f"no list of broker ids: {_short(value)}")
    return tuple(value)


def _replica_map(path: str, value: Any) -> dict[int, tuple[int, ...]]:
    if not isinstance(value, dict):
        raise Garbage(path, f"no map of replicas: {_short(value)}")
    if len(numbers(value)) != len(value):
        raise Garbage(path, f"a partition is no number: {_short(value)}")
    return {int(key): _ids(path, ids) for key, ids in value.items()}


def _partition_list(path: str, data: bytes | None) -> list[tuple[str, int, dict[str, Any]]]:
    found = []
    for entry in _get(_object(path, data), path, "partitions", list):
        if not isinstance(entry, dict):
            raise Garbage(path, f"no partition: {_short(entry)}")
        found.append((_get(entry, path, "topic", str), _get(entry, path, "partition", int), entry))
    return found


def _endpoint(path: str, text: Any, protocols: Mapping[str, Any]) -> Endpoint:
    if isinstance(text, str):
        listener, separator, address = text.partition("://")
        host, colon, port = address.rpartition(":")
        if separator and colon and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536:
            protocol = protocols.get(listener, listener)
            return Endpoint(listener, str(protocol), host.removeprefix("[").removesuffix("]"), int(port))
    raise Garbage(path, f"no endpoint: {_short(text)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def sequence_of(names: Iterable[str]) -> list[str]:
    """Children of a notification directory, oldest first."""
    return sorted(names, key=lambda name: name[-10:])


def numbers(names: Iterable[str]) -> list[int]:
    """Those of the names that a broker or a partition can have, in order."""
    decimals = [name for name in names if name.isascii() and name.isdigit() and len(name) <= 10]
    return sorted(number for number in map(int, decimals) if _is_int32(number))
