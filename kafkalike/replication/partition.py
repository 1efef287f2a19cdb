"""One partition on this broker: leader or follower, in-sync replicas, high watermark.

Pure: log end offsets come in as numbers. `Replicas` keeps one of these beside each log and wakes waiting requests when
a method says that the high watermark moved. Invariant: log start offset <= high watermark <= log end offset.
"""

from __future__ import annotations

from typing import Any

from kafkalike.errors import Error, KafkaError

NO_LEADER = -1


class Partition:
    """What this broker believes about a partition of which it has a replica."""

    __slots__ = (
        "broker_id", "topic", "index", "leader", "leader_epoch", "partition_epoch", "controller_epoch", "replicas",
        "isr", "high_watermark",
    )  # fmt: skip

    def __init__(self, broker_id: int, topic: str, index: int, high_watermark: int) -> None:
        self.broker_id = broker_id
        self.topic = topic
        self.index = index
        self.leader = NO_LEADER
        self.leader_epoch = -1
        self.partition_epoch = -1
        self.controller_epoch = -1
        self.replicas: tuple[int, ...] = ()
        self.isr: tuple[int, ...] = ()
        self.high_watermark = high_watermark

    @property
    def leading(self) -> bool:
        """Whether this broker leads."""
        return self.leader == self.broker_id

    def assign(self, state: Any) -> bool:
        """Takes over a partition state of LeaderAndIsr; False when it is not newer than ours (nothing changes then)."""
        if state.leader_epoch <= self.leader_epoch:
            return False
        self.leader = state.leader
        self.leader_epoch = state.leader_epoch
        self.partition_epoch = state.partition_epoch
        self.controller_epoch = state.controller_epoch
        self.replicas = tuple(state.replicas)
        self.isr = tuple(state.isr)
        return True

    def check_leading(self) -> None:
        """Raises NOT_LEADER_OR_FOLLOWER unless this broker leads."""
        if self.leader != self.broker_id:
            raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)

    def check_epoch(self, current_leader_epoch: int) -> None:
        """Compares the leader epoch that a client knows (-1: none) with ours (KIP-320)."""
        if current_leader_epoch < 0 or current_leader_epoch == self.leader_epoch:
            return
        if current_leader_epoch < self.leader_epoch:
            raise KafkaError(Error.FENCED_LEADER_EPOCH)
        raise KafkaError(Error.UNKNOWN_LEADER_EPOCH)

    def check_replicas(self, min_insync_replicas: int) -> None:
        """For acks=all, before the append: raises NOT_ENOUGH_REPLICAS when too few replicas are in sync."""
        if len(self.isr) < min(min_insync_replicas, len(self.replicas)):
            raise KafkaError(
                Error.NOT_ENOUGH_REPLICAS,
                f"The size of the current ISR {set(self.isr)} is insufficient to satisfy the min.isr requirement of "
                f"{min_insync_replicas} for partition {self.topic}-{self.index}",
            )

    def advance(self, log_end_offset: int) -> bool:
        """The leader's log end moved, or the ISR changed: True when the high watermark moved up with it."""
        if self.isr != (self.broker_id,) or log_end_offset <= self.high_watermark:
            return False
        self.high_watermark = log_end_offset
        return True
