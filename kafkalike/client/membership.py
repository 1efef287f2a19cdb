"""The consumer's half of the group protocol: one member of one group.

A state machine without a socket: `next_request` says what to send, the answers come back by the methods below, and the
result is a list of effects that the consumer performs in order. Called by the consumer's poll and by its heartbeats,
one at a time (the caller locks).

The member keeps its partitions as long as the coordinator hears its heartbeats, whatever the application does
meanwhile.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kafkalike.client import assignors, consumer_protocol
from kafkalike.client.cluster import Partition
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import heartbeat, join_group, leave_group, sync_group


class State(enum.Enum):
    """Where a member is. *leaves*: event -> state."""

    OUT = "out"
    """Not in the group, or no longer welcome as it is. leaves: join sent -> JOINING."""
    JOINING = "joining"
    """JoinGroup is sent. leaves: joined -> SYNCING; refused -> OUT."""
    SYNCING = "syncing"
    """SyncGroup is to be sent or is sent. leaves: assigned -> STABLE; refused -> OUT."""
    STABLE = "stable"
    """Has its partitions and sends heartbeats. leaves: rebalance, fenced, topics changed -> OUT; left -> GONE."""
    GONE = "gone"
    """Left for good."""


_TRANSITIONS = {
    State.OUT: {State.JOINING, State.OUT, State.GONE},
    State.JOINING: {State.SYNCING, State.OUT, State.GONE},
    State.SYNCING: {State.STABLE, State.OUT, State.GONE},
    State.STABLE: {State.OUT, State.GONE},
    State.GONE: set(),
}


@dataclass(frozen=True, slots=True)
class Assigned:
    """The member now has these partitions. Look up their positions before fetching."""

    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Revoke:
    """A new round begins: commit what is done before the next join is sent."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The group went on without us: what these partitions did since the last commit may be done again elsewhere."""


@dataclass(frozen=True, slots=True)
class FindCoordinator:
    """The coordinator moved or is away: look it up again before sending anything."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The group cannot be joined; the application has to know."""

    error: KafkaError


Effect = Assigned | Revoke | Lost | FindCoordinator | Fail

_ELSEWHERE = frozenset({Error.COORDINATOR_NOT_AVAILABLE, Error.NOT_COORDINATOR})
_FENCED = frozenset({Error.UNKNOWN_MEMBER_ID, Error.ILLEGAL_GENERATION})


class Membership:
    """One member of `group_id` that wants `topics`."""

    def __init__(
        self,
        group_id: str,
        topics: Iterable[str],
        *,
        strategies: Iterable[str] = ("range", "roundrobin"),
        session_timeout_ms: int = 45_000,
        rebalance_timeout_ms: int = 300_000,
        group_instance_id: str | None = None,
    ) -> None:
        self.group_id = group_id
        self.topics = tuple(sorted(topics))
        self.strategies = tuple(strategies)
        self.session_timeout_ms = session_timeout_ms
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.group_instance_id = group_instance_id
        self.state = State.OUT
        self.member_id = ""
        self.generation_id = -1
        self.assignment: tuple[Partition, ...] = ()
        self._sync: Any = None
        self._revoked = True

    def _become(self, state: State) -> None:
        assert state in _TRANSITIONS[self.state], f"{self.state} -> {state}"
        self.state = state

    @property
    def leads_to_sync(self) -> bool:
        """SyncGroup is due."""
        return self.state is State.SYNCING and self._sync is not None

    def want(self, topics: Iterable[str]) -> list[Effect]:
        """The subscription changed, or the leader saw that partitions did: a new round, if there is a difference."""
        self.topics = tuple(sorted(topics))
        return self.rejoin()

    def rejoin(self) -> list[Effect]:
        """Asks for a new round."""
        return self._out() if self.state is State.STABLE else []

    def _out(self, lost: bool = False) -> list[Effect]:
        self._become(State.OUT)
        if self._revoked:
            return []
        self._revoked = True
        return [Lost() if lost else Revoke()]

    def next_request(self) -> Any:
        """JoinGroup or SyncGroup when one is due, else None. It counts as sent."""
        if self.state is State.OUT:
            self._become(State.JOINING)
            wanted = consumer_protocol.encode_subscription(self.topics, self.assignment)
            return join_group.Request(
                group_id=self.group_id,
                session_timeout_ms=self.session_timeout_ms,
                rebalance_timeout_ms=self.rebalance_timeout_ms,
                member_id=self.member_id,
                group_instance_id=self.group_instance_id,
                protocol_type="consumer",
                protocols=[join_group.JoinGroupRequestProtocol(name=name, metadata=wanted) for name in self.strategies],
            )
        if self.leads_to_sync:
            request, self._sync = self._sync, None
            return request
        return None

    def topics_to_share(self, response: Any) -> set[str]:
        """The topics whose partitions this member has to share out, if JoinGroup's answer makes it the leader."""
        if self.state is not State.JOINING or response.error_code or not self._leads(response):
            return set()
        return {topic for m in response.members for topic in consumer_protocol.decode_subscription(m.metadata)}

    def _leads(self, response: Any) -> bool:
        return bool(response.leader == response.member_id and not response.skip_assignment)

    def joined(self, response: Any, counts: Mapping[str, int]) -> list[Effect]:
        """JoinGroup was answered. `counts` has the partition counts of `topics_to_share`."""
        if self.state is not State.JOINING:
            return []
        error = Error(response.error_code)
        if error is Error.MEMBER_ID_REQUIRED:
            self.member_id = response.member_id
            return self._out()
        if error is not Error.NONE:
            return self._refused(error)
        self.member_id = response.member_id
        self.generation_id = response.generation_id
        shares = []
        if self._leads(response):
            wanted = {m.member_id: consumer_protocol.decode_subscription(m.metadata) for m in response.members}
            plan = assignors.ASSIGNORS[response.protocol_name](wanted, counts)
            shares = [
                sync_group.SyncGroupRequestAssignment(
                    member_id=member, assignment=consumer_protocol.encode_assignment(share)
                )
                for member, share in plan.items()
            ]
        self._become(State.SYNCING)
        self._sync = sync_group.Request(
            group_id=self.group_id,
            generation_id=self.generation_id,
            member_id=self.member_id,
            group_instance_id=self.group_instance_id,
            protocol_type="consumer",
            protocol_name=response.protocol_name,
            assignments=shares,
        )
        return []

    def synced(self, response: Any) -> list[Effect]:
        """SyncGroup was answered."""
        if self.state is not State.SYNCING:
            return []
        error = Error(response.error_code)
        if error is not Error.NONE:
            return self._refused(error)
        self._become(State.STABLE)
        self._revoked = False
        self.assignment = tuple(consumer_protocol.decode_assignment(bytes(response.assignment or b"")))
        return [Assigned(self.assignment)]

    def heartbeat(self) -> Any:
        """The Heartbeat to send now, or None: only a settled member has one."""
        if self.state is not State.STABLE:
            return None
        return heartbeat.Request(
            group_id=self.group_id,
            generation_id=self.generation_id,
            member_id=self.member_id,
            group_instance_id=self.group_instance_id,
        )

    def heard(self, error: Error, generation_id: int) -> list[Effect]:
        """A Heartbeat or OffsetCommit of that generation was answered."""
        if self.state is not State.STABLE or generation_id != self.generation_id or error is Error.NONE:
            return []
        if error is Error.REBALANCE_IN_PROGRESS:
            return self._out()
        if error in _FENCED:
            self._forget(error)
            return self._out(lost=True)
        if error in _ELSEWHERE:
            return [FindCoordinator()]
        if error in (Error.FENCED_INSTANCE_ID, Error.GROUP_AUTHORIZATION_FAILED):
            return [Fail(KafkaError(error))]
        return []

    def unanswered(self) -> list[Effect]:
        """The connection broke while JoinGroup or SyncGroup was out: ask the (new) coordinator again."""
        if self.state in (State.JOINING, State.SYNCING):
            self._sync = None
            return [*self._out(), FindCoordinator()]
        return [FindCoordinator()]

    def leave(self) -> Callable[[int], Any] | None:
        """The LeaveGroup to send, by version; None when the coordinator does not know us. The machine ends here."""
        known = self.member_id and self.group_instance_id is None
        self._become(State.GONE)
        if not known:
            return None
        return self._leave_request

    def _leave_request(self, version: int) -> Any:
        if version < 3:
            return leave_group.Request(group_id=self.group_id, member_id=self.member_id)
        reason = "the consumer is being closed" if version >= 5 else None
        member = leave_group.MemberIdentity(member_id=self.member_id, reason=reason)
        return leave_group.Request(group_id=self.group_id, members=[member])

    def _forget(self, error: Error) -> None:
        self.generation_id = -1
        if error is Error.UNKNOWN_MEMBER_ID:
            self.member_id = ""

    def _refused(self, error: Error) -> list[Effect]:
        self._sync = None
        if error in _FENCED:
            self._forget(error)
            return self._out(lost=True)
        if error in _ELSEWHERE:
            return [*self._out(), FindCoordinator()]
        if error in (Error.REBALANCE_IN_PROGRESS, Error.COORDINATOR_LOAD_IN_PROGRESS):
            return self._out()
        self._become(State.OUT)
        return [Fail(KafkaError(error))]
