"""Topics: the replicas assigned to each partition, and each partition's leader and ISR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafkalike.cluster.znodes.encoding import (
    Garbage,
    broker_ids,
    decode_uuid,
    encode_uuid,
    field_of,
    json_object,
    numbers,
    shortened,
    to_json,
)

ISR_CHANGES = "/isr_change_notification"

NO_LEADER = -1
NO_TOPIC_ID = bytes(16)


@dataclass(frozen=True, slots=True)
class Assignment:
    """The replicas of one partition, the preferred leader first; `adding` and `removing` during a reassignment."""

    replicas: tuple[int, ...]
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()

    @property
    def being_reassigned(self) -> bool:
        """Whether replicas are being added or removed."""
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
        """The assignment during a reassignment to `target` from the origin, whatever the target was before."""
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
        return f"/brokers/topics/{topic}"

    @staticmethod
    def directory() -> str:
        """The parent of them all."""
        return "/brokers/topics"

    @staticmethod
    def partitions_path(topic: str) -> str:
        """The parent of the partitions' nodes."""
        return f"/brokers/topics/{topic}/partitions"

    def encode(self) -> bytes:
        """Version 3."""
        node: dict[str, Any] = {"partitions": {str(p): list(a.replicas) for p, a in self.partitions.items()}}
        if self.topic_id != NO_TOPIC_ID:
            node["topic_id"] = encode_uuid(self.topic_id)
        node["adding_replicas"] = {str(p): list(a.adding) for p, a in self.partitions.items() if a.adding}
        node["removing_replicas"] = {str(p): list(a.removing) for p, a in self.partitions.items() if a.removing}
        node["version"] = 3
        return to_json(node)

    @classmethod
    def decode(cls, data: bytes | None, topic: str) -> TopicNode:
        """Versions 1 to 3."""
        path = cls.path(topic)
        node = json_object(path, data)
        replicas = _replica_map(path, field_of(node, path, "partitions", dict))
        adding = _replica_map(path, node.get("adding_replicas") or {})
        removing = _replica_map(path, node.get("removing_replicas") or {})
        topic_id = NO_TOPIC_ID
        if node.get("topic_id") is not None:
            try:
                topic_id = decode_uuid(field_of(node, path, "topic_id", str))
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
        leader = self.leader if self.leader in isr else NO_LEADER
        kept = isr or self.isr
        suspects = tuple(i for i in self.suspects if i in kept)
        return PartitionNode(
            leader, self.leader_epoch + 1, kept, controller_epoch, self.recovering, self._former(kept), suspects
        )

    def suspecting(self, suspects: tuple[int, ...], controller_epoch: int) -> PartitionNode:
        """The state when no other member is live: the suspects stay in the ISR, and do not lead any more."""
        leader = NO_LEADER if self.leader in suspects else self.leader
        return PartitionNode(
            leader, self.leader_epoch + 1, self.isr, controller_epoch, self.recovering, self.former, suspects
        )

    def _former(self, isr: tuple[int, ...]) -> tuple[int, ...]:
        earlier = [i for i in self.former if i not in isr and i not in self.isr]
        return (*earlier, *sorted(set(self.isr).difference(isr)))

    @staticmethod
    def parent(topic: str, partition: int) -> str:
        """/brokers/topics/T/partitions/P"""
        return f"/brokers/topics/{topic}/partitions/{partition}"

    @staticmethod
    def path(topic: str, partition: int) -> str:
        """/brokers/topics/T/partitions/P/state"""
        return f"/brokers/topics/{topic}/partitions/{partition}/state"

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
        return to_json(node)

    @classmethod
    def decode(cls, data: bytes | None, topic: str, partition: int) -> PartitionNode:
        """Decodes the state; only the recovery state and the keys that Kafka does not have may be absent."""
        path = cls.path(topic, partition)
        node = json_object(path, data)
        return cls(
            leader=field_of(node, path, "leader", int),
            leader_epoch=field_of(node, path, "leader_epoch", int),
            isr=broker_ids(path, node.get("isr")),
            controller_epoch=field_of(node, path, "controller_epoch", int),
            recovering=node.get("leader_recovery_state", 0) == 1,
            former=broker_ids(path, node.get("former_isr", [])),
            suspects=broker_ids(path, node.get("suspect_isr", [])),
        )


def _replica_map(path: str, value: Any) -> dict[int, tuple[int, ...]]:
    if not isinstance(value, dict):
        raise Garbage(path, f"no map of replicas: {shortened(value)}")
    if len(numbers(value)) != len(value):
        raise Garbage(path, f"a partition is no number: {shortened(value)}")
    return {int(key): broker_ids(path, ids) for key, ids in value.items()}
