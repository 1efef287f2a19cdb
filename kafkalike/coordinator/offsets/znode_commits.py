"""Committed offsets on their way into ZooKeeper: many at once, in order, each answered when ZooKeeper has it.

Each partition of a group has a slot. A slot's newest value waits while an older one is being written and replaces
any that waits already; everybody who waits on it is answered with its result. Values of many slots travel in one
multi, several multis are under way, so that the rate does not depend on the way to ZooKeeper. A multi begins with a
check of the state node of each __consumer_offsets partition involved: if this broker is no longer the
coordinator there, nothing is written.

The invariant: a commit is answered NONE only after ZooKeeper has acknowledged its value, or a newer one, under a valid
fence. A commit that was answered COORDINATOR_LOAD_IN_PROGRESS, because ZooKeeper was silent for too long, may have been
written, but is never written afterwards unless it was under way already. That is the one error after which every client
commits again and keeps its partitions: librdkafka gives them up after COORDINATOR_NOT_AVAILABLE.

Called by group_coordinator.py. Plain callbacks: a commit to a known node costs two small objects and a share of one
multi.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Container, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from kafkalike.cluster.znodes import consumers
from kafkalike.cluster.znodes.consumers import Extra
from kafkalike.coordinator.offsets.commit_timeout import CommitTimeout, Deadlines
from kafkalike.coordinator.offsets.fence import AMBIGUOUS, Fence, Fences
from kafkalike.coordinator.offsets.offset_commit import CommitDone, OffsetCommit
from kafkalike.errors import Error
from zk.client import (
    CONNECTED,
    BadVersion,
    Check,
    ConnectionClosed,
    Create,
    Delete,
    NodeExists,
    NoNode,
    Set,
    ZkClient,
    gather,
)

log = logging.getLogger("kafka.coordinator.offsets")

# Multis under way, and the most that one of them carries. ZooKeeper refuses requests above 1 MiB.
FLIGHTS, SLOTS, BYTES = 4, 128, 256 * 1024
# What is known about a slot's nodes.
UNKNOWN, NODE, EXTRA, EXTRA_PARENT = 0, 1, 2, 4


class Slot:
    """One partition of one group: what waits to be written, what is being written."""

    __slots__ = (
        "key",
        "path",
        "extra_path",
        "fence",
        "known",
        "prepared",
        "value",
        "waiters",
        "busy",
        "queued",
        "flight_value",
        "flight_waiters",
    )

    def __init__(self, key: tuple[str, str, int]) -> None:
        self.key = key
        self.path = consumers.offset_path(*key)
        self.extra_path = consumers.extra_path(*key)
        self.fence: Fence | None = None
        self.known = UNKNOWN
        self.prepared = False
        # (offset text, extra or None); None while nothing waits.
        self.value: tuple[bytes, bytes | None] | None = None
        self.waiters: list[tuple[_Commit, int]] = []
        self.busy = False
        self.queued = False
        self.flight_value: tuple[bytes, bytes | None] = (b"", None)
        self.flight_waiters: list[tuple[_Commit, int]] = []

    def ready(self) -> bool:
        """Is it known how to write the value?"""
        assert self.value is not None
        return self.prepared and (self.value[1] is None or bool(self.known & (EXTRA | EXTRA_PARENT)))


class _Commit:
    """One call of commit(): counts its partitions down."""

    __slots__ = ("errors", "left", "done", "due")

    def __init__(self, count: int, done: CommitDone, due: float) -> None:
        self.errors: list[Error | None] = [None] * count
        self.left = count
        self.done = done
        self.due = due

    def settle(self, index: int, error: Error) -> None:
        if self.left and self.errors[index] is None:
            self.errors[index] = error
            self.left -= 1
            if not self.left:
                self.done(self.errors)  # type: ignore[arg-type]

    def expire(self, late: Error = Error.COORDINATOR_LOAD_IN_PROGRESS) -> None:
        if self.left:
            self.left = 0
            self.done([late if error is None else error for error in self.errors])


class ZnodeCommits:
    """All commits that this broker coordinates."""

    def __init__(self, zk: ZkClient, broker_id: int, timeout: CommitTimeout, reactor: IReactorTime) -> None:
        self._zk = zk
        self._timeout = timeout
        self._reactor = reactor
        self._slots: dict[tuple[str, str, int], Slot] = {}
        self._queue: deque[Slot] = deque()
        self._flights = 0
        self._pump_due = False
        self._deadlines: Deadlines[_Commit] = Deadlines(timeout, reactor)
        self._unsure: list[Slot] = []
        self._interrupted: list[Slot] = []
        self.fences = Fences(zk, broker_id, reactor, self._decided)
        self._waiting: defaultdict[Fence, list[Slot]] = defaultdict(list)  # for their fence to be decided
        self._making: dict[str, list[Deferred[None]]] = {}  # parents of nodes, and who waits for them

    def start(self) -> None:
        """Listens to the session."""
        self._zk.add_listener(self._zk_state)

    def stop(self) -> None:
        """Answers whatever waits."""
        self._zk.remove_listener(self._zk_state)
        for commit in self._deadlines.clear():
            commit.expire(Error.COORDINATOR_NOT_AVAILABLE)

    # Fences.

    def _decided(self, fence: Fence) -> None:
        """A fence has become valid, or is lost: commits under it go on."""
        for slot in self._waiting.pop(fence, ()):
            slot.queued = False
            self._enqueue(slot)
        if fence.lost:
            for key in [key for key, slot in self._slots.items() if slot.fence is fence and slot.value is None]:
                if not self._slots[key].busy:
                    del self._slots[key]

    # Commits.

    def commit(
        self,
        fence: Fence | None,
        group: str,
        commits: Sequence[OffsetCommit],
        done: CommitDone,
        patience: float | None = None,
    ) -> None:
        """Writes these; `done` gets one error for each, in order.

        Without a fence the write is not bound to any coordinator: OffsetCommit v0. `patience`: seconds to wait.
        """
        timeout = self._timeout
        seconds = timeout.seconds if patience is None else patience
        commit = _Commit(len(commits), done, timeout.due(seconds))
        if timeout.silent_since is not None and commit.due <= self._reactor.seconds():
            commit.expire()
            return
        slots = self._slots
        for index, (topic, partition, offset, leader_epoch, metadata) in enumerate(commits):
            key = (group, topic, partition)
            slot = slots.get(key)
            if slot is None:
                slot = slots[key] = Slot(key)
            extra = Extra(offset, leader_epoch, metadata).encode() if leader_epoch >= 0 or metadata else None
            slot.value = (b"%d" % offset, extra)
            slot.fence = fence
            slot.waiters.append((commit, index))
            if not slot.queued and not slot.busy:
                slot.queued = True
                self._queue.append(slot)
        self._deadlines.add(commit, seconds)
        if not self._pump_due and self._flights < FLIGHTS:
            self._pump_due = True
            self._reactor.callLater(0, self._pump)

    def forget(self, group: str, topic: str | None = None) -> None:
        """Nodes of this group were removed: nothing is known about them any more."""
        for key, slot in list(self._slots.items()):
            if key[0] == group and topic in (None, key[1]):
                slot.prepared, slot.known = False, UNKNOWN
                if slot.value is None and not slot.busy:
                    del self._slots[key]

    def abandon(self, topics: Container[str]) -> None:
        """These topics are deleted: nothing that was committed for them is written from now on, lest it be taken for an
        offset of a topic that is made anew. What is under way already may be."""
        for slot in [slot for key, slot in self._slots.items() if key[1] in topics]:
            slot.waiters[:0] = slot.flight_waiters
            slot.flight_waiters = []
            self._settle(slot, Error.UNKNOWN_TOPIC_OR_PARTITION)
            if not slot.busy and not slot.queued:
                del self._slots[slot.key]

    def _enqueue(self, slot: Slot) -> None:
        if slot.value is not None and not slot.queued and not slot.busy:
            slot.queued = True
            self._queue.append(slot)
            if not self._pump_due:
                self._pump_due = True
                self._reactor.callLater(0, self._pump)

    # Sending.

    def _pump(self) -> None:
        self._pump_due = False
        queue = self._queue
        while queue and self._flights < FLIGHTS and self._zk.state == CONNECTED:
            batch: list[Slot] = []
            operations: list[Any] = []
            fences: dict[Fence, None] = {}
            size = 0
            while queue and len(batch) < SLOTS and size < BYTES:
                slot = queue.popleft()
                slot.queued = False
                if not self._can_fly(slot):
                    continue
                if slot.fence is not None:
                    fences[slot.fence] = None
                size += self._take_off(slot, operations)
                batch.append(slot)
            if not batch:
                return
            checks = [Check(fence.path, fence.version) for fence in fences]
            self._flights += 1
            self._zk.multi(checks + operations).addCallbacks(
                self._written_all, self._refused, (batch,), {}, (batch, list(fences), operations)
            ).addErrback(self._failed)

    def _can_fly(self, slot: Slot) -> bool:
        """Sends a slot where it has to go first, if it cannot be written now."""
        fence = slot.fence
        slot.waiters = [waiter for waiter in slot.waiters if waiter[0].left]
        if not slot.waiters:
            slot.value = None
            return False
        if fence is not None and fence.lost:
            self._settle(slot, Error.NOT_COORDINATOR)
            return False
        if fence is not None and (fence.asking or fence.version < 0):
            slot.queued = True
            self._waiting[fence].append(slot)
            self.fences.ask(fence)
            return False
        if not slot.ready():
            slot.busy = True
            Deferred.fromCoroutine(self._prepare(slot)).addErrback(self._not_prepared, slot)
            return False
        return True

    @staticmethod
    def _take_off(slot: Slot, operations: list[Any]) -> int:
        assert slot.value is not None
        offset, extra = slot.flight_value = slot.value
        slot.flight_waiters, slot.waiters = slot.waiters, []
        slot.value = None
        slot.busy = True
        operations.append(Set(slot.path, offset) if slot.known & NODE else Create(slot.path, offset))
        if extra is not None:
            operations.append(Set(slot.extra_path, extra) if slot.known & EXTRA else Create(slot.extra_path, extra))
            return len(extra) + 200
        if slot.known & EXTRA:
            operations.append(Delete(slot.extra_path))
        return 200

    def _written_all(self, _: Any, batch: list[Slot]) -> None:
        self._flights -= 1
        for slot in batch:
            self._written(slot)
        if self._queue and not self._pump_due:
            self._pump()

    def _written(self, slot: Slot) -> None:
        if slot.prepared:
            slot.known |= NODE
            slot.known = slot.known & ~EXTRA if slot.flight_value[1] is None else slot.known | EXTRA
        waiters, slot.flight_waiters = slot.flight_waiters, []
        slot.busy = False
        self._enqueue(slot)
        for commit, index in waiters:
            commit.settle(index, Error.NONE)

    def _refused(self, failure: Failure, batch: list[Slot], fences: list[Fence], operations: list[Any]) -> None:
        self._flights -= 1
        error = failure.value
        if failure.check(*AMBIGUOUS):
            self._unsure += batch
            if self._zk.state == CONNECTED:
                self._resolve()
            return
        index = getattr(error, "index", -1)
        if 0 <= index < len(fences):
            # The node has changed: perhaps only the ISR in it.
            fences[index].version = -1
        elif index >= len(fences) and failure.check(NoNode, NodeExists, BadVersion):
            culprit = _owner(batch, operations[index - len(fences)])
            log.debug("%s is not as it was: %s", culprit.path, error)
            culprit.prepared, culprit.known = False, UNKNOWN
        else:
            closed = failure.check(ConnectionClosed)
            if not closed:
                log.error("Offsets could not be written: %s", error)
            code = Error.COORDINATOR_NOT_AVAILABLE if closed else Error.UNKNOWN_SERVER_ERROR
            unlucky = batch if index < len(fences) else [_owner(batch, operations[index - len(fences)])]
            for slot in unlucky:
                self._give_back(slot)
                slot.prepared, slot.known = False, UNKNOWN
                self._settle(slot, code)
            batch = [slot for slot in batch if slot not in unlucky]
        for slot in batch:
            self._give_back(slot)
            self._enqueue(slot)

    def _give_back(self, slot: Slot) -> None:
        """The value in flight has not been written: it waits again, unless there is a newer one."""
        slot.waiters[:0] = slot.flight_waiters
        slot.flight_waiters = []
        if slot.value is None:
            slot.value = slot.flight_value
        slot.busy = False

    def _settle(self, slot: Slot, error: Error) -> None:
        waiters, slot.waiters = slot.waiters, []
        slot.value = None
        for commit, index in waiters:
            commit.settle(index, error)

    def _failed(self, failure: Failure) -> None:
        log.error("A commit failed in a way not foreseen: %s", failure.getTraceback())

    # Finding out.

    async def _prepare(self, slot: Slot) -> None:
        """Which of the slot's nodes exist; makes the parents of those that do not."""
        group, topic, _ = slot.key
        node, extra = await gather([self._zk.exists(slot.path), self._zk.exists(slot.extra_path)])
        known = (NODE if node is not None else 0) | (EXTRA if extra is not None else 0)
        missing = []
        if node is None:
            missing += [consumers.offsets_path(group, topic), consumers.ids_path(group)]
            missing.append(consumers.owners_path(group, topic))
        if extra is None and slot.value is not None and slot.value[1] is not None:
            missing.append(consumers.extras_path(group, topic))
            known |= EXTRA_PARENT
        await gather([self._made(path) for path in missing])
        slot.prepared, slot.known, slot.busy = True, known, False
        self._enqueue(slot)

    def _made(self, path: str) -> Deferred[None]:
        """Makes a parent; whoever wants the same one meanwhile gets the same result."""
        answer: Deferred[None] = Deferred()
        waiting = self._making.setdefault(path, [])
        waiting.append(answer)
        if len(waiting) == 1:
            self._zk.ensure_path(path).addBoth(self._have_made, path)
        return answer

    def _have_made(self, result: Any, path: str) -> None:
        for answer in self._making.pop(path):
            answer.callback(result)

    def _not_prepared(self, failure: Failure, slot: Slot) -> None:
        slot.busy = False
        if failure.check(*AMBIGUOUS):
            self._interrupted.append(slot)
            if self._zk.state == CONNECTED:
                self._resolve()
        elif failure.check(ConnectionClosed):
            self._settle(slot, Error.COORDINATOR_NOT_AVAILABLE)
        elif failure.check(NoNode):
            # Somebody removed a parent meanwhile.
            self._enqueue(slot)
        else:
            log.error("%s cannot be written: %s", slot.path, failure.value)
            self._settle(slot, Error.UNKNOWN_SERVER_ERROR)

    def _zk_state(self, state: str) -> None:
        if state == CONNECTED:
            self.fences.connected()
            self._resolve()

    def _resolve(self) -> None:
        """Connected again: looks what became of the writes whose answer was lost."""
        for slot in _taken(self._interrupted):
            self._enqueue(slot)
        unsure = _taken(self._unsure)
        if unsure:
            self._zk.sync(consumers.ROOT).addErrback(lambda _: None)
        for slot in unsure:
            Deferred.fromCoroutine(self._read_back(slot)).addErrback(self._not_read_back, slot)
        if self._queue and not self._pump_due:
            self._pump_due = True
            self._reactor.callLater(0, self._pump)

    async def _read_back(self, slot: Slot) -> None:
        found = tuple(await gather([self._data(slot.path), self._data(slot.extra_path)]))
        slot.prepared, slot.known = False, UNKNOWN
        if found == slot.flight_value:
            self._written(slot)
        else:
            self._give_back(slot)
            self._enqueue(slot)

    def _not_read_back(self, failure: Failure, slot: Slot) -> None:
        if failure.check(*AMBIGUOUS):
            self._unsure.append(slot)
            if self._zk.state == CONNECTED:
                self._resolve()
            return
        if not failure.check(ConnectionClosed):
            log.error("%s cannot be read: %s", slot.path, failure.value)
        self._give_back(slot)
        self._settle(slot, Error.COORDINATOR_NOT_AVAILABLE)

    async def _data(self, path: str) -> bytes | None:
        try:
            data: bytes | None = (await self._zk.get(path))[0]
            return data
        except NoNode:
            return None


def _owner(batch: list[Slot], operation: Any) -> Slot:
    return next(slot for slot in batch if operation.path in (slot.path, slot.extra_path))


def _taken(items: list[Any]) -> list[Any]:
    taken, items[:] = items[:], []
    return taken
