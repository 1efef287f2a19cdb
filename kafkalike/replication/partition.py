"""One partition on this broker: leader or follower, in-sync replicas, high watermark.

Pure: log end offsets, times and what LeaderAndIsr says come in as arguments. `Replicas` keeps one of these beside each
log, wakes waiting requests when a method says that the high watermark moved, and carries proposals to the controller.

Rules kept here, named as in Kafka's history: the high watermark moves only up, over replicas in the *maximal* ISR
(committed, or proposed and not yet answered; KIP-497, KAFKA-12686), that have fetched under the present leader epoch
(KIP-320), and not while fewer than min.insync.replicas are in sync (KAFKA-15583). The ISR grows only by a follower that
has reached the high watermark and the start of the leader's own epoch, and one change of it is under way at a time.
Being behind is measured in time, not in records (KAFKA-7152).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kafkalike.cluster.znodes.topics import NO_LEADER
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages.alter_partition import ResponsePartitionData
from kafkalike.protocol.messages.leader_and_isr import LeaderAndIsrPartitionState

UNKNOWN = -1  # a follower's log end offset before its first fetch in this epoch; a broker epoch nobody told


class Follower:
    """What the leader knows about another replica."""

    __slots__ = (
        "log_start_offset", "log_end_offset", "caught_up_ms", "last_fetch_ms", "leader_end_at_last_fetch",
        "broker_epoch",
    )  # fmt: skip

    def __init__(self, caught_up_ms: int) -> None:
        self.log_start_offset = UNKNOWN
        self.log_end_offset = UNKNOWN
        self.caught_up_ms = caught_up_ms
        self.last_fetch_ms = 0
        self.leader_end_at_last_fetch = 0
        self.broker_epoch = UNKNOWN

    def asked_until(self, now_ms: int) -> None:
        """Notes that a follower went on fetching, and had all records, until then."""
        self.caught_up_ms = max(self.caught_up_ms, now_ms)
        self.last_fetch_ms = max(self.last_fetch_ms, now_ms)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An ISR that the leader asks the controller for. `epochs` are the members' broker epochs, as far as known."""

    leader_epoch: int
    partition_epoch: int
    isr: tuple[int, ...]
    epochs: tuple[int, ...]


class Partition:
    """What this broker believes about a partition of which it has a replica."""

    __slots__ = (
        "broker_id", "topic", "index", "leader", "leader_epoch", "epoch_start", "partition_epoch", "controller_epoch",
        "replicas", "isr", "proposal", "followers", "high_watermark", "min_insync_replicas", "deposed_ms",
        "reassigning", "_alone",
    )  # fmt: skip

    def __init__(
        self, broker_id: int, topic: str, index: int, high_watermark: int, min_insync_replicas: int = 1
    ) -> None:
        self.broker_id = broker_id
        self.topic = topic
        self.index = index
        self.leader = NO_LEADER
        self.leader_epoch = -1
        self.epoch_start = -1
        self.partition_epoch = -1
        self.controller_epoch = -1
        self.replicas: tuple[int, ...] = ()
        self.isr: tuple[int, ...] = ()
        self.proposal: Proposal | None = None
        self.followers: dict[int, Follower] = {}
        self.high_watermark = high_watermark
        self.min_insync_replicas = min_insync_replicas
        self.deposed_ms = 0  # when this broker ceased to lead
        self.reassigning = False  # whether replicas are being added or removed
        self._alone = False

    @property
    def leading(self) -> bool:
        """Whether this broker leads."""
        return self.leader == self.broker_id

    # What the controller says

    def assign(self, state: LeaderAndIsrPartitionState, log_end_offset: int, now_ms: int) -> bool:
        """Takes over a partition state of LeaderAndIsr; False when it is not newer than ours (nothing changes then)."""
        if state.leader_epoch <= self.leader_epoch:
            return False
        was_leading = self.leading
        led_the_epoch_before = was_leading and state.leader_epoch == self.leader_epoch + 1
        self.leader = state.leader
        self.leader_epoch = state.leader_epoch
        self.partition_epoch = state.partition_epoch
        self.controller_epoch = state.controller_epoch
        self.replicas = tuple(state.replicas)
        self.reassigning = bool(state.adding_replicas or state.removing_replicas)
        self.proposal = None
        self._alone = False
        if not self.leading:
            if was_leading:
                self.deposed_ms = now_ms
            self.isr = ()
            self.followers = {}
            return True
        self.isr = tuple(state.isr)
        self.epoch_start = log_end_offset
        # A member of the ISR that is no replica any more counts until it has left: a new controller may read of it as a
        # replica still, and elect it.
        members = dict.fromkeys((*self.replicas, *self.isr))
        self._alone = list(members) == [self.broker_id]
        # An epoch that this broker never heard of may have had another leader, after whom a follower has cut its log.
        known = self.followers if led_the_epoch_before else {}
        self.followers = {}
        for replica in members:
            if replica == self.broker_id:
                continue
            follower = self.followers[replica] = Follower(now_ms if replica in self.isr else 0)
            if replica in known:
                # The same leader under a new epoch: what was fetched from it is still its log.
                follower.log_end_offset = known[replica].log_end_offset
                follower.leader_end_at_last_fetch = log_end_offset
                follower.broker_epoch = known[replica].broker_epoch
        return True

    def retire(self) -> None:
        """Ends the partition's part in replication, as the broker has no replica of it any more."""
        self.leader = NO_LEADER
        self.proposal = None

    # Checks for requests

    def check_leading(self) -> None:
        """Raises NOT_LEADER_OR_FOLLOWER unless this broker leads."""
        if self.leader != self.broker_id:
            raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)

    def check_epoch(self, current_leader_epoch: int) -> None:
        """Compares the leader epoch that a client knows (-1: none) with ours (KIP-320)."""
        if current_leader_epoch in (-1, self.leader_epoch):
            return
        if current_leader_epoch < self.leader_epoch:
            raise KafkaError(Error.FENCED_LEADER_EPOCH)
        raise KafkaError(Error.UNKNOWN_LEADER_EPOCH)

    @property
    def effective_min_isr(self) -> int:
        """min.insync.replicas, but never more than there are replicas."""
        return min(self.min_insync_replicas, len(self.replicas))

    def check_replicas(self) -> None:
        """Checks acks=all before the append; raises NOT_ENOUGH_REPLICAS when too few replicas are in sync."""
        if len(self.isr) < self.effective_min_isr:
            raise KafkaError(
                Error.NOT_ENOUGH_REPLICAS,
                f"The size of the current ISR {set(self.isr)} is insufficient to satisfy the min.isr requirement of "
                f"{self.min_insync_replicas} for partition {self.topic}-{self.index}",
            )

    def replicated(self, last_offset: int) -> Error | None:
        """The outcome of acks=all after the append: None while the record is not on every in-sync replica."""
        if self.leader != self.broker_id:
            return Error.NOT_LEADER_OR_FOLLOWER
        if self.high_watermark <= last_offset:
            return None
        if not self._alone and len(self.maximal_isr) < self.effective_min_isr:
            return Error.NOT_ENOUGH_REPLICAS_AFTER_APPEND
        return Error.NONE

    # The high watermark

    @property
    def maximal_isr(self) -> frozenset[int]:
        """The committed ISR and, while a change is under way, the members that it would add."""
        return frozenset(self.isr if self.proposal is None else self.isr + self.proposal.isr)

    def advance(
        self,
        log_end_offset: int,
        now_ms: int = 0,
        lag_ms: int = 0,
        alive: Callable[[int], bool] = lambda broker_id: True,
    ) -> bool:
        """The leader's log end, a follower's, or the ISR changed: True when the high watermark moved up with it.

        A follower that is about to join the ISR is waited for too, as in Kafka, or it could never catch up; unless its
        broker is not `alive`.
        """
        if self._alone:
            mark = log_end_offset
        else:
            if self.leader != self.broker_id or len(self.isr) < self.effective_min_isr:
                return False
            mark = log_end_offset
            members = self.isr if self.proposal is None else self.maximal_isr
            for broker_id, follower in self.followers.items():
                if follower.log_end_offset < mark and (
                    broker_id in members or (now_ms - follower.caught_up_ms <= lag_ms and alive(broker_id))
                ):
                    mark = follower.log_end_offset
        if mark <= self.high_watermark:
            return False
        self.high_watermark = mark
        return True

    def follow(self, leader_high_watermark: int, log_end_offset: int) -> bool:
        """Takes over the leader's high watermark, as far as the follower's log reaches. True when it moved up."""
        mark = min(leader_high_watermark, log_end_offset)
        if mark <= self.high_watermark:
            return False
        self.high_watermark = mark
        return True

    def truncated(self, log_end_offset: int) -> None:
        """Our log was cut: the high watermark is never above its end."""
        self.high_watermark = min(self.high_watermark, log_end_offset)

    # Followers

    def check_follower(self, broker_id: int, broker_epoch: int, leader_epoch: int = UNKNOWN) -> None:
        """A fetch of a follower: it must be an assigned replica, and not an earlier life of one we have heard of."""
        follower = self.followers.get(broker_id)
        if follower is None and leader_epoch != UNKNOWN:
            # The follower knows this leader's epoch: it may have heard of its assignment first, and is to fetch again.
            raise KafkaError(Error.UNKNOWN_LEADER_EPOCH)
        if follower is None or (broker_epoch != UNKNOWN and broker_epoch < follower.broker_epoch):
            raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)

    def fetched(self, broker_id: int, fetch_offset: int, broker_epoch: int, log_end_offset: int, now_ms: int) -> None:
        """A follower asked for records from `fetch_offset` on: it has all before. (`check_follower` has passed.)"""
        follower = self.followers[broker_id]
        if broker_epoch > follower.broker_epoch:
            if follower.broker_epoch != UNKNOWN:
                # Started anew: what it had been given before may be gone (KIP-903).
                follower.caught_up_ms = 0
            follower.broker_epoch = broker_epoch
        if fetch_offset >= log_end_offset:
            follower.caught_up_ms = max(follower.caught_up_ms, now_ms)
        elif fetch_offset >= follower.leader_end_at_last_fetch and follower.last_fetch_ms:
            follower.caught_up_ms = max(follower.caught_up_ms, follower.last_fetch_ms)
        follower.log_end_offset = fetch_offset
        follower.leader_end_at_last_fetch = log_end_offset
        follower.last_fetch_ms = now_ms

    def joiner(self, broker_id: int, log_start_offset: int) -> bool:
        """Whether this follower may enter the ISR now. It takes over our log's start first: below, nothing here tells
        any more whether its records are those that were committed, and as a leader it would show them."""
        if self.proposal is not None or broker_id in self.isr or not self.leading:
            return False
        follower = self.followers[broker_id]
        if UNKNOWN != follower.log_start_offset < log_start_offset:
            return False
        return follower.log_end_offset >= self.high_watermark and follower.log_end_offset >= self.epoch_start

    def laggards(self, log_end_offset: int, now_ms: int, lag_ms: int) -> tuple[int, ...]:
        """Members of the ISR that have been behind for too long."""
        if not self.leading or self.proposal is not None:
            return ()
        return tuple(
            broker_id
            for broker_id in self.isr
            if broker_id in self.followers
            and self.followers[broker_id].log_end_offset != log_end_offset
            and now_ms - self.followers[broker_id].caught_up_ms > lag_ms
        )

    def preferred_replica(self, offset: int, rack: str, rack_of: Callable[[int], str | None]) -> int:
        """Where a consumer in `rack` should read from `offset` on (KIP-392): here, if this broker is in that rack or
        nobody there will do; else the in-sync replica of the rack that has most."""
        if rack_of(self.broker_id) == rack:
            return self.broker_id
        candidates = [
            (follower.log_end_offset, follower.caught_up_ms, -broker_id)
            for broker_id, follower in self.followers.items()
            if broker_id in self.isr and follower.log_end_offset >= offset and rack_of(broker_id) == rack
        ]
        return -max(candidates)[2] if candidates else self.broker_id

    # Changes of the ISR

    def propose(self, isr: tuple[int, ...]) -> Proposal:
        """Begins a change of the ISR; until it is answered no other begins."""
        assert self.leading and self.proposal is None, "one change at a time, by the leader"
        epochs = tuple(self.followers[b].broker_epoch if b in self.followers else UNKNOWN for b in isr)
        self.proposal = Proposal(self.leader_epoch, self.partition_epoch, isr, epochs)
        return self.proposal

    def answered(self, proposal: Proposal, answer: ResponsePartitionData) -> bool:
        """The controller answered a proposal. True when it has to be sent again.

        `answer` has error_code, leader_epoch, isr and partition_epoch, as in AlterPartition's response.
        """
        if self.proposal is not proposal:
            return False
        error = Error(answer.error_code)
        if error is Error.NONE:
            if answer.leader_epoch == self.leader_epoch and answer.partition_epoch >= self.partition_epoch:
                self.isr = tuple(answer.isr)
                self.partition_epoch = answer.partition_epoch
                self.proposal = None
            return False
        if error in (Error.OPERATION_NOT_ATTEMPTED, Error.INELIGIBLE_REPLICA):
            self.proposal = None
            return False
        return error not in STALE


# Answers to a proposal after which only the next LeaderAndIsr helps: what we believe is out of date.
STALE = frozenset(
    (
        Error.UNKNOWN_TOPIC_OR_PARTITION,
        Error.UNKNOWN_TOPIC_ID,
        Error.FENCED_LEADER_EPOCH,
        Error.INVALID_UPDATE_VERSION,
        Error.INVALID_REQUEST,
    )
)
