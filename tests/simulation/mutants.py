"""The product with one rule broken, each named after the row of the reliability reference that asks for the rule.

A mutant is a function that gives what is replaced: (owner, attribute, replacement). The seeds must find each of them;
one that they do not find is a hole in the simulation. `python -m tests.simulation --mutant NAME` looks for a seed that
finds it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet import defer

from kafkalike.cluster.membership import Membership
from kafkalike.cluster.znodes.topics import NO_LEADER
from kafkalike.controller import (
    broker_changes,
    election_strategies,
    failover,
    isr,
    leader_election,
    unclean_recovery,
    unclean_shutdown,
)
from kafkalike.controller.controller import Controller
from kafkalike.coordinator.group import Group, State
from kafkalike.coordinator.group_coordinator import GroupCoordinator
from kafkalike.coordinator.group_effects import Synced
from kafkalike.coordinator.group_partition import GroupPartition
from kafkalike.coordinator.internal_topic import InternalTopic
from kafkalike.coordinator.offsets import znode_commits, znode_offsets
from kafkalike.coordinator.offsets.znode_commits import ZnodeCommits
from kafkalike.errors import Error
from kafkalike.replication import follower, leadership, replicas
from kafkalike.replication.alter_partition import IsrProposals
from kafkalike.replication.control_requests import ControlRequests
from kafkalike.replication.follower import FollowedPartitions
from kafkalike.replication.isr import InSyncReplicas
from kafkalike.replication.leadership import Leadership
from kafkalike.replication.log_maintenance import LogMaintenance
from kafkalike.replication.partition import Partition
from kafkalike.replication.replicas import Read, Replicas
from kafkalike.storage.leader_epochs import UNDEFINED, LeaderEpochs
from kafkalike.storage.producer_state import Producers
from tests.simulation.zookeeper import SimZkClient
from zk import recipes
from zk.client import CONNECTED, Check, ConnectionLoss, Create, NodeExists, Set

Patch = tuple[Any, str, Any]
MUTANTS: dict[str, Callable[[], list[Patch]]] = {}


def mutant(function: Callable[[], list[Patch]]) -> Callable[[], list[Patch]]:
    """Enters one into the table."""
    MUTANTS[function.__name__] = function
    return function


def rule(name: str) -> str:
    """What a mutant breaks, on one line."""
    return " ".join((MUTANTS[name].__doc__ or "").split())


@contextlib.contextmanager
def broken(name: str | None) -> Iterator[None]:
    """The product with this rule broken, until the end of the block."""
    patches = MUTANTS[name]() if name else []
    undo = [(owner, attribute, vars(owner)[attribute]) for owner, attribute, _ in patches]
    for owner, attribute, replacement in patches:
        setattr(owner, attribute, replacement)
    try:
        yield
    finally:
        for owner, attribute, original in reversed(undo):
            setattr(owner, attribute, original)


# A: replication.


@mutant
def a1_truncate_to_the_high_watermark() -> list[Patch]:
    """A follower cuts its log to its high watermark before it follows (KIP-101)."""
    follow = Leadership._follow

    def mutated(self: Any, hosted: Any) -> None:
        if hosted.partition.leader != NO_LEADER:
            self._followed.truncate(hosted, hosted.partition.high_watermark)
        follow(self, hosted)

    return [(Leadership, "_follow", mutated)]


@mutant
def a2_leader_knows_every_epoch() -> list[Patch]:
    """A leader that is asked for an epoch that it never had answers for that epoch, not for the largest below
    (KIP-279)."""
    end_offset = LeaderEpochs.end_offset

    def mutated(self: Any, epoch: int, log_end_offset: int) -> tuple[int, int]:
        found = end_offset(self, epoch, log_end_offset)
        return found if found == UNDEFINED else (epoch, found[1])

    return [(LeaderEpochs, "end_offset", mutated)]


@mutant
def a2_one_cut_is_enough() -> list[Patch]:
    """A follower cuts where the leader's epoch ended, whether it had that epoch or not."""

    def mutated(lookup: Any, log_end_offset: int, mark: int, epoch: int, end: int) -> int:
        return min(end, log_end_offset) if end >= 0 else min(mark, log_end_offset)

    return [(follower, "truncation", mutated)]


@mutant
def a3_no_reconciliation() -> list[Patch]:
    """The leader does not look whether a follower's log has left its own (KIP-320, rule 1)."""
    return [(replicas, "_diverging", lambda source, epoch, offset: None)]


@mutant
def a3_no_fencing_of_fetches() -> list[Patch]:
    """The leader epoch that a fetch comes with is not compared (KIP-320, rule 2)."""
    return [(Partition, "check_epoch", lambda self, current_leader_epoch: None)]


@mutant
def a3_everybody_has_everything() -> list[Patch]:
    """A new leader takes its followers for as far as itself, before they have fetched in its epoch (rule 3)."""
    assign = Partition.assign

    def mutated(self: Any, state: Any, log_end_offset: int, now_ms: int) -> bool:
        changed = assign(self, state, log_end_offset, now_ms)
        if changed:
            for follower in self.followers.values():
                follower.log_end_offset = log_end_offset
        return changed

    return [(Partition, "assign", mutated)]


@mutant
def a3_join_before_the_epoch_begins() -> list[Patch]:
    """A follower joins the ISR when it has reached the high watermark, short of the leader's epoch (rule 4)."""

    def mutated(self: Any, broker_id: int) -> bool:
        if self.proposal is not None or broker_id in self.isr or not self.leading:
            return False
        return bool(self.followers[broker_id].log_end_offset >= self.high_watermark)

    return [(Partition, "joiner", mutated)]


@mutant
def a3_join_before_the_high_watermark() -> list[Patch]:
    """A follower joins the ISR with its first fetch, however far behind."""

    def mutated(self: Any, broker_id: int) -> bool:
        return self.proposal is None and broker_id not in self.isr and bool(self.leading)

    return [(Partition, "joiner", mutated)]


@mutant
def a4_everybody_is_clean() -> list[Patch]:
    """The controller does not look at the mark of a broker that was not stopped cleanly (KIP-966)."""

    def mutated(*_: Any) -> Any:
        return
        yield

    return [(module, "remove_unclean_brokers", mutated) for module in (unclean_shutdown, failover, broker_changes)]


@mutant
def a4_high_watermark_below_min_isr() -> list[Patch]:
    """The high watermark moves though fewer than min.insync.replicas are in sync (KAFKA-15583)."""
    advance = Partition.advance

    def mutated(self: Any, *args: Any) -> bool:
        before, self.min_insync_replicas = self.min_insync_replicas, 1
        try:
            return advance(self, *args)
        finally:
            self.min_insync_replicas = before

    return [(Partition, "advance", mutated)]


@mutant
def a4_first_come_leads() -> list[Patch]:
    """The first of the replicas whose logs are compared leads, not the one with the longest log."""

    def mutated(context: Any, partition: Any, ends: Any) -> Any:
        leader = min(ends)
        recipients = tuple(r for r in context.replicas_of(partition) if context.is_online(r, partition))
        return election_strategies.Elected(leader, (leader,), recipients)

    return [(unclean_recovery, "_longest", mutated)]


@mutant
def a5_broker_epochs_do_not_count() -> list[Patch]:
    """A replica enters the ISR with what it had in an earlier life (KIP-903), and nobody strikes it."""
    return [
        (isr, "_eligible", lambda context, partition, member, epochs: context.is_online(member, partition)),
        *a4_everybody_is_clean(),
    ]


@mutant
def a6_who_leaves_may_join() -> list[Patch]:
    """A replica enters the ISR though its broker is gone or leaving (KAFKA-14140)."""
    return [(isr, "_eligible", lambda context, partition, member, epochs: True)]


@mutant
def a7_committed_isr_only() -> list[Patch]:
    """The high watermark follows the committed ISR only while an ISR change is under way (KAFKA-12686)."""
    return [(Partition, "maximal_isr", property(lambda self: frozenset(self.isr)))]


@mutant
def a7_shrink_at_once() -> list[Patch]:
    """The leader does not wait for a member that is to leave the ISR before the controller has agreed."""

    def maximal(self: Any) -> frozenset[int]:
        return frozenset(self.isr if self.proposal is None else self.proposal.isr)

    return [(Partition, "maximal_isr", property(maximal))]


@mutant
def a7_change_is_never_over() -> list[Patch]:
    """A change that was under way stays so under a new leader epoch: no other one begins."""
    assign = Partition.assign

    def mutated(self: Any, *args: Any) -> bool:
        before = self.proposal
        changed = assign(self, *args)
        if changed:
            self.proposal = before if self.leading else None
        return changed

    return [(Partition, "assign", mutated)]


@mutant
def a7_no_second_look_at_the_high_watermark() -> list[Patch]:
    """The leader does not look at the high watermark again when the controller has agreed to a smaller ISR."""
    return [(InSyncReplicas, "_committed", lambda self, partition: None)]


@mutant
def a8_diverging_fetch_is_progress() -> list[Patch]:
    """A fetch from a log that has left the leader's counts as having all before (KAFKA-13141)."""
    read = Replicas.read_as_follower

    def mutated(
        self: Any, topic: str, index: int, asked: Any, max_bytes: int, min_one: bool, follower: int, epoch: int
    ) -> Read:
        hosted = self._partitions.leader(topic, index, asked.current_leader_epoch)
        partition, end = hosted.partition, hosted.log.log_end_offset
        partition.check_follower(follower, epoch)
        now_ms = self._clock.wall_ms()
        partition.fetched(follower, min(asked.offset, end), epoch, end, now_ms)
        self._isr.advance(hosted, now_ms)
        return read(self, topic, index, asked, max_bytes, min_one, follower, epoch)

    return [(Replicas, "read_as_follower", mutated)]


@mutant
def a9_same_leader_same_log() -> list[Patch]:
    """An answer counts whatever the leader epoch it was given under, if the leader is the same broker (KAFKA-7164)."""
    position_of = FollowedPartitions.position_of

    def mutated(self: Any, following: Any) -> Any:
        hosted = self._partitions.hosted.get((following.topic, following.index))
        if hosted is not None:
            following.leader_epoch = hosted.partition.leader_epoch
        return position_of(self, following)

    def take(self: Any, following: Any, position: Any, data: Any, stir: Any) -> Error:
        hosted = self._partitions.hosted.get((following.topic, following.index))
        error = Error(data.error_code)
        if hosted is not None and error is Error.NONE:
            self._take(hosted, data)
        return error

    return [(FollowedPartitions, "position_of", mutated), (FollowedPartitions, "take", take)]


@mutant
def a10_epochs_stay() -> list[Patch]:
    """Leader epochs are not cut with the log (KAFKA-10706)."""
    return [(LeaderEpochs, "truncate_from_end", lambda self, offset: False)]


@mutant
def a11_high_watermark_stays() -> list[Patch]:
    """A log is cut below its high watermark, which stays (KAFKA-9491)."""
    return [(Partition, "truncated", lambda self, log_end_offset: None)]


@mutant
def a11_the_leaders_start_is_not_taken_over() -> list[Patch]:
    """A follower goes on showing, once it leads, what its leader had deleted; also what only it had (KAFKA-9491)."""
    take = FollowedPartitions._take

    def mutated(self: Any, hosted: Any, data: Any) -> None:
        data.log_start_offset = -1
        take(self, hosted, data)

    return [(FollowedPartitions, "_take", mutated)]


@mutant
def a12_high_watermark_before_the_cut() -> list[Patch]:
    """A follower takes over the leader's high watermark before it cuts what the leader does not have (KAFKA-14704)."""
    take = FollowedPartitions._take

    def mutated(self: Any, hosted: Any, data: Any) -> None:
        if data.diverging_epoch is not None and data.diverging_epoch.epoch >= 0:
            hosted.partition.follow(data.high_watermark, hosted.log.log_end_offset)
            # Seen by readers for as long as this is under way.
            self._purgatory.wake(hosted.key)
            hosted.log.watcher.after(hosted.log.machine)
        take(self, hosted, data)

    return [(FollowedPartitions, "_take", mutated)]


@mutant
def a13_anybody_leads() -> list[Patch]:
    """Leaders are elected outside of the ISR, though nobody has allowed it."""
    offline = election_strategies.offline

    def mutated(replicas: Any, isr: Any, alive: Any, unclean: bool = False) -> Any:
        return offline(replicas, isr, alive, True)

    return [(election_strategies, "offline", mutated)]


@mutant
def a13_acknowledged_at_once() -> list[Patch]:
    """acks=all is answered after the append."""
    return [(Partition, "replicated", lambda self, last_offset: Error.NONE)]


@mutant
def a18_refused_change_is_given_up() -> list[Patch]:
    """An ISR change whose request got no answer is not sent again, and stays under way."""

    def failed(self: Any, failure: Any) -> None:
        self._busy = False

    return [(IsrProposals, "_failed", failed), (IsrProposals, "_again", lambda self, seconds: None)]


# B: controller and ZooKeeper.


@mutant
def b1_unguarded_writes() -> list[Patch]:
    """A controller's writes do not check that no other was elected (KAFKA-6082)."""
    return [(recipes.Term, "guarded", lambda self, *operations: [Check(self.counter_path, -1), *operations])]


@mutant
def b2_any_controller_is_obeyed() -> list[Patch]:
    """Brokers obey a controller that was replaced, and take an older leader epoch (KAFKA-1188)."""
    assign = Partition.assign

    def check(self: Any, request: Any) -> Error:
        if request.broker_epoch != -1 and request.broker_epoch < self._cluster.broker_epoch():
            return Error.STALE_BROKER_EPOCH
        return Error.NONE

    def mutated(self: Any, state: Any, *args: Any) -> bool:
        if state.leader_epoch < self.leader_epoch:
            self.leader_epoch = -1
        return assign(self, state, *args)

    return [(ControlRequests, "check_controller", check), (Partition, "assign", mutated)]


@mutant
def b3_orders_for_an_earlier_life() -> list[Patch]:
    """Brokers obey requests that were meant for an earlier life of theirs (KIP-380)."""

    def check(self: Any, request: Any) -> Error:
        if request.controller_epoch < self.controller_epoch:
            return Error.STALE_CONTROLLER_EPOCH
        self.controller_epoch = request.controller_epoch
        return Error.NONE

    return [(ControlRequests, "check_controller", check)]


@mutant
def b3_newer_broker_epoch_is_refused() -> list[Patch]:
    """Brokers refuse a broker epoch that they have not heard of yet: the controller may know it first (KAFKA-9839)."""
    original = ControlRequests.check_controller

    def check(self: Any, request: Any) -> Error:
        if request.broker_epoch not in (-1, self._cluster.broker_epoch()):
            return Error.STALE_BROKER_EPOCH
        return original(self, request)

    return [(ControlRequests, "check_controller", check)]


@mutant
def b4_own_controller_znode_is_anothers() -> list[Patch]:
    """A broker does not look whose /controller it is after a lost answer (KAFKA-13407)."""

    async def elect(zk: Any, path: str, data: bytes, counter_path: str, read_counter: Any) -> Any:
        epoch, version = await recipes._counter(zk, counter_path, read_counter)
        term = recipes.Term(epoch + 1, version + 1, counter_path)
        operations = [Create(path, data, ephemeral=True), Set(counter_path, b"%d" % term.epoch, version)]
        try:
            results = await zk.multi(operations)
            return term._replace(version=results[1].version)
        except (NodeExists, recipes.BadVersion, ConnectionLoss):
            return None

    return [(recipes, "elect", elect)]


@mutant
def b5_own_registration_is_anothers() -> list[Patch]:
    """A broker does not look whose /brokers/ids/N it is after a lost answer (KAFKA-14845)."""

    async def claim(zk: Any, path: str, data: bytes, previous_session: int | None = None) -> Any:
        while True:
            try:
                results = await zk.multi([Create(path, None, ephemeral=True), Set(path, data, 0)])
                return results[1]
            except ConnectionLoss:
                pass
            except NodeExists:
                found = await recipes.get_or_none(zk, path)
                if found is not None:
                    raise recipes.Taken(path, found[1].ephemeralOwner, found[0]) from None

    return [(recipes, "claim", claim)]


@mutant
def b6_one_registration_is_enough() -> list[Patch]:
    """A broker whose session expired does not register again."""
    return [(Membership, "_register_again", lambda self: None)]


@mutant
def b7_controller_without_a_session() -> list[Patch]:
    """A controller whose session is lost goes on as if it were the controller."""

    def state_changed(self: Any, state: str) -> None:
        if state == "CONNECTED":
            self._enqueue("elect", self._elect)

    return [
        (Controller, "_state_changed", state_changed),
        (Controller, "_controller_changed", lambda self, data, stat: None),
    ]


@mutant
def b8_no_sync() -> list[Patch]:
    """Nothing is synced before it is read: a new session may read what was long ago."""
    return [(SimZkClient, "sync", lambda self, path="/": defer.succeed(path))]


@mutant
def b10_lost_watches() -> list[Patch]:
    """Watches that went with a connection are not set again."""
    return [
        (recipes.ChangeWatch, "_state", lambda self, state: None),
        (recipes._Watch, "_state", lambda self, state: None),
    ]


@mutant
def b10_watch_after_the_read() -> list[Patch]:
    """A watch tells of a change before it is armed again, and so misses the next one."""

    def event(self: Any, event: Any) -> None:
        if not self._stopped:
            self._changed()
            self._zk._reactor.callLater(0.5, self._arm)

    return [(recipes.ChangeWatch, "_event", event)]


@mutant
def b11_what_the_znodes_say_of_leaders() -> list[Patch]:
    """A new controller takes every partition for led by whom the znode names, dead or not."""

    def mutated(context: Any, batch: Any) -> Any:
        for partition in context.all_partitions():
            known = context.leaderships.get(partition)
            state = failover.P.NEW if known is None else failover.P.ONLINE
            context.partition_states[partition] = state
        yield batch.send()
        yield from leader_election.elect_where_needed(context)

    return [(failover, "_start_partitions", mutated)]


@mutant
def b14_the_log_of_an_earlier_topic_is_taken() -> list[Patch]:
    """A log that is there under the name of a new topic is that topic's, whatever id it has (KIP-516)."""
    return [(leadership, "is_other", lambda topic_id, told: False)]


@mutant
def a16_retention_beyond_the_high_watermark() -> list[Patch]:
    """Retention takes what is not committed (KAFKA-5634)."""

    def mutated(self: Any) -> Any:
        for hosted in list(self._partitions.hosted.values()):
            hosted.log.retain(self._clock.wall_ms(), hosted.log.log_end_offset)
        return defer.succeed(None)

    return [(LogMaintenance, "_retain", mutated)]


@mutant
def a16_records_beyond_the_high_watermark_are_deleted() -> list[Patch]:
    """DeleteRecords goes as far as it is asked to."""

    def mutated(self: Any, topic: str, index: int, offset: int) -> int:
        hosted = self._partitions.leader(topic, index)
        hosted.log.advance_log_start(hosted.log.log_end_offset if offset == -1 else offset)
        return int(hosted.log.log_start_offset)

    return [(Replicas, "delete_records", mutated)]


# C: producers.


@mutant
def c1_repeats_are_new() -> list[Patch]:
    """A repeated batch is appended again."""

    def mutated(self: Any, *_: Any, **__: Any) -> None:
        return None

    return [(Producers, "check", mutated)]


@mutant
def c4_followers_keep_no_producers() -> list[Patch]:
    """A follower that becomes leader knows no producer."""
    lead = Leadership._lead

    def mutated(self: Any, hosted: Any) -> None:
        hosted.log.producers = Producers()
        lead(self, hosted)

    return [(Leadership, "_lead", mutated)]


# C12: groups.


@mutant
def c12_commits_without_a_fence() -> list[Patch]:
    """A coordinator that was replaced still writes offsets."""
    return [(znode_commits, "Check", lambda path, version: Check(path, -1))]


@mutant
def c12_answered_before_zookeeper_has_it() -> list[Patch]:
    """A commit is answered at once."""
    commit = ZnodeCommits.commit

    def mutated(self: Any, fence: Any, group: str, offsets: Any, done: Any, *_: Any) -> None:
        commit(self, fence, group, offsets, lambda errors: None)
        self._reactor.callLater(0, done, [Error.NONE] * len(offsets))

    return [(ZnodeCommits, "commit", mutated)]


@mutant
def c12_offsets_outlive_their_topic() -> list[Patch]:
    """An offset is believed, and stays, though its topic is another than it was committed for."""
    return [(znode_offsets, "is_older", lambda node, topic_stat: False)]


# D: members of groups.


@mutant
def d5_a_new_coordinator_reads_nothing() -> list[Patch]:
    """A coordinator begins to serve without what the log of its partition says of its groups (KAFKA-10614)."""

    async def mutated(*_: Any) -> None:
        pass

    return [(InternalTopic, "_read", mutated)]


@mutant
def d5_an_old_coordinator_goes_on() -> list[Patch]:
    """A coordinator whose partition has another leader serves its members as before (KAFKA-15468)."""
    return [(InternalTopic, "_unload", lambda self, partition: None)]


@mutant
def d6_told_before_it_is_on_disk() -> list[Patch]:
    """Members are told their assignments before the group's record is on all replicas."""

    def mutated(self: Any, served: Any, effect: Any) -> None:
        self._append(served.group.group_id, effect.value, lambda _: None)
        self.perform(served, served.group.persisted(effect.ticket, Error.NONE, self._clock.wall_ms()))

    return [(GroupPartition, "_persist", mutated)]


@mutant
def d8_generations_do_not_count() -> list[Patch]:
    """A member commits whatever generation it believes in."""
    commit = Group.commit

    def mutated(self: Any, generation: int, member_id: str, *args: Any) -> Error:
        return commit(self, self.generation if generation >= 0 else generation, member_id, *args)

    return [(Group, "commit", mutated)]


@mutant
def d8_anybody_commits() -> list[Patch]:
    """A process that is no member any more can commit as one."""
    commit = Group.commit

    def mutated(self: Any, *args: Any) -> Error:
        error = commit(self, *args)
        return Error.NONE if error in (Error.UNKNOWN_MEMBER_ID, Error.ILLEGAL_GENERATION) else error

    return [(Group, "commit", mutated)]


@mutant
def d8_nobody_waits_for_the_leader() -> list[Patch]:
    """A member that syncs before the leader is told its assignment of the generation before."""
    sync = Group.sync

    def mutated(self: Any, token: Any, generation: int, member_id: str, *args: Any) -> Any:
        member = self.members.get(member_id)
        waits = self.state is State.COMPLETING and generation == self.generation and member_id != self.leader
        if member is not None and waits:
            return [Synced(token, Error.NONE, self.protocol_type, self.protocol, member.assignment)]
        return sync(self, token, generation, member_id, *args)

    return [(Group, "sync", mutated)]


@mutant
def d8_the_dead_stay_members() -> list[Patch]:
    """No session of a member ever ends."""
    expire_sessions = Group._expire_sessions

    def mutated(self: Any, now_ms: int) -> None:
        for member in self.members.values():
            member.deadline_ms = None
        expire_sessions(self, now_ms)

    return [(Group, "_expire_sessions", mutated)]


@mutant
def d10_nobody_is_a_member_without_zookeeper() -> list[Patch]:
    """A coordinator that ZooKeeper does not answer knows its members no more."""
    heartbeat = GroupCoordinator.heartbeat

    def mutated(self: Any, *args: Any) -> Error:
        return Error.UNKNOWN_MEMBER_ID if self.timeout._zk.state != CONNECTED else heartbeat(self, *args)

    return [(GroupCoordinator, "heartbeat", mutated)]


__all__ = ["MUTANTS", "broken", "rule"]
