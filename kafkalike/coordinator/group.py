"""One consumer group: join, sync, heartbeat, leave, expire. Pure; group_partition.py owns it, performs its effects.

The machine decides who is a member, which generation the group is in, who leads it and what every waiting call is
answered. It keeps no offsets: ZooKeeper is the only truth for those, the group only says who may commit.

Inputs are the methods of `Group`; each takes the time. join, sync, leave, expire and persisted return the effects that
follow, in the order in which they must be performed; heartbeat and commit, which are hot, return an error code and
have no effects. After any input group_partition.py looks at `deadline_ms`: `expire` must be called at that time,
or later if the number has grown since (a heartbeat only moves a member's own deadline and needs no other timer).

The invariant: nobody is told an assignment, or a static member's new id, before the record that says so is durable.

Kafka's behaviour is followed state by state (KIP-62, 134, 345, 394, 559, 814); cooperative rebalancing is a
matter of the members. Where a second call of the same member replaces a parked one, the parked one is answered
REBALANCE_IN_PROGRESS; Kafka leaves it without an answer, which only a dead connection does not mind.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from kafkalike.coordinator.group_effects import UNKNOWN_MEMBER, Effect, Joined, Joining, Left, Persist, Synced, Token
from kafkalike.coordinator.group_members import Member, Members
from kafkalike.coordinator.group_records import NO_TIMESTAMP, GroupValue
from kafkalike.errors import Error

log = logging.getLogger(__name__)

CONSUMER = "consumer"
# A new member cannot send heartbeats, since it does not know its id until the join is answered; a client that gave
# up and came back would otherwise stay in the rebalance for ever.
NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60 * 1000


class State(Enum):
    """The state of a group. The values are the words that Kafka's tools show."""

    EMPTY = "Empty"
    """*answers* join: accepted; sync, heartbeat: UNKNOWN_MEMBER_ID; commit: generation -1 only.
    *leaves* a join -> PREPARING; deleted, or its last offset expired -> DEAD."""

    PREPARING = "PreparingRebalance"
    """*answers* join: parked; sync, heartbeat: REBALANCE_IN_PROGRESS; commit: accepted.
    *leaves* all have joined, or the join's deadline -> COMPLETING with members, EMPTY without."""

    COMPLETING = "CompletingRebalance"
    """*answers* join: the same answer again if nothing changed, else a new rebalance; sync: parked until the leader's
    assignment is durable; heartbeat: NONE; commit: REBALANCE_IN_PROGRESS.
    *leaves* assignment durable -> STABLE; a join with news, a leave, an expiry, a failed write -> PREPARING."""

    STABLE = "Stable"
    """*answers* join: of the leader or with news starts a rebalance, else the same generation again; sync: the
    assignment; heartbeat, commit: NONE.
    *leaves* a join with news, a leave, an expiry -> PREPARING."""

    DEAD = "Dead"
    """*answers* everything COORDINATOR_NOT_AVAILABLE: the group was deleted or has moved to another coordinator."""


TRANSITIONS: dict[State, frozenset[State]] = {
    State.EMPTY: frozenset({State.PREPARING, State.DEAD}),
    State.PREPARING: frozenset({State.COMPLETING, State.EMPTY, State.DEAD}),
    State.COMPLETING: frozenset({State.STABLE, State.PREPARING, State.DEAD}),
    State.STABLE: frozenset({State.PREPARING, State.DEAD}),
    State.DEAD: frozenset({State.DEAD}),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The broker's configuration of groups."""

    min_session_timeout_ms: int = 6000
    max_session_timeout_ms: int = 1_800_000
    max_size: int = 2**31 - 1
    initial_rebalance_delay_ms: int = 3000

    def accepts_session(self, timeout_ms: int) -> bool:
        """May a member ask for this session timeout?"""
        return self.min_session_timeout_ms <= timeout_ms <= self.max_session_timeout_ms


@dataclass(frozen=True, slots=True)
class _Assignments:
    """Waiting to be durable: the leader's assignments."""

    generation: int
    by_member: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class _Replacement:
    """Waiting to be durable: a static member's new id. `before` is what a failed write goes back to."""

    token: Token
    member: Member
    new_id: str
    before: tuple[str, tuple[tuple[str, bytes], ...], int, int]
    leader_before: str | None
    may_skip_assignment: bool


class Group:
    """One consumer group; the module's docstring says how to use it."""

    def __init__(self, group_id: str, limits: Limits, now_ms: int) -> None:
        self.group_id = group_id
        self.limits = limits
        self.state = State.EMPTY
        self.state_timestamp_ms = now_ms
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.members = Members()
        # Topics that some member of a consumer group has subscribed to; None when that is not known.
        self.subscribed: frozenset[str] | None = None
        # The earliest time at which expire() has something to do.
        self.deadline_ms: int | None = None
        self._pending: dict[str, int] = {}
        self._pending_sync: set[str] = set()
        self._joining = 0
        self._join_deadline_ms: int | None = None
        self._sync_deadline_ms: int | None = None
        # During the first rebalance: the delay under way and what may still be added to it.
        self._initial: tuple[int, int] | None = None
        self._more_came = False
        self._tickets: dict[int, _Assignments | _Replacement | None] = {}
        self._next_ticket = 1
        self._effects: list[Effect] = []

    @classmethod
    def restore(cls, group_id: str, value: GroupValue, limits: Limits, now_ms: int) -> "Group":
        """The group that a record describes. Call resume() when its coordinator begins to serve."""
        group = cls(group_id, limits, value.state_timestamp_ms)
        group.generation = value.generation
        for each in value.members:
            protocols = ((value.protocol or "", each.subscription),)
            member = Member(
                each.member_id,
                each.group_instance_id,
                each.client_id,
                each.client_host,
                each.session_timeout_ms,
                each.rebalance_timeout_ms,
                protocols,
                each.assignment,
            )
            group._admit(member, None)
        group.state = State.STABLE if value.members else State.EMPTY
        group.protocol_type = value.protocol_type or None
        group.protocol = (value.protocol or "") if value.members else value.protocol
        group.members.leader = value.leader
        group.subscribed = group._subscriptions()
        return group

    # What the coordinator may ask.

    @property
    def leader(self) -> str | None:
        """The id of the member that leads."""
        return self.members.leader

    @property
    def is_blank(self) -> bool:
        """Whether the group has and had no members: nothing is lost when it is forgotten."""
        return self.state is State.EMPTY and self.generation == 0 and not self.members and not self._pending

    @property
    def is_empty(self) -> bool:
        return self.state is State.EMPTY

    @property
    def is_vacant(self) -> bool:
        """Whether the group is empty, and no member is about to join."""
        return self.state is State.EMPTY and not self._pending

    @property
    def is_consumer_group(self) -> bool:
        return self.protocol_type == CONSUMER

    def subscribes(self, topic: str) -> bool:
        """Does a member consume this topic? Yes if that is not known."""
        return self.subscribed is None or topic in self.subscribed

    def value(self) -> GroupValue:
        """The record that describes the group now, with the assignments its members have."""
        return self._value({})

    def expired_offsets(
        self, committed_ms: Mapping[tuple[str, int], int], now_ms: int, retention_ms: int
    ) -> list[tuple[str, int]]:
        """Which of these (topic, partition) -> commit time are past their retention (KIP-211)."""
        horizon = now_ms - retention_ms
        if self.protocol_type is None:
            return [key for key, at in committed_ms.items() if at <= horizon]
        if self.state is State.EMPTY:
            # Kafka looks at the change of state alone. Offsets written since then, by a reset or by a tool that knows
            # only the znodes, are kept as long as any other commit.
            return [key for key, at in committed_ms.items() if max(at, self.state_timestamp_ms) <= horizon]
        if self.is_consumer_group and self.state is State.STABLE and self.subscribed is not None:
            return [key for key, at in committed_ms.items() if at <= horizon and key[0] not in self.subscribed]
        return []

    # Inputs.

    def resume(self, now_ms: int) -> list[Effect]:
        """The coordinator has loaded this group: sessions begin anew."""
        if len(self.members) > self.limits.max_size:
            self._prepare_rebalance("the loaded group is over group.max.size", now_ms)
        for member in self.members.values():
            self._touch(member, now_ms)
        return self._take()

    def join(self, token: Token, request: Joining, now_ms: int) -> list[Effect]:
        """JoinGroup."""
        member_id = request.member_id
        if not self.limits.accepts_session(request.session_timeout_ms):
            self._effects.append(Joined(token, Error.INVALID_SESSION_TIMEOUT, member_id))
        elif not self._has_room(member_id):
            self._remove(member_id)
            self._effects.append(Joined(token, Error.GROUP_MAX_SIZE_REACHED))
        elif self.state is State.DEAD:
            self._effects.append(Joined(token, Error.COORDINATOR_NOT_AVAILABLE, member_id))
        elif not self._supports(request):
            self._effects.append(Joined(token, Error.INCONSISTENT_GROUP_PROTOCOL, member_id))
        elif member_id == UNKNOWN_MEMBER:
            self._join_new(token, request, now_ms)
        else:
            self._join_known(token, request, now_ms)
        self._complete_join_if_all(now_ms)
        return self._take()

    def sync(
        self,
        token: Token,
        generation: int,
        member_id: str,
        instance_id: str | None,
        protocol_type: str | None,
        protocol: str | None,
        assignments: dict[str, bytes],
        now_ms: int,
    ) -> list[Effect]:
        """SyncGroup."""
        error = self._sync_error(generation, member_id, instance_id, protocol_type, protocol)
        if error is not Error.NONE:
            return [Synced(token, error)]
        member = self.members[member_id]
        self._synced(member_id)
        if self.state is State.STABLE:
            self._touch(member, now_ms)
            return [Synced(token, Error.NONE, self.protocol_type, self.protocol, member.assignment)]
        self._answer_sync(member, Error.REBALANCE_IN_PROGRESS)
        member.syncing = token
        if member_id == self.leader:
            missing = [each for each in self.members if each not in assignments]
            if missing:
                log.warning("Group %s: the leader assigned nothing to %s", self.group_id, ", ".join(missing))
            by_member = {each: bytes(assignments.get(each, b"")) for each in self.members}
            self._persist(self._value(by_member), _Assignments(generation, by_member))
        return self._take()

    def heartbeat(self, generation: int, member_id: str, instance_id: str | None, now_ms: int) -> Error:
        """Heartbeat: the answer."""
        if self.state is State.DEAD:
            return Error.COORDINATOR_NOT_AVAILABLE
        error = self.members.check(member_id, instance_id)
        if error is not Error.NONE:
            return error
        if generation != self.generation:
            return Error.ILLEGAL_GENERATION
        self._touch(self.members[member_id], now_ms)
        return Error.REBALANCE_IN_PROGRESS if self.state is State.PREPARING else Error.NONE

    def commit(self, generation: int, member_id: str, instance_id: str | None, now_ms: int) -> Error:
        """May this OffsetCommit be carried out? A member's commit also counts as a heartbeat."""
        if self.state is State.DEAD:
            return Error.COORDINATOR_NOT_AVAILABLE
        if generation < 0 and self.state is State.EMPTY:
            return Error.NONE
        if generation < 0 and member_id == UNKNOWN_MEMBER and instance_id is None:
            return Error.UNKNOWN_MEMBER_ID
        error = self.members.check(member_id, instance_id)
        if error is not Error.NONE:
            return error
        if generation != self.generation:
            return Error.ILLEGAL_GENERATION
        if self.state is State.COMPLETING:
            return Error.REBALANCE_IN_PROGRESS
        self._touch(self.members[member_id], now_ms)
        return Error.NONE

    def leave(self, token: Token, leaving: Iterable[tuple[str, str | None, str | None]], now_ms: int) -> list[Effect]:
        """LeaveGroup of (member id, instance id, reason); an empty member id removes whoever holds the instance id."""
        if self.state is State.DEAD:
            return [Left(token, Error.COORDINATOR_NOT_AVAILABLE)]
        answers = []
        for member_id, instance_id, reason in leaving:
            error = self._leave(member_id, instance_id, reason, now_ms)
            answers.append((member_id, instance_id, error))
        self._effects.append(Left(token, Error.NONE, tuple(answers)))
        return self._take()

    def expire(self, now_ms: int) -> list[Effect]:
        """Time has passed: sessions, joins and syncs that are due."""
        if self.state is State.DEAD:
            # Members that were about to join have no deadlines any more either.
            self.deadline_ms = None
            return self._take()
        self._expire_sessions(now_ms)
        if self._join_deadline_ms is not None and self._join_deadline_ms <= now_ms:
            self._join_time_is_up(now_ms)
        if self._sync_deadline_ms is not None and self._sync_deadline_ms <= now_ms:
            self._sync_time_is_up(now_ms)
        self._find_deadline()
        return self._take()

    def persisted(self, ticket: int, error: Error, now_ms: int) -> list[Effect]:
        """The record of a Persist is durable, or could not be written."""
        waiting = self._tickets.pop(ticket)
        if isinstance(waiting, _Assignments):
            self._assignments_persisted(waiting, error, now_ms)
        elif isinstance(waiting, _Replacement):
            self._replacement_persisted(waiting, error, now_ms)
        elif error is not Error.NONE:
            # The generation before it would come back after a crash, and then expire: nobody is in it.
            log.warning("Group %s: the empty group could not be written: %s", self.group_id, error.name)
        return self._take()

    def delete(self) -> Error:
        """DeleteGroups, or the expiry of the last offset: only an empty group dies."""
        if self.state is State.DEAD:
            return Error.GROUP_ID_NOT_FOUND
        if self.state is not State.EMPTY:
            return Error.NON_EMPTY_GROUP
        self._become(State.DEAD)
        return Error.NONE

    def unload(self) -> list[Effect]:
        """Answers all that waits, for another broker coordinates the group from now on."""
        self._become(State.DEAD)
        for member in self.members.values():
            self._answer_join(member, Joined(member.joining, Error.NOT_COORDINATOR, member.member_id))
            self._answer_sync(member, Error.NOT_COORDINATOR)
        self.deadline_ms = None
        return self._take()

    # Joining.

    def _has_room(self, member_id: str) -> bool:
        if self.state in (State.EMPTY, State.DEAD):
            return True
        member = self.members.get(member_id)
        if self.state is State.PREPARING:
            # Those who wait are counted, not the members: a group that was larger than a lowered limit loses
            # the last to come back.
            return (member is not None and member.joining is not None) or self._joining < self.limits.max_size
        return member is not None or len(self.members) < self.limits.max_size

    def _supports(self, request: Joining) -> bool:
        if self.state is State.EMPTY:
            return bool(request.protocol_type and request.protocols)
        return request.protocol_type == self.protocol_type and any(
            self.members.all_support(name) for name, _ in request.protocols
        )

    def _join_new(self, token: Token, request: Joining, now_ms: int) -> None:
        holder = self.members.holder(request.instance_id)
        if holder is not None:
            self._replace_static(token, request, self.members[holder], now_ms)
        elif request.instance_id is None and request.needs_member_id:
            self._pending[request.new_id] = now_ms + request.session_timeout_ms
            self._watch(self._pending[request.new_id])
            self._effects.append(Joined(token, Error.MEMBER_ID_REQUIRED, request.new_id))
        else:
            self._add(token, request, request.new_id, now_ms)

    def _join_known(self, token: Token, request: Joining, now_ms: int) -> None:
        member_id = request.member_id
        if member_id in self._pending and request.instance_id is None:
            self._add(token, request, member_id, now_ms)
            return
        error = self.members.check(member_id, request.instance_id)
        if error is Error.NONE and self.state is State.EMPTY:
            error = Error.UNKNOWN_MEMBER_ID
        if error is not Error.NONE:
            self._effects.append(Joined(token, error, member_id))
            return
        member = self.members[member_id]
        unchanged = member.protocols == request.protocols
        # The leader's join in a stable group asks for a rebalance: it saw something, such as new partitions, that
        # no member's metadata shows. Anybody else without news has only missed the answer to an earlier join.
        if unchanged and (self.state is State.COMPLETING or (self.state is State.STABLE and member_id != self.leader)):
            self._effects.append(self._joined(token, member, with_members=self.state is State.COMPLETING))
            return
        self._update(member, request, token)
        self._rebalance_if_possible(f"{member_id} joins again ({request.reason or 'no reason given'})", now_ms)

    def _add(self, token: Token, request: Joining, member_id: str, now_ms: int) -> None:
        if self.state is State.PREPARING and self.generation == 0:
            self._more_came = True
        if not self.members:
            self.protocol_type = request.protocol_type
        member = Member(
            member_id,
            request.instance_id,
            request.client_id,
            request.client_host,
            request.session_timeout_ms,
            request.rebalance_timeout_ms,
            request.protocols,
            is_new=True,
            deadline_ms=now_ms + NEW_MEMBER_JOIN_TIMEOUT_MS,
        )
        self._admit(member, token)
        self._watch(now_ms + NEW_MEMBER_JOIN_TIMEOUT_MS)
        self._rebalance_if_possible(f"{member_id} joins ({request.reason or 'no reason given'})", now_ms)

    def _admit(self, member: Member, token: Token | None) -> None:
        self.members.add(member)
        self._pending.pop(member.member_id, None)
        self._park_join(member, token)

    def _update(self, member: Member, request: Joining, token: Token | None) -> None:
        self.members.update(member, request.protocols, request.session_timeout_ms, request.rebalance_timeout_ms)
        self._park_join(member, token)

    def _replace_static(self, token: Token, request: Joining, member: Member, now_ms: int) -> None:
        """A static member came back without its id: it takes the place over, whoever held it is fenced."""
        leader_before, old_id = self.leader, member.member_id
        self._answer_join(member, Joined(member.joining, Error.FENCED_INSTANCE_ID, old_id))
        self._answer_sync(member, Error.FENCED_INSTANCE_ID)
        before = (old_id, member.protocols, member.session_timeout_ms, member.rebalance_timeout_ms)
        self._rename(member, request.new_id)
        self._touch(member, now_ms)
        self._update(member, request, token)
        if self.state is State.STABLE and self.members.choose_protocol() == self.protocol:
            replacement = _Replacement(
                token, member, request.new_id, before, leader_before, request.may_skip_assignment
            )
            self._persist(self._value({}), replacement)
        elif self.state in (State.STABLE, State.COMPLETING):
            # The leader may have been told the old id already, or the protocol changes: everybody joins again.
            self._prepare_rebalance(f"static member {request.instance_id} joins with a new id", now_ms)

    def _rename(self, member: Member, member_id: str) -> None:
        if member.member_id in self._pending_sync:
            self._pending_sync.remove(member.member_id)
            self._pending_sync.add(member_id)
        self.members.rename(member, member_id)

    def _replacement_persisted(self, waiting: _Replacement, error: Error, now_ms: int) -> None:
        member = waiting.member
        if member.joining is not waiting.token or self.members.get(waiting.new_id) is not member:
            return
        if error is Error.NONE:
            # Since KIP-814 a leader that came back is told so, with skip_assignment. Older clients are told the old
            # leader's id: one that believed to lead would compute an assignment that nobody receives.
            leads = self.leader == waiting.new_id
            skips = waiting.may_skip_assignment
            assigns = skips and leads and self.state is not State.PREPARING
            joined = Joined(
                waiting.token,
                Error.NONE,
                waiting.new_id,
                self.generation,
                self.protocol_type,
                self.protocol,
                (self.leader if skips else waiting.leader_before) or "",
                skip_assignment=skips and leads,
                members=self.members.metadata(self.protocol) if assigns else (),
            )
            self._answer_join(member, joined)
        else:
            log.warning("Group %s: static member %s not written: %s", self.group_id, member.instance_id, error.name)
            old_id, protocols, session_timeout_ms, rebalance_timeout_ms = waiting.before
            joined = Joined(
                waiting.token,
                error,
                UNKNOWN_MEMBER,
                self.generation,
                self.protocol_type,
                self.protocol,
                waiting.leader_before or "",
            )
            self._answer_join(member, joined)
            self.members.update(member, protocols, session_timeout_ms, rebalance_timeout_ms)
            self._rename(member, old_id)
        self._touch(member, now_ms)

    # Rebalancing.

    def _rebalance_if_possible(self, reason: str, now_ms: int) -> None:
        if State.PREPARING in TRANSITIONS[self.state]:
            self._prepare_rebalance(reason, now_ms)

    def _prepare_rebalance(self, reason: str, now_ms: int) -> None:
        if self.state is State.COMPLETING:
            self._drop_assignments(Error.REBALANCE_IN_PROGRESS, now_ms)
        self._pending_sync.clear()
        self._sync_deadline_ms = None
        timeout_ms = self.members.rebalance_timeout_ms
        if self.state is State.EMPTY:
            # Members of a new group arrive one after the other: wait for more, and longer while more come.
            delay = self.limits.initial_rebalance_delay_ms
            self._initial = (delay, max(timeout_ms - delay, 0) if delay else 0)
            timeout_ms = delay
        else:
            self._initial = None
        self._become(State.PREPARING, f"generation {self.generation}: {reason}", now_ms)
        self._join_deadline_ms = now_ms + timeout_ms
        self._watch(self._join_deadline_ms)
        self._complete_join_if_all(now_ms)

    def _complete_join_if_all(self, now_ms: int) -> None:
        if (
            self.state is State.PREPARING
            and self._initial is None
            and self._joining == len(self.members)
            and not self._pending
        ):
            self._complete_join(now_ms)

    def _join_time_is_up(self, now_ms: int) -> None:
        if self._initial is not None:
            delay, remaining = self._initial
            if self._more_came and remaining:
                self._more_came = False
                next_delay = min(self.limits.initial_rebalance_delay_ms, remaining)
                self._initial = (next_delay, max(remaining - delay, 0))
                self._join_deadline_ms = now_ms + next_delay
                return
            self._initial = None
        self._complete_join(now_ms)

    def _complete_join(self, now_ms: int) -> None:
        self._initial = None
        self._join_deadline_ms = None
        # A static member may still be restarting; its session decides, not the rebalance.
        for member in [each for each in self.members.values() if each.joining is None and each.instance_id is None]:
            log.info("Group %s: %s has not joined again and is removed", self.group_id, member.member_id)
            self._remove(member.member_id)
        if not self._leader_has_joined() and self.members:
            log.warning("Group %s: no member has joined again, waiting for their sessions", self.group_id)
            self._join_deadline_ms = now_ms + self.members.rebalance_timeout_ms
            self._watch(self._join_deadline_ms)
            return
        self.generation += 1
        self._pending_sync.clear()
        if not self.members:
            self.protocol = None
            self.subscribed = self._subscriptions()
            self._become(State.EMPTY, f"generation {self.generation}", now_ms)
            self._persist(self._value({}), None)
            return
        self.protocol = self.members.choose_protocol()
        self.subscribed = self._subscriptions()
        self._become(State.COMPLETING, f"generation {self.generation}, {len(self.members)} members", now_ms)
        for member in self.members.values():
            self._answer_join(member, self._joined(member.joining, member, with_members=True))
            self._touch(member, now_ms)
            member.is_new = False
            self._pending_sync.add(member.member_id)
        self._sync_deadline_ms = now_ms + self.members.rebalance_timeout_ms
        self._watch(self._sync_deadline_ms)

    def _leader_has_joined(self) -> bool:
        """Is there a leader that takes part? Elects one of those who do."""
        if self.leader is None:
            return False
        if self.members[self.leader].joining is not None:
            return True
        leader = next((each.member_id for each in self.members.values() if each.joining is not None), None)
        if leader is None:
            return False
        log.info("Group %s: %s leads, %s has not joined again", self.group_id, leader, self.leader)
        self.members.leader = leader
        return True

    # Syncing.

    def _sync_error(
        self, generation: int, member_id: str, instance_id: str | None, protocol_type: str | None, protocol: str | None
    ) -> Error:
        if self.state is State.DEAD:
            return Error.COORDINATOR_NOT_AVAILABLE
        error = self.members.check(member_id, instance_id)
        if error is not Error.NONE:
            return error
        if generation != self.generation:
            return Error.ILLEGAL_GENERATION
        if protocol_type not in (None, self.protocol_type) or protocol not in (None, self.protocol):
            return Error.INCONSISTENT_GROUP_PROTOCOL
        return Error.REBALANCE_IN_PROGRESS if self.state is State.PREPARING else Error.NONE

    def _synced(self, member_id: str) -> None:
        self._pending_sync.discard(member_id)
        if not self._pending_sync:
            self._sync_deadline_ms = None

    def _assignments_persisted(self, waiting: _Assignments, error: Error, now_ms: int) -> None:
        # A member may have joined in between: then this generation is over and its syncs have been answered.
        if self.state is not State.COMPLETING or self.generation != waiting.generation:
            return
        if error is not Error.NONE:
            self._drop_assignments(error, now_ms)
            self._rebalance_if_possible(f"{error.name} when the assignment was written", now_ms)
            return
        for member in self.members.values():
            member.assignment = waiting.by_member.get(member.member_id, b"")
        self._become(State.STABLE, f"generation {self.generation}", now_ms)
        for member in self.members.values():
            if self._answer_sync(member, Error.NONE):
                self._touch(member, now_ms)

    def _drop_assignments(self, error: Error, now_ms: int) -> None:
        for member in self.members.values():
            member.assignment = b""
            if self._answer_sync(member, error):
                self._touch(member, now_ms)

    def _sync_time_is_up(self, now_ms: int) -> None:
        self._sync_deadline_ms = None
        if self.state not in (State.COMPLETING, State.STABLE) or not self._pending_sync:
            return
        late = sorted(self._pending_sync)
        for member_id in late:
            self._remove(member_id)
        self._prepare_rebalance(f"no SyncGroup came from {', '.join(late)}", now_ms)

    # Leaving, and time.

    def _leave(self, member_id: str, instance_id: str | None, reason: str | None, now_ms: int) -> Error:
        if member_id == UNKNOWN_MEMBER:
            holder = self.members.holder(instance_id)
            if holder is None:
                return Error.UNKNOWN_MEMBER_ID
            member_id = holder
        elif member_id in self._pending:
            del self._pending[member_id]
            self._complete_join_if_all(now_ms)
            return Error.NONE
        else:
            error = self.members.check(member_id, instance_id)
            if error is not Error.NONE:
                return error
        self._remove_and_rebalance(member_id, f"{member_id} leaves ({reason or 'no reason given'})", now_ms)
        return Error.NONE

    def _expire_sessions(self, now_ms: int) -> None:
        for member_id in [each for each, at in self._pending.items() if at <= now_ms]:
            log.info("Group %s: pending member %s has not come back", self.group_id, member_id)
            del self._pending[member_id]
            self._complete_join_if_all(now_ms)
        for member in [each for each in self.members.values() if (each.deadline_ms or now_ms + 1) <= now_ms]:
            if self.members.get(member.member_id) is not member:
                continue
            member.deadline_ms = None
            # A member that waits for us cannot prove that it lives; a new one has its own, long time for that.
            if member.is_new or (member.joining is None and member.syncing is None):
                self._remove_and_rebalance(member.member_id, f"the session of {member.member_id} is over", now_ms)

    def _remove_and_rebalance(self, member_id: str, reason: str, now_ms: int) -> None:
        self._remove(member_id)
        if self.state in (State.STABLE, State.COMPLETING):
            self._prepare_rebalance(reason, now_ms)
        else:
            log.info("Group %s: %s", self.group_id, reason)
            self._complete_join_if_all(now_ms)

    def _remove(self, member_id: str) -> None:
        self._pending.pop(member_id, None)
        member = self.members.remove(member_id)
        if member is None:
            return
        # UNKNOWN_MEMBER_ID makes a client that still waits join again.
        self._answer_join(member, Joined(member.joining, Error.UNKNOWN_MEMBER_ID))
        self._answer_sync(member, Error.UNKNOWN_MEMBER_ID)
        self._synced(member_id)

    def _touch(self, member: Member, now_ms: int) -> None:
        """The member has shown that it lives; while it waits for us its session stands still."""
        if not member.is_new and (member.joining is not None or member.syncing is not None):
            member.deadline_ms = None
        else:
            member.deadline_ms = deadline_ms = now_ms + member.session_timeout_ms
            if self.deadline_ms is None or deadline_ms < self.deadline_ms:
                self.deadline_ms = deadline_ms

    def _watch(self, deadline_ms: int) -> None:
        if self.deadline_ms is None or deadline_ms < self.deadline_ms:
            self.deadline_ms = deadline_ms

    def _find_deadline(self) -> None:
        deadlines = [each.deadline_ms for each in self.members.values()]
        deadlines += [*self._pending.values(), self._join_deadline_ms, self._sync_deadline_ms]
        self.deadline_ms = min((each for each in deadlines if each is not None), default=None)

    # Parts.

    def _park_join(self, member: Member, token: Token | None) -> None:
        self._answer_join(member, Joined(member.joining, Error.REBALANCE_IN_PROGRESS, member.member_id))
        member.joining = token
        self._joining += token is not None

    def _answer_join(self, member: Member, joined: Joined) -> None:
        if member.joining is not None:
            member.joining = None
            self._joining -= 1
            self._effects.append(joined)

    def _answer_sync(self, member: Member, error: Error) -> bool:
        if member.syncing is None:
            return False
        token, member.syncing = member.syncing, None
        if error is Error.NONE:
            self._effects.append(Synced(token, error, self.protocol_type, self.protocol, member.assignment))
        else:
            self._effects.append(Synced(token, error))
        return True

    def _joined(self, token: Token | None, member: Member, with_members: bool) -> Joined:
        return Joined(
            token,
            Error.NONE,
            member.member_id,
            self.generation,
            self.protocol_type,
            self.protocol,
            self.leader or "",
            members=self.members.metadata(self.protocol) if with_members and member.member_id == self.leader else (),
        )

    def _value(self, assignments: dict[str, bytes]) -> GroupValue:
        return GroupValue(
            self.protocol_type or "",
            self.generation,
            self.protocol,
            self.leader,
            self.state_timestamp_ms,
            self.members.described(self.protocol, assignments),
        )

    def _subscriptions(self) -> frozenset[str] | None:
        if not self.is_consumer_group:
            return None
        topics = self.members.topics(self.protocol)
        if topics is None:
            log.warning("Group %s: a member's subscription cannot be read", self.group_id)
        return topics

    def _persist(self, value: GroupValue, waiting: _Assignments | _Replacement | None) -> None:
        ticket, self._next_ticket = self._next_ticket, self._next_ticket + 1
        self._tickets[ticket] = waiting
        self._effects.append(Persist(ticket, value))

    def _become(self, state: State, why: str = "", now_ms: int = NO_TIMESTAMP) -> None:
        assert state in TRANSITIONS[self.state], f"{self.group_id}: {self.state} -> {state}"
        log.info("Group %s: %s -> %s %s", self.group_id, self.state.value, state.value, why)
        self.state = state
        if now_ms != NO_TIMESTAMP:
            self.state_timestamp_ms = now_ms

    def _take(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
