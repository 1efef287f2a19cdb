"""Where the cluster keeps committed offsets: a fact of the cluster, read from the registrations of its brokers.

Each of our brokers announces its `offsets.storage`. In ZooKeeper only while every registered broker announces that;
with a broker of Apache Kafka among them, which announces nothing, or one that says so, offsets are in
`__consumer_offsets`, where any coordinator finds them. Called by partition_offsets.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from kafkalike.cluster import zookeeper
from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.encoding import decode_or_none, numbers
from zk import recipes
from zk.client import ConnectionClosed, ConnectionLoss, SessionExpired, ZkClient, gather

log = logging.getLogger("kafka.coordinator.offsets")

ZOOKEEPER, KAFKA = "zookeeper", "kafka"


def storage_of(announced: Mapping[int, str | None]) -> str:
    """Where a cluster keeps offsets when its brokers announce this (None: a broker announces nothing)."""
    return ZOOKEEPER if all(each == ZOOKEEPER for each in announced.values()) else KAFKA


def announcement(broker_id: int, data: bytes | None) -> str | None:
    """What a registration says; a broker whose registration cannot be read announces nothing."""
    node = decode_or_none(BrokerNode, data, broker_id)
    said = node.extra.get(BrokerNode.OFFSETS_STORAGE) if node is not None else None
    return said if isinstance(said, str) else None


class OffsetsStorage:
    """Where offsets are (`current`, None until it is known), and who is told when that changes."""

    def __init__(self, zk: ZkClient, broker_id: int, changed: Callable[[], None]) -> None:
        """`changed()` is called after each change, not for the first value."""
        self._zk = zk
        self._broker_id = broker_id
        self._changed = changed
        self._watch = zookeeper.watch_children(zk, BrokerNode, self._registered)
        self._asked = 0
        self._waiting: list[Deferred[None]] = []
        self.announced: dict[int, str | None] = {}
        self.current: str | None = None

    def start(self) -> None:
        """Begins to watch."""
        # Whether the first look succeeds or not, known() waits for one that does.
        self._watch.start().addErrback(lambda _: None)

    def stop(self) -> None:
        """Watches no more."""
        self._watch.stop()

    def known(self) -> Deferred[None]:
        """Fires when it is known where offsets are."""
        answer: Deferred[None] = Deferred()
        if self.current is None:
            self._waiting.append(answer)
        else:
            answer.callback(None)
        return answer

    def announces_zookeeper(self, broker_id: int) -> bool:
        """Whether that broker finds offsets that are in ZooKeeper."""
        return broker_id == self._broker_id or self.announced.get(broker_id) == ZOOKEEPER

    def _registered(self, names: list[str]) -> None:
        self._asked += 1
        ids = numbers(names)
        ensureDeferred(self._read(self._asked, ids)).addErrback(self._failed)

    async def _read(self, asked: int, ids: list[int]) -> None:
        found = await gather([recipes.get_or_none(self._zk, BrokerNode.path(each)) for each in ids])
        if asked != self._asked:
            return
        # A broker that went between the two reads is the subject of the next event.
        there = {each: node[0] for each, node in zip(ids, found, strict=True) if node is not None}
        self.announced = {each: announcement(each, data) for each, data in there.items()}
        before, self.current = self.current, storage_of(self.announced)
        if before is None:
            waiting, self._waiting = self._waiting, []
            for answer in waiting:
                answer.callback(None)
        elif before != self.current:
            others = sorted(each for each, said in self.announced.items() if said != ZOOKEEPER)
            log.info(
                "Committed offsets are in %s now%s",
                "ZooKeeper" if self.current == ZOOKEEPER else "__consumer_offsets",
                f", because of broker {', '.join(map(str, others))}" if others else "",
            )
            self._changed()

    def _failed(self, failure: Failure) -> None:
        # The watch reads again when the connection is back.
        if not failure.check(ConnectionLoss, SessionExpired, ConnectionClosed):
            log.error("The registrations cannot be read: %s", failure.getTraceback())
