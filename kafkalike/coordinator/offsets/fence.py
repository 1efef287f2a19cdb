"""What keeps a coordinator that has been replaced from changing committed offsets in ZooKeeper.

Each write is a multi that begins with a check of the state znode of the group's partition of __consumer_offsets. The
version that is checked is one under which this broker has seen itself lead. Called by znode_commits.py, which writes,
and znode_offsets.py, which removes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from kafkalike.cluster import zookeeper
from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.cluster.znodes.topics import PartitionNode
from zk.client import CONNECTED, ConnectionClosed, ConnectionLoss, NoNode, SessionExpired, ZkClient

log = logging.getLogger("kafka.coordinator.offsets")

AMBIGUOUS = (ConnectionLoss, SessionExpired)
ASK_AGAIN_SECONDS = 1.0


class Fence:
    """This broker's leadership of one __consumer_offsets partition, as the version of its state node proves it."""

    def __init__(self, partition: int, leader_epoch: int) -> None:
        self.partition = partition
        self.leader_epoch = leader_epoch
        self.path = PartitionNode.path(GROUP_METADATA, partition)
        self.version = -1  # of the state node; -1 while it is not known
        self.lost = False  # for good: another broker leads, or this one in a later epoch
        self.asking = False
        self.interrupted = False  # the connection was lost while the node was read
        self.unreadable = False  # the state node, and that has been said
        self.asked: list[Deferred[bool]] = []


class Fences:
    """The fences of the partitions that this broker leads."""

    def __init__(self, zk: ZkClient, broker_id: int, reactor: IReactorTime, decided: Callable[[Fence], None]) -> None:
        """`decided(fence)` is called when a fence has become valid, or is lost."""
        self._zk = zk
        self._broker_id = broker_id
        self._reactor = reactor
        self._decided = decided
        self._all: set[Fence] = set()

    def add(self, partition: int, leader_epoch: int) -> Fence:
        """A fence for a partition that this broker has begun to lead; confirm() makes it valid."""
        fence = Fence(partition, leader_epoch)
        self._all.add(fence)
        return fence

    def confirm(self, fence: Fence) -> Deferred[bool]:
        """Reads the state node, synced, as often as it takes; True if this broker still leads in that epoch."""
        answer: Deferred[bool] = Deferred()
        if fence.lost:
            answer.callback(False)
            return answer
        fence.asked.append(answer)
        self.ask(fence)
        return answer

    def drop(self, fence: Fence) -> None:
        """The partition is led by another broker now."""
        fence.lost = True
        self._all.discard(fence)
        self._decided(fence)
        self._answer(fence, False)

    def ask(self, fence: Fence) -> None:
        """Begins to read the state node, unless it is being read."""
        if not fence.asking and not fence.lost:
            fence.asking, fence.interrupted = True, False
            Deferred.fromCoroutine(self._ask(fence)).addErrback(self._ask_failed, fence)

    def connected(self) -> None:
        """ZooKeeper is connected again: what was interrupted is asked once more."""
        for fence in list(self._all):
            if fence.interrupted:
                self.ask(fence)

    async def _ask(self, fence: Fence) -> None:
        leader_epoch = fence.leader_epoch
        self._zk.sync(fence.path).addErrback(lambda _: None)
        try:
            node, stat = await zookeeper.get(self._zk, PartitionNode, GROUP_METADATA, fence.partition)
        except (NoNode, Garbage) as problem:
            # A missing state does not say that another broker leads; the controller tells that when it has written one.
            self._ask_later(fence, problem)
            return
        fence.asking = fence.unreadable = False
        if fence.lost:
            return
        if fence.leader_epoch != leader_epoch:
            # This broker leads on in another epoch: what was read may be from before it.
            self.ask(fence)
            return
        if (node.leader, node.leader_epoch) != (self._broker_id, fence.leader_epoch):
            log.info("%s-%d: epoch %d of this broker is over", GROUP_METADATA, fence.partition, fence.leader_epoch)
            self.drop(fence)
            return
        fence.version = stat.version
        self._decided(fence)
        self._answer(fence, True)

    def _ask_later(self, fence: Fence, problem: BaseException) -> None:
        if not fence.unreadable and not fence.lost:
            fence.unreadable = True
            name = f"{GROUP_METADATA}-{fence.partition}"
            log.warning("The state of %s cannot be read, trying again: %s", name, problem)
        fence.version = -1
        self._reactor.callLater(ASK_AGAIN_SECONDS, self._ask_now, fence)

    def _ask_now(self, fence: Fence) -> None:
        fence.asking = False
        self.ask(fence)

    def _ask_failed(self, failure: Failure, fence: Fence) -> None:
        if failure.check(*AMBIGUOUS):
            fence.version = -1
            fence.asking, fence.interrupted = False, True
            if self._zk.state == CONNECTED:
                self.ask(fence)
        elif not failure.check(ConnectionClosed):
            assert failure.value is not None
            self._ask_later(fence, failure.value)

    @staticmethod
    def _answer(fence: Fence, leads: bool) -> None:
        asked, fence.asked = fence.asked, []
        for answer in asked:
            answer.callback(leads)
