"""Committed offsets on their way into ZooKeeper: many at once, in order, each answered when ZooKeeper has it.

The newest offset of a group for a partition waits while an older one is being written, and replaces any that waits
already; everybody who waits for it is answered with its result. Many offsets travel in one multi, several multis are in
flight, so that the rate does not depend on the way to ZooKeeper. A multi begins with a check of the state node of each
__consumer_offsets partition involved (fence.py): if this broker is no longer the coordinator there, nothing is written.

The invariant: a commit is answered NONE only after ZooKeeper has acknowledged its value, or a newer one, under a valid
fence. A commit that was answered COORDINATOR_LOAD_IN_PROGRESS, because ZooKeeper was silent for too long, may have been
written, but is never written afterwards unless it was in flight already. That is the one error after which every client
commits again and keeps its partitions: librdkafka gives them up after COORDINATOR_NOT_AVAILABLE.

Called by partition_offsets.py. Plain callbacks: a commit to a known node costs two small objects and a share of one
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

from kafkalike.cluster.znodes.consumers import ConsumerIdNode, GroupNode, OffsetExtraNode, OffsetNode, OwnerNode
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
    Op,
    Set,
    ZkClient,
    gather,
)

log = logging.getLogger("kafka.coordinator.offsets")

# Multis in flight, and the most that one of them carries. ZooKeeper refuses requests above 1 MiB.
MULTIS, OFFSETS, BYTES = 4, 128, 256 * 1024
# What is known about the nodes of an offset.
UNKNOWN, NODE, EXTRA, EXTRA_PARENT = 0, 1, 2, 4


class PendingOffset:
    """The offset of a group for a partition: the value that waits to be written, and the one that is in flight."""

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
        "in_flight_value",
        "in_flight_waiters",
    )

    def __init__(self, key: tuple[str, str, int]) -> None:
        self.key = key
        self.path = OffsetNode.path(*key)
        self.extra_path = OffsetExtraNode.path(*key)
        self.fence: Fence | None = None
        self.known = UNKNOWN
        self.prepared = False
        # (offset text, extra or None); None while nothing waits.
        self.value: tuple[bytes, bytes | None] | None = None
        self.waiters: list[tuple[_Commit, int]] = []
        self.busy = False
        self.queued = False
        self.in_flight_value: tuple[bytes, bytes | None] = (b"", None)
        self.in_flight_waiters: list[tuple[_Commit, int]] = []


class _Commit:
    """One call of commit(), which counts the partitions that are not answered yet."""

    __slots__ = ("errors", "left", "done", "due")

    def __init__(self, count: int, done: CommitDone, due: float) -> None:
        self.errors: list[Error | None] = [None] * count
        self.left = count
        self.done = done
        self.due = due

    def answer(self, index: int, error: Error) -> None:
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
        self._pending: dict[tuple[str, str, int], PendingOffset] = {}
        self._queue: deque[PendingOffset] = deque()
        self._multis = 0
        self._send_due = False
        self._deadlines: Deadlines[_Commit] = Deadlines(timeout, reactor)
        self._unsure: list[PendingOffset] = []
        self._interrupted: list[PendingOffset] = []
        self.fences = Fences(zk, broker_id, reactor, self._decided)
        self._waiting: defaultdict[Fence, list[PendingOffset]] = defaultdict(list)  # for their fence to be decided
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
        for pending in self._waiting.pop(fence, ()):
            pending.queued = False
            self._enqueue(pending)
        if fence.lost:
            for pending in [each for each in self._pending.values() if each.fence is fence]:
                if pending.value is None and not pending.busy:
                    del self._pending[pending.key]

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
        pending_offsets = self._pending
        for index, (topic, partition, offset, leader_epoch, metadata) in enumerate(commits):
            key = (group, topic, partition)
            pending = pending_offsets.get(key)
            if pending is None:
                pending = pending_offsets[key] = PendingOffset(key)
            extra = OffsetExtraNode(offset, leader_epoch, metadata).encode() if leader_epoch >= 0 or metadata else None
            pending.value = (b"%d" % offset, extra)
            pending.fence = fence
            pending.waiters.append((commit, index))
            if not pending.queued and not pending.busy:
                pending.queued = True
                self._queue.append(pending)
        self._deadlines.add(commit, seconds)
        if not self._send_due and self._multis < MULTIS:
            self._send_due = True
            self._reactor.callLater(0, self._send)

    def forget(self, group: str, topic: str | None = None) -> None:
        """Nodes of this group were removed: nothing is known about them any more."""
        for key, pending in list(self._pending.items()):
            if key[0] == group and topic in (None, key[1]):
                pending.prepared, pending.known = False, UNKNOWN
                if pending.value is None and not pending.busy:
                    del self._pending[key]

    def abandon(self, topics: Container[str]) -> None:
        """These topics are deleted: nothing that was committed for them is written from now on, lest it be taken for an
        offset of a topic that is made anew. What is in flight already may be."""
        for pending in [pending for key, pending in self._pending.items() if key[1] in topics]:
            pending.waiters[:0] = pending.in_flight_waiters
            pending.in_flight_waiters = []
            self._answer(pending, Error.UNKNOWN_TOPIC_OR_PARTITION)
            if not pending.busy and not pending.queued:
                del self._pending[pending.key]

    def _enqueue(self, pending: PendingOffset) -> None:
        if pending.value is not None and not pending.queued and not pending.busy:
            pending.queued = True
            self._queue.append(pending)
            if not self._send_due:
                self._send_due = True
                self._reactor.callLater(0, self._send)

    # Sending.

    def _send(self) -> None:
        self._send_due = False
        queue = self._queue
        while queue and self._multis < MULTIS and self._zk.state == CONNECTED:
            batch: list[PendingOffset] = []
            checks: list[Op] = []
            operations: list[Op] = []
            fences: list[Fence] = []
            size = 0
            while queue and len(batch) < OFFSETS and size < BYTES:
                pending = queue.popleft()
                pending.queued = False
                if not self._can_be_written(pending):
                    continue
                fence = pending.fence
                if fence is not None and fence not in fences:
                    fences.append(fence)
                    checks.append(Check(fence.path, fence.version))
                size += self._begin_write(pending, operations)
                batch.append(pending)
            if not batch:
                return
            self._multis += 1
            self._zk.multi(checks + operations).addCallbacks(
                self._written_all, self._refused, (batch,), {}, (batch, fences, operations)
            ).addErrback(self._failed)

    def _can_be_written(self, pending: PendingOffset) -> bool:
        """Whether an offset can be written now. Else it waits for its fence, or until its nodes are known."""
        fence = pending.fence
        for waiter in pending.waiters:
            if not waiter[0].left:
                pending.waiters = [each for each in pending.waiters if each[0].left]
                break
        if not pending.waiters:
            pending.value = None
            return False
        if fence is not None and fence.lost:
            self._answer(pending, Error.NOT_COORDINATOR)
            return False
        if fence is not None and (fence.asking or fence.version < 0):
            pending.queued = True
            self._waiting[fence].append(pending)
            self.fences.ask(fence)
            return False
        assert pending.value is not None
        if not pending.prepared or (pending.value[1] is not None and not pending.known & (EXTRA | EXTRA_PARENT)):
            pending.busy = True
            Deferred.fromCoroutine(self._prepare(pending)).addErrback(self._not_prepared, pending)
            return False
        return True

    @staticmethod
    def _begin_write(pending: PendingOffset, operations: list[Op]) -> int:
        assert pending.value is not None
        offset, extra = pending.in_flight_value = pending.value
        pending.in_flight_waiters, pending.waiters = pending.waiters, []
        pending.value = None
        pending.busy = True
        operations.append(Set(pending.path, offset) if pending.known & NODE else Create(pending.path, offset))
        if extra is not None:
            operations.append(
                Set(pending.extra_path, extra) if pending.known & EXTRA else Create(pending.extra_path, extra)
            )
            return len(extra) + 200
        if pending.known & EXTRA:
            operations.append(Delete(pending.extra_path))
        return 200

    def _written_all(self, _: Any, batch: list[PendingOffset]) -> None:
        self._multis -= 1
        for pending in batch:
            self._written(pending)
        if self._queue and not self._send_due:
            self._send()

    def _written(self, pending: PendingOffset) -> None:
        if pending.prepared:
            pending.known |= NODE
            pending.known = pending.known & ~EXTRA if pending.in_flight_value[1] is None else pending.known | EXTRA
        waiters, pending.in_flight_waiters = pending.in_flight_waiters, []
        pending.busy = False
        self._enqueue(pending)
        for commit, index in waiters:
            commit.answer(index, Error.NONE)

    def _refused(self, failure: Failure, batch: list[PendingOffset], fences: list[Fence], operations: list[Op]) -> None:
        self._multis -= 1
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
            for pending in unlucky:
                self._wait_again(pending)
                pending.prepared, pending.known = False, UNKNOWN
                self._answer(pending, code)
            batch = [pending for pending in batch if pending not in unlucky]
        for pending in batch:
            self._wait_again(pending)
            self._enqueue(pending)

    def _wait_again(self, pending: PendingOffset) -> None:
        """The value in flight has not been written: it waits again, unless there is a newer one."""
        pending.waiters[:0] = pending.in_flight_waiters
        pending.in_flight_waiters = []
        if pending.value is None:
            pending.value = pending.in_flight_value
        pending.busy = False

    def _answer(self, pending: PendingOffset, error: Error) -> None:
        waiters, pending.waiters = pending.waiters, []
        pending.value = None
        for commit, index in waiters:
            commit.answer(index, error)

    def _failed(self, failure: Failure) -> None:
        log.error("A commit failed in a way not foreseen: %s", failure.getTraceback())

    # Finding out.

    async def _prepare(self, pending: PendingOffset) -> None:
        """Finds out which of an offset's nodes exist, and makes the parents of those that do not."""
        group, topic, _ = pending.key
        node, extra = await gather([self._zk.exists(pending.path), self._zk.exists(pending.extra_path)])
        known = (NODE if node is not None else 0) | (EXTRA if extra is not None else 0)
        missing = []
        if node is None:
            missing += [OffsetNode.directory(group, topic), ConsumerIdNode.directory(group)]
            missing.append(OwnerNode.directory(group, topic))
        if extra is None and pending.value is not None and pending.value[1] is not None:
            missing.append(OffsetExtraNode.directory(group, topic))
            known |= EXTRA_PARENT
        await gather([self._made(path) for path in missing])
        pending.prepared, pending.known, pending.busy = True, known, False
        self._enqueue(pending)

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

    def _not_prepared(self, failure: Failure, pending: PendingOffset) -> None:
        pending.busy = False
        if failure.check(*AMBIGUOUS):
            self._interrupted.append(pending)
            if self._zk.state == CONNECTED:
                self._resolve()
        elif failure.check(ConnectionClosed):
            self._answer(pending, Error.COORDINATOR_NOT_AVAILABLE)
        elif failure.check(NoNode):
            # Another program has removed a parent in between.
            self._enqueue(pending)
        else:
            log.error("%s cannot be written: %s", pending.path, failure.value)
            self._answer(pending, Error.UNKNOWN_SERVER_ERROR)

    def _zk_state(self, state: str) -> None:
        if state == CONNECTED:
            self.fences.connected()
            self._resolve()

    def _resolve(self) -> None:
        """Connected again: looks what became of the writes whose answer was lost."""
        for pending in _taken(self._interrupted):
            self._enqueue(pending)
        unsure = _taken(self._unsure)
        if unsure:
            self._zk.sync(GroupNode.directory()).addErrback(lambda _: None)
        for pending in unsure:
            Deferred.fromCoroutine(self._read_back(pending)).addErrback(self._not_read_back, pending)
        if self._queue and not self._send_due:
            self._send_due = True
            self._reactor.callLater(0, self._send)

    async def _read_back(self, pending: PendingOffset) -> None:
        found = tuple(await gather([self._data(pending.path), self._data(pending.extra_path)]))
        pending.prepared, pending.known = False, UNKNOWN
        if found == pending.in_flight_value:
            self._written(pending)
        else:
            self._wait_again(pending)
            self._enqueue(pending)

    def _not_read_back(self, failure: Failure, pending: PendingOffset) -> None:
        if failure.check(*AMBIGUOUS):
            self._unsure.append(pending)
            if self._zk.state == CONNECTED:
                self._resolve()
            return
        if not failure.check(ConnectionClosed):
            log.error("%s cannot be read: %s", pending.path, failure.value)
        self._wait_again(pending)
        self._answer(pending, Error.COORDINATOR_NOT_AVAILABLE)

    async def _data(self, path: str) -> bytes | None:
        try:
            data: bytes | None = (await self._zk.get(path))[0]
            return data
        except NoNode:
            return None


def _owner(batch: list[PendingOffset], operation: Op) -> PendingOffset:
    return next(pending for pending in batch if operation.path in (pending.path, pending.extra_path))


def _taken(items: list[PendingOffset]) -> list[PendingOffset]:
    taken, items[:] = items[:], []
    return taken
