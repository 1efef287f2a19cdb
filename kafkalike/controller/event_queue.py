"""The controller's events, carried out one at a time in the order in which they came."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import ensureDeferred

from kafkalike.clock import Timers
from kafkalike.cluster.znodes.admin import DeleteTopicNode, PreferredElectionNode, ReassignNode
from kafkalike.cluster.znodes.brokers import BrokerNode, LogDirEvent
from kafkalike.cluster.znodes.topics import ISR_CHANGES, TopicNode
from kafkalike.controller.effects import Superseded
from kafkalike.metrics import Timer
from zk.client import ConnectionClosed, ConnectionLoss, SessionExpired

log = logging.getLogger(__name__)

EVENT_QUEUE_TIME = Timer("kafka.controller:type=ControllerEventManager,name=EventQueueTimeMs")
ELECTION_TIME = Timer("kafka.controller:type=ControllerStats,name=LeaderElectionRateAndTimeMs")
# How long an event takes, by the first word of its key, or by the znode that has changed.
EVENT_TIMES = {
    "presumed dead": ELECTION_TIME,
    BrokerNode.directory(): ELECTION_TIME,
    "elect": Timer("kafka.controller:type=ControllerStats,name=ControllerChangeRateAndTimeMs"),
    TopicNode.directory(): Timer("kafka.controller:type=ControllerStats,name=TopicChangeRateAndTimeMs"),
    DeleteTopicNode.directory(): Timer("kafka.controller:type=ControllerStats,name=TopicDeletionRateAndTimeMs"),
    ISR_CHANGES: Timer("kafka.controller:type=ControllerStats,name=IsrChangeRateAndTimeMs"),
    LogDirEvent.directory(): Timer("kafka.controller:type=ControllerStats,name=LogDirChangeRateAndTimeMs"),
    ReassignNode.path(): Timer("kafka.controller:type=ControllerStats,name=PartitionReassignmentRateAndTimeMs"),
    PreferredElectionNode.path(): Timer("kafka.controller:type=ControllerStats,name=ManualLeaderBalanceRateAndTimeMs"),
}

Event = Callable[[], Awaitable[None]]

INTERRUPTIONS: dict[type[Exception], str] = {
    ConnectionLoss: "the connection to ZooKeeper is lost",
    SessionExpired: "the ZooKeeper session has expired",
    ConnectionClosed: "the ZooKeeper session is closed",
}


class EventQueue:
    """Events that wait, each under a key."""

    def __init__(self, timers: Timers, superseded: Callable[[str], None]) -> None:
        """`superseded(why)` is called when an event finds out that another controller was elected."""
        self._timers = timers
        self._superseded = superseded
        self._waiting: deque[tuple[Any, Event, float]] = deque()
        self._keys: set[Any] = set()
        self._busy = False

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._waiting)

    def put(self, key: Any, event: Event) -> None:
        """Queues an event, unless one with this key waits already: events say that something changed, not what."""
        if key in self._keys:
            return
        self._keys.add(key)
        self._waiting.append((key, event, self._timers.seconds()))
        if not self._busy:
            self._busy = True
            ensureDeferred(self._run()).addErrback(lambda failure: log.critical("controller: %s", failure))

    async def _run(self) -> None:
        while self._waiting:
            key, event, queued_at = self._waiting.popleft()
            self._keys.discard(key)
            began = self._timers.seconds()
            EVENT_QUEUE_TIME.update(1000 * (began - queued_at))
            try:
                await event()
            except Superseded as error:
                self._superseded(str(error))
            except (SessionExpired, ConnectionLoss) as error:
                log.info("%s is interrupted: %s", key, INTERRUPTIONS[type(error)])
            except Exception:
                log.exception("controller event %s", key)
            if (timer := EVENT_TIMES.get(_subject(key))) is not None:
                timer.update(1000 * (self._timers.seconds() - began))
        self._busy = False


def _subject(key: Any) -> Any:
    """The key in EVENT_TIMES under which an event is measured."""
    if isinstance(key, tuple):
        return key[1] if key[0] == "changed" else key[0]
    return key
