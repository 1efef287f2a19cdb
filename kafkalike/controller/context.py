"""What the controller believes: brokers, topics, replicas, leaders, and the states of the two state machines.

failover.py fills the context from the znodes, the steps alone change it, and the controller throws it away when
another controller is elected. Invariant: a partition has a state exactly when its topic has an assignment for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.topics import NO_TOPIC_ID, Assignment, PartitionNode

Partition = tuple[str, int]
Replica = tuple[str, int, int]

INITIAL_LEADER_EPOCH = 0


class PartitionState(Enum):
    """NEW has an assignment and no leader yet; ONLINE has a leader; OFFLINE lost it."""

    NONEXISTENT = "NonExistentPartition"
    NEW = "NewPartition"
    ONLINE = "OnlinePartition"
    OFFLINE = "OfflinePartition"


class ReplicaState(Enum):
    """The state of one replica; the last three belong to its deletion."""

    NONEXISTENT = "NonExistentReplica"
    NEW = "NewReplica"
    ONLINE = "OnlineReplica"
    OFFLINE = "OfflineReplica"
    DELETION_STARTED = "ReplicaDeletionStarted"
    DELETION_SUCCESSFUL = "ReplicaDeletionSuccessful"
    DELETION_INELIGIBLE = "ReplicaDeletionIneligible"


@dataclass(frozen=True, slots=True)
class LiveBroker:
    """A registered broker; `epoch` is the czxid of its registration."""

    id: int
    epoch: int
    node: BrokerNode


@dataclass(frozen=True, slots=True)
class Leadership:
    """What a partition's state znode holds; `partition_epoch` is that znode's version."""

    leader: int
    leader_epoch: int
    isr: tuple[int, ...]
    controller_epoch: int
    partition_epoch: int
    recovering: bool = False
    former: tuple[int, ...] = ()
    suspects: tuple[int, ...] = ()

    @property
    def node(self) -> PartitionNode:
        """The contents of the znode."""
        return PartitionNode(
            self.leader,
            self.leader_epoch,
            self.isr,
            self.controller_epoch,
            self.recovering,
            self.former,
            self.suspects,
        )


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where a replica's whole log ends, or its records of one leader epoch: the last record's epoch, and the offset
    after it. The broker said so while it was registered under `broker_epoch`."""

    broker_epoch: int
    leader_epoch: int
    offset: int


@dataclass
class Context:
    """All that one controller believes during its term."""

    controller_id: int
    epoch: int
    # Two keys of the configuration: unclean.leader.election.enable and delete.topic.enable.
    unclean_by_default: bool = False
    deletion_enabled: bool = True
    # A key that Kafka does not have: unclean.recovery.timeout.ms.
    unclean_recovery_ms: int = 60_000
    # leader.imbalance.check.interval.seconds (0 without automatic rebalancing), and
    # leader.imbalance.per.broker.percentage.
    balance_ms: int = 0
    imbalance_percentage: int = 10
    brokers: dict[int, LiveBroker] = field(default_factory=dict)
    # Brokers that are registered although nobody listens at their addresses. They are not among `brokers`.
    presumed_dead: dict[int, LiveBroker] = field(default_factory=dict)
    shutting_down: set[int] = field(default_factory=set)
    # Replicas on a log directory that has failed, by broker.
    offline_replicas: dict[int, set[Partition]] = field(default_factory=dict)
    topic_ids: dict[str, bytes] = field(default_factory=dict)
    assignments: dict[str, dict[int, Assignment]] = field(default_factory=dict)
    unreadable_topics: set[str] = field(
        default_factory=set
    )  # topics whose znodes hold garbage; no other field has them
    # Partitions whose state znodes are there and cannot be used: somebody may lead them, and it is not known who.
    unusable_states: set[Partition] = field(default_factory=set)
    leaderships: dict[Partition, Leadership] = field(default_factory=dict)
    partition_states: dict[Partition, PartitionState] = field(default_factory=dict)
    replica_states: dict[Replica, ReplicaState] = field(default_factory=dict)
    topics_to_delete: set[str] = field(default_factory=set)
    deletion_started: set[str] = field(default_factory=set)
    deletion_ineligible: set[str] = field(default_factory=set)
    # The comparison of suspects' logs (unclean_recovery.py): the ends that are known, which replicas were asked for
    # which end (of an epoch, or of the whole log) in which life of their broker, the partitions that still wait for
    # answers, and those that have waited long enough.
    log_ends: dict[Partition, dict[tuple[int, int], LogEnd]] = field(default_factory=dict)
    asked_for_end: dict[Partition, set[tuple[int, int, int]]] = field(default_factory=dict)
    comparing: dict[Partition, int] = field(default_factory=dict)  # the serial number of each one's comparison
    comparisons: int = 0
    given_up_waiting: set[Partition] = field(default_factory=set)

    # Brokers.

    @property
    def live(self) -> set[int]:
        """The brokers that are registered and are not shutting down."""
        return self.brokers.keys() - self.shutting_down

    @property
    def live_or_shutting_down(self) -> set[int]:
        """The brokers that control requests go to."""
        return set(self.brokers)

    def is_online(self, broker_id: int, partition: Partition, even_shutting_down: bool = False) -> bool:
        """Whether a replica could lead: its broker is live, its log directory has not failed."""
        alive = broker_id in self.brokers and (even_shutting_down or broker_id not in self.shutting_down)
        return alive and partition not in self.offline_replicas.get(broker_id, ())

    # Topics and partitions.

    def assignment(self, partition: Partition) -> Assignment:
        """The partition's replicas; none when it is unknown."""
        return self.assignments.get(partition[0], {}).get(partition[1], Assignment(()))

    def replicas_of(self, partition: Partition) -> tuple[int, ...]:
        """The partition's assigned brokers."""
        return self.assignment(partition).replicas

    def partitions_of(self, topics: Iterable[str]) -> list[Partition]:
        """All partitions of some topics, in order."""
        return [(topic, p) for topic in topics for p in sorted(self.assignments.get(topic, ()))]

    def has_leaderships(self, topic: str) -> bool:
        """Whether any partition of the topic has been led, so that the parent of their states is there."""
        return any((topic, p) in self.leaderships for p in self.assignments.get(topic, ()))

    def every_topic_is_known(self) -> bool:
        """Whether no topic may have leaders that are not known: each topic's znode can be read, and of each topic with
        a state znode that cannot be used another partition's leadership is known. A topic that never had a leader has
        nothing that could be known."""
        if self.unreadable_topics:
            return False
        known = {topic for topic, _ in self.leaderships}
        return all(topic in known for topic, _ in self.unusable_states)

    def all_partitions(self) -> list[Partition]:
        """Every partition."""
        return self.partitions_of(sorted(self.assignments))

    def replicas_on(self, broker_ids: Iterable[int]) -> list[Replica]:
        """Every replica that is assigned to one of these brokers."""
        wanted = set(broker_ids)
        return [(t, p, r) for t, p in self.all_partitions() for r in self.replicas_of((t, p)) if r in wanted]

    def replicas_of_topic(self, topic: str) -> list[Replica]:
        """Every replica of a topic."""
        return [(t, p, r) for t, p in self.partitions_of([topic]) for r in self.replicas_of((t, p))]

    def topic_id(self, topic: str) -> bytes:
        """The topic's id, all zero when it has none."""
        return self.topic_ids.get(topic, NO_TOPIC_ID)

    def topic_named(self, topic_id: bytes) -> str | None:
        """The topic that has this id."""
        return next((topic for topic, known in self.topic_ids.items() if known == topic_id), None)

    def is_being_deleted(self, topic: str) -> bool:
        """Whether the topic is queued for deletion."""
        return topic in self.topics_to_delete

    def being_reassigned(self, topic: str) -> bool:
        """Whether any partition of the topic is being moved to other brokers."""
        return any(assignment.being_reassigned for assignment in self.assignments.get(topic, {}).values())

    def partitions_led_by(self, broker_ids: Iterable[int]) -> list[Partition]:
        """The partitions that one of these brokers leads, without those of topics that are being deleted."""
        leaders = set(broker_ids)
        return [
            partition
            for partition, leadership in sorted(self.leaderships.items())
            if leadership.leader in leaders and not self.is_being_deleted(partition[0])
        ]

    def partitions_in(self, *states: PartitionState) -> list[Partition]:
        """The partitions that are in one of these states."""
        return sorted(partition for partition, state in self.partition_states.items() if state in states)

    def end_comparison(self, partition: Partition) -> None:
        """Forgets what replicas answered about their logs: by the next comparison the logs will reach elsewhere."""
        self.comparing.pop(partition, None)
        self.given_up_waiting.discard(partition)
        self.log_ends.pop(partition, None)
        self.asked_for_end.pop(partition, None)

    def set_assignment(self, partition: Partition, assignment: Assignment) -> None:
        """Replaces one partition's assignment; the topic need not be known before."""
        topic, number = partition
        self.assignments.setdefault(topic, {})[number] = assignment
        self.partition_states.setdefault(partition, PartitionState.NONEXISTENT)

    def forget_topic(self, topic: str) -> None:
        """Drops everything about a topic."""
        for partition in self.partitions_of([topic]):
            self.partition_states.pop(partition, None)
            self.leaderships.pop(partition, None)
            self.unusable_states.discard(partition)
            self.end_comparison(partition)
            for broker_id in self.offline_replicas:
                self.offline_replicas[broker_id].discard(partition)
        for replica in [replica for replica in self.replica_states if replica[0] == topic]:
            del self.replica_states[replica]
        self.assignments.pop(topic, None)
        self.topic_ids.pop(topic, None)
        self.topics_to_delete.discard(topic)
        self.deletion_started.discard(topic)
        self.deletion_ineligible.discard(topic)

    # Replicas.

    def replica_state(self, replica: Replica) -> ReplicaState:
        """The state of one replica."""
        return self.replica_states.get(replica, ReplicaState.NONEXISTENT)

    def replicas_in(self, topic: str, state: ReplicaState) -> list[Replica]:
        """The topic's replicas in one state."""
        return [replica for replica in self.replicas_of_topic(topic) if self.replica_state(replica) is state]


def shown(partitions: list[Partition]) -> str:
    """The partitions' names for a log line; of many, those of the first ten."""
    names = ", ".join(f"{topic}-{p}" for topic, p in partitions[:10])
    return names if len(partitions) <= 10 else f"{names} and {len(partitions) - 10} more"
