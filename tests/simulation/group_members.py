"""Groups with members: they join, own partitions, commit and read offsets as owners do; they leave, die, hang, and are
back. What must hold is in group_invariants.py, which every member tells what it sends and what it is told.

A member has two connections to its coordinator: one for calls that wait for the rest of its group, one for all others;
so that a heartbeat or a commit may overtake a join, as those of a hanging process may.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from kafkalike.errors import Error
from kafkalike.protocol.messages import (
    find_coordinator,
    heartbeat,
    join_group,
    leave_group,
    offset_commit,
    offset_fetch,
    sync_group,
)
from tests.simulation.clients import PORT, Client
from tests.simulation.disk import Key
from tests.simulation.group_invariants import Membership
from tests.simulation.network import Network, SimPeer
from tests.simulation.world import Reactor, World

RETRY_S = 0.05
LEAVE_S = 1.0  # how long one that leaves waits for its answer
# What sends a member to look for its coordinator; it stays a member meanwhile.
ELSEWHERE = frozenset((Error.COORDINATOR_NOT_AVAILABLE, Error.COORDINATOR_LOAD_IN_PROGRESS, Error.NOT_COORDINATOR))
# After these errors the process is no member any more.
FORGOTTEN = frozenset((Error.UNKNOWN_MEMBER_ID, Error.FENCED_INSTANCE_ID))
JOINS_AGAIN = FORGOTTEN | {Error.REBALANCE_IN_PROGRESS, Error.ILLEGAL_GENERATION}
# A commit that is refused like that was not carried out, and never is.
REFUSED = JOINS_AGAIN | {Error.UNKNOWN_TOPIC_OR_PARTITION}


class Timeouts:
    """The timeouts of the members of a run."""

    def __init__(self, session_ms: int, rebalance_ms: int) -> None:
        self.session_ms = session_ms
        self.rebalance_ms = rebalance_ms


class Member(Client):
    """One process that consumes as a member of a group."""

    def __init__(
        self,
        world: World,
        network: Network,
        name: str,
        brokers: list[int],
        membership: Membership,
        instance_id: str | None,
        timeouts: Timeouts,
        pause_s: float,
    ) -> None:
        super().__init__(world, network, name, brokers)
        self.running = False
        self.membership = membership
        self.instance_id = instance_id
        self._network = network
        self._timeouts = timeouts
        self._pause_s = pause_s
        self._forget_all()

    def _forget_all(self) -> None:
        self.member_id = ""
        self.generation = -1
        self.leaving = False
        self.owned: tuple[Key, ...] | None = None  # None while it has no assignment
        self.wanted = True  # whether it is to commit
        self.committed = 0  # commits that were acknowledged since it was assigned what it owns
        self.settled = False  # whether what it reads is what was acknowledged, with nothing more to commit
        self.coordinator: int | None = None
        self._turn = 0  # grows with each attempt to join
        self._led_by: int | None = None  # the coordinator of its generation, as far as it was heard of
        self._peers.clear()
        self._patient: dict[int, SimPeer] = {}

    @property
    def who(self) -> str:
        """What stays of a member when it gets another id."""
        return self.instance_id or self.member_id

    def start(self) -> None:
        """The process starts, and knows nothing."""
        self._network.dark.discard(self)
        self.running = True
        self.reactor = Reactor(self)
        self._forget_all()
        self.reactor.callLater(self._pause_s * self.world.random.random(), self._join, self._turn)

    def die(self, silently: bool) -> None:
        """The process, or the machine, is gone without a word to the group."""
        self.end()
        if silently:
            self._network.go_dark(self)
        else:
            self._network.reset(self)

    def leave(self) -> None:
        """Sends LeaveGroup, and ends."""
        self.leaving = True
        self._turn += 1
        self.owned = None
        if self.coordinator is not None and self.member_id:
            identity = leave_group.MemberIdentity(member_id=self.member_id, group_instance_id=self.instance_id)
            request = leave_group.Request(group_id=self.membership.group, members=[identity])
            self._ask(self.coordinator, leave_group, request).addBoth(lambda _: None)
        self.reactor.callLater(LEAVE_S * self.world.random.random(), self.die, False)

    # Whom it talks to.

    def _ask(self, coordinator: int, message: Any, request: Any) -> Any:
        return self.peer(coordinator).request(message, message.VERSIONS[1], request)

    def _ask_patiently(self, coordinator: int, message: Any, request: Any) -> Any:
        peer = self._patient.get(coordinator)
        if peer is None:
            timeout_ms = self._timeouts.rebalance_ms + 3000
            peer = SimPeer(self.reactor, f"b{coordinator}", PORT, self.name, timeout_ms, 1000)
            self._patient[coordinator] = peer
        return peer.request(message, message.VERSIONS[1], request)

    def _later(self, call: Callable[[int], None], turn: int, delay: float = RETRY_S) -> None:
        self.reactor.callLater(delay * (0.5 + self.world.random.random()), call, turn)

    def _with_coordinator(self, turn: int, call: Callable[[int], None]) -> int | None:
        """The coordinator; when it is not known it is looked for, and the call made once more."""
        if turn != self._turn or self.coordinator is not None:
            return self.coordinator

        def found(response: Any) -> None:
            (answer,) = response.coordinators
            if not answer.error_code and self.coordinator is None:
                self.coordinator = answer.node_id
            self._later(call, turn)

        broker_id = self.brokers[self.world.random.randrange(len(self.brokers))]
        request = find_coordinator.Request(key_type=0, coordinator_keys=[self.membership.group])
        answer = self._ask(broker_id, find_coordinator, request)
        answer.addCallbacks(found, lambda _: self._later(call, turn))
        return None

    def _elsewhere(self, turn: int, call: Callable[[int], None]) -> None:
        """The coordinator does not answer, or is another one."""
        if turn == self._turn:
            self.coordinator = None
            self._later(call, turn)

    # Becoming a member.

    def _join_again(self, error: Error | None = None) -> None:
        """Joins again, for this reason; the member owns nothing in between."""
        self._turn += 1
        self.owned = None
        self.settled = False
        self.membership.to_join_again(self.name)
        if error in FORGOTTEN:
            self.member_id = ""
        self._later(self._join, self._turn)

    def _join(self, turn: int) -> None:
        coordinator = self._with_coordinator(turn, self._join)
        if turn != self._turn or coordinator is None:
            return
        protocols = [join_group.JoinGroupRequestProtocol(name="range", metadata=subscription(self.membership.topics))]
        request = join_group.Request(
            group_id=self.membership.group,
            session_timeout_ms=self._timeouts.session_ms,
            rebalance_timeout_ms=self._timeouts.rebalance_ms,
            member_id=self.member_id,
            group_instance_id=self.instance_id,
            protocol_type="consumer",
            protocols=protocols,
        )
        known, term = self.membership.durable, self.membership.term_of(coordinator)
        answer = self._ask_patiently(coordinator, join_group, request)
        answer.addCallbacks(
            lambda response: self._joined(turn, known, coordinator, term, response),
            lambda _: self._elsewhere(turn, self._join),
        )

    def _joined(self, turn: int, known: int, coordinator: int, term: int | None, response: Any) -> None:
        if turn != self._turn:
            return
        error = Error(response.error_code)
        if error is Error.MEMBER_ID_REQUIRED:
            self.member_id = response.member_id
            self._later(self._join, turn)
        elif error in ELSEWHERE:
            self._elsewhere(turn, self._join)
        elif error in JOINS_AGAIN:
            self._join_again(error)
        elif error is not Error.NONE:
            self.membership.fail("GroupIsServed", "%s joins: %s", self.name, error.name)
        else:
            self.member_id, self.generation = response.member_id, response.generation_id
            self.membership.joined(self.name, self.generation, known, coordinator, term)
            if self.instance_id is not None and self.generation == known:
                self.world.meet("static member takes its place over")
            assignments = []
            if response.leader == self.member_id and not response.skip_assignment:
                who = {each.member_id: each.group_instance_id or each.member_id for each in response.members}
                plan = self.membership.plan(self.generation, sorted(who.values()))
                assignments = [
                    sync_group.SyncGroupRequestAssignment(member_id=member_id, assignment=plan) for member_id in who
                ]
            self._sync(turn, assignments)

    def _sync(self, turn: int, assignments: list[Any]) -> None:
        request = sync_group.Request(
            group_id=self.membership.group,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self.instance_id,
            protocol_type="consumer",
            protocol_name="range",
            assignments=assignments,
        )
        assert self.coordinator is not None
        answer = self._ask_patiently(self.coordinator, sync_group, request)
        answer.addCallbacks(lambda response: self._synced(turn, response), lambda _: self._lost_its_turn(turn))

    def _lost_its_turn(self, turn: int) -> None:
        if turn == self._turn:
            self.coordinator = None
            self._join_again()

    def _synced(self, turn: int, response: Any) -> None:
        if turn != self._turn:
            return
        error = Error(response.error_code)
        if error in ELSEWHERE:
            self._lost_its_turn(turn)
        elif error in JOINS_AGAIN:
            self._join_again(error)
        elif error is not Error.NONE:
            self.membership.fail("GroupIsServed", "%s syncs: %s", self.name, error.name)
        else:
            self.owned = self.membership.assigned(self.name, self.who, self.generation, bytes(response.assignment))
            self.committed = 0
            self._led_by = self.coordinator
            self.world.note("%s owns %s in generation %d", self.name, self.owned, self.generation)
            self._later(self._heartbeat, turn, self._timeouts.session_ms / 4000)
            self._fetch(turn)

    # Being one.

    def _heartbeat(self, turn: int) -> None:
        coordinator = self._with_coordinator(turn, self._heartbeat)
        if turn != self._turn or coordinator is None:
            return
        request = heartbeat.Request(
            group_id=self.membership.group,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self.instance_id,
        )
        answer = self._ask(coordinator, heartbeat, request)
        answer.addCallbacks(
            lambda response: self._lives(turn, coordinator, Error(response.error_code)),
            lambda _: self._elsewhere(turn, self._heartbeat),
        )

    def _lives(self, turn: int, coordinator: int, error: Error) -> None:
        if turn != self._turn:
            return
        if error in ELSEWHERE:
            self._elsewhere(turn, self._heartbeat)
        elif error is Error.REBALANCE_IN_PROGRESS and self.world.random.random() < 0.3:
            # The member is busy, and commits from time to time what it has processed.
            self.membership.to_join_again(self.name)
            self._later(self._obey, turn, self._timeouts.rebalance_ms / 1000 * self.world.random.random())
        elif error in JOINS_AGAIN:
            self._join_again(error)
        elif error is not Error.NONE:
            self.membership.fail("GroupIsServed", "%s lives: %s", self.name, error.name)
        else:
            if coordinator != self._led_by:
                self._led_by = coordinator
                self.world.meet("membership outlives its coordinator")
            self._later(self._heartbeat, turn, self._timeouts.session_ms / 4000)

    def _obey(self, turn: int) -> None:
        if turn == self._turn:
            self._join_again()

    def _go_on(self, turn: int) -> None:
        """Commits, or reads what it has committed."""
        if turn != self._turn or not self.owned:
            return
        if self.wanted or not self.committed:
            if self.committed and self.world.random.random() < 0.3:
                self._fetch(turn)
            else:
                self._commit(turn)
        elif not self.settled:
            self._fetch(turn)

    def _commit(self, turn: int) -> None:
        coordinator = self._with_coordinator(turn, self._commit)
        if turn != self._turn or coordinator is None or not self.owned:
            return
        offsets = {key: self.membership.commits(key, self.generation) for key in self.owned}
        partitions = [
            offset_commit.OffsetCommitRequestPartition(
                partition_index=index, committed_offset=offset, committed_metadata=None
            )
            for (_, index), offset in offsets.items()
        ]
        request = offset_commit.Request(
            group_id=self.membership.group,
            generation_id_or_member_epoch=self.generation,
            member_id=self.member_id,
            group_instance_id=self.instance_id,
            topics=[offset_commit.OffsetCommitRequestTopic(name=self.owned[0][0], partitions=partitions)],
        )
        answer = self._ask(coordinator, offset_commit, request)
        answer.addCallbacks(
            lambda response: self._committed(turn, offsets, response), lambda _: self._elsewhere(turn, self._commit)
        )

    def _committed(self, turn: int, offsets: dict[Key, int], response: Any) -> None:
        (topic,) = response.topics
        errors = [Error(partition.error_code) for partition in topic.partitions]
        for key, offset, error in zip(offsets, offsets.values(), errors, strict=True):
            if error is Error.NONE:
                self.membership.acknowledged(key, offset)
            elif error in REFUSED:
                self.membership.refused(key, offset)
            elif error not in ELSEWHERE and error is not Error.REQUEST_TIMED_OUT:
                self.membership.fail("GroupIsServed", "%s commits: %s", self.name, error.name)
            if error in (Error.ILLEGAL_GENERATION, Error.UNKNOWN_MEMBER_ID):
                self.world.meet("commit of an old generation refused")
        if turn != self._turn:
            return
        failed = next((error for error in errors if error is not Error.NONE), None)
        if failed is None:
            self.committed += 1
            self._later(self._go_on, turn, self._pause_s)
        elif failed in JOINS_AGAIN:
            self._join_again(failed)
        else:
            self._elsewhere(turn, self._commit)

    def _fetch(self, turn: int) -> None:
        coordinator = self._with_coordinator(turn, self._fetch)
        if turn != self._turn or coordinator is None or not self.owned:
            return
        indexes = [index for _, index in self.owned]
        topics = [offset_fetch.OffsetFetchRequestTopics(name=self.owned[0][0], partition_indexes=indexes)]
        group = offset_fetch.OffsetFetchRequestGroup(group_id=self.membership.group, topics=topics)
        floors = {key: self.membership.floor(key) for key in self.owned}
        last = not self.wanted and self.committed > 0
        answer = self._ask(coordinator, offset_fetch, offset_fetch.Request(groups=[group], require_stable=True))
        answer.addCallbacks(
            lambda response: self._read(turn, floors, last, response), lambda _: self._elsewhere(turn, self._fetch)
        )

    def _read(self, turn: int, floors: dict[Key, Any], last: bool, response: Any) -> None:
        (group,) = response.groups
        errors = {Error(group.error_code)}
        errors |= {Error(partition.error_code) for topic in group.topics for partition in topic.partitions}
        errors.discard(Error.NONE)
        if errors - ELSEWHERE - {Error.UNKNOWN_TOPIC_OR_PARTITION, Error.REQUEST_TIMED_OUT}:
            self.membership.fail("GroupIsServed", "%s reads: %s", self.name, sorted(errors))
        if errors:
            self._elsewhere(turn, self._fetch)
            return
        for topic in group.topics:
            for partition in topic.partitions:
                key = (topic.name, partition.partition_index)
                self.membership.read(self.name, key, partition.committed_offset, floors[key])
        if turn == self._turn:
            self.settled = last
            self._later(self._go_on, turn, self._pause_s)


def subscription(topics: list[str]) -> bytes:
    """What a consumer says of itself: version 0, its topics, no data of its own."""
    names = b"".join(struct.pack(">h", len(topic)) + topic.encode() for topic in topics)
    return struct.pack(">hi", 0, len(topics)) + names + struct.pack(">i", -1)
