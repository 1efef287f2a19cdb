"""offsets.commit.timeout.ms: how long whoever needs ZooKeeper for offsets is kept waiting while it is silent.

The requests of a connection are answered in order, so a commit that waits keeps the heartbeats behind it waiting: a
member that sends one commit after the other would hear nothing for minutes, and take its session for over. So the whole
silence counts, and not each wait by itself. Whoever has waited for offsets.commit.timeout.ms is told to try again, and
whoever comes after that is told so at once, for as long as the silence lasts. A member with a short session is not kept
for more than a third of it: since the last heartbeat that was answered, another third may have gone by.

ZooKeeper is silent since its connection was lost, or since the beginning of a wait that was in vain, until it answers.
Made by group_coordinator.py; znode_commits.py and znode_offsets.py ask it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kafkalike.cluster.znodes.consumers import GroupNode
from zk.client import CONNECTED, ZkClient

SHARE = 3  # of a member's session: the part that it may be kept waiting


class CommitTimeout:
    """`seconds` is how long anybody waits; `silent_since` is None while ZooKeeper answers."""

    def __init__(self, zk: ZkClient, timeout_ms: int, reactor: IReactorTime) -> None:
        self._zk = zk
        self._reactor = reactor
        self.seconds = timeout_ms / 1000
        self.silent_since: float | None = None
        zk.add_listener(self._zk_state)

    def stop(self) -> None:
        """Stops listening to the session."""
        self._zk.remove_listener(self._zk_state)

    def of_member(self, session_timeout_ms: int) -> float:
        """How many seconds a member with this session waits."""
        share = session_timeout_ms / 1000 / SHARE
        return share if share < self.seconds else self.seconds

    def due(self, seconds: float) -> float:
        """When a request that comes now, and may wait for so long, is told to try again; that may be at once."""
        now = self._reactor.seconds()
        return now + seconds if self.silent_since is None else max(self.silent_since + seconds, now)

    def is_over(self, seconds: float) -> bool:
        """Whether ZooKeeper has been silent for so long already."""
        return self.silent_since is not None and self.due(seconds) <= self._reactor.seconds()

    def waited_in_vain(self, since: float) -> None:
        """Notes that a request has waited in vain since then."""
        if self.silent_since is None:
            self.silent_since = since
            self._zk.exists(GroupNode.directory()).addCallbacks(self._heard, lambda _: None)

    def _heard(self, _: Any) -> None:
        if self._zk.state == CONNECTED:
            self.silent_since = None

    def _zk_state(self, state: str) -> None:
        if state == CONNECTED:
            self.silent_since = None
        elif self.silent_since is None:
            self.silent_since = self._reactor.seconds()


class Waiting(Protocol):
    """A request that is to be answered at `due`, unless nothing is `left` to answer by then."""

    due: float
    left: int

    def expire(self) -> None:
        """The time has come."""


W = TypeVar("W", bound=Waiting)


class Deadlines(Generic[W]):
    """The requests that wait for ZooKeeper. Those that wait equally long are due in the order in which they came."""

    def __init__(self, timeout: CommitTimeout, reactor: IReactorTime) -> None:
        self._timeout = timeout
        self._reactor = reactor
        self._queues: dict[float, deque[W]] = {}
        self._timer: IDelayedCall | None = None
        self._timer_due = 0.0

    def add(self, waiting: W, seconds: float) -> None:
        """`waiting` expires at its `due`, which is that of one who waits for so many seconds."""
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = deque()
        queue.append(waiting)
        while queue and not queue[0].left:
            queue.popleft()
        if self._timer is None or waiting.due < self._timer_due:
            self._set_timer(waiting.due)

    def clear(self) -> list[W]:
        """Removes and gives all that wait; none expires any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left = [each for queue in self._queues.values() for each in queue if each.left]
        self._queues.clear()
        return left

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._reactor.callLater(max(due - self._reactor.seconds(), 0), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._reactor.seconds()
        for seconds, queue in list(self._queues.items()):
            while queue and (queue[0].due <= now or not queue[0].left):
                waiting = queue.popleft()
                if waiting.left:
                    self._timeout.waited_in_vain(waiting.due - seconds)
                    waiting.expire()
            if not queue:
                self._queues.pop(seconds, None)
        if self._queues:
            self._set_timer(min(queue[0].due for queue in self._queues.values()))
