"""Fetching from leaders: one connection to each, one Fetch under way on it, incremental sessions.

What is asked and which answers count is decided in `fetch_plan.py`; what an answer does to a log, in `Replicas`. An
answer that is about an earlier leader epoch than the one followed now is dropped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from kafkalike.config import Config
from kafkalike.errors import Error
from kafkalike.metrics import Gauge
from kafkalike.protocol.messages import api_versions, fetch
from kafkalike.replication.fetch_plan import FetchPlan, Following, Position

log = logging.getLogger("kafka.server.ReplicaFetcherThread")

# Kafka names the threads that fetch; here they are one.
CLIENT = "Replica"
MAX_LAG = Gauge("kafka.server:type=ReplicaFetcherManager,name=MaxLag", "clientId")
LAG = Gauge("kafka.server:type=FetcherLagMetrics,name=ConsumerLag", "clientId", "topic", "partition")

FETCH_VERSION = 17  # what inter.broker.protocol.version 3.9 means
FIRST_PAUSE_MS = 10  # after an error; doubled with each one that follows, up to replica.fetch.backoff.ms
Ask = Callable[[int, Any, int, Any], Deferred[Any]]  # broker id, message module, version, request


class Follows(Protocol):
    """What fetchers want of `Replicas`."""

    @property
    def broker_epoch(self) -> int: ...

    def position_of(self, following: Following) -> Position | None: ...

    def held(self, following: Following) -> bool: ...

    def take(self, following: Following, position: Position, data: Any) -> Error: ...


def _monotonic_ms() -> int:
    return int(time.monotonic() * 1000)


class Fetchers:
    """Every leader that this broker follows."""

    def __init__(self, broker_id: int, config: Config, reactor: Any, replicas: Follows, ask: Ask) -> None:
        self._broker_id = broker_id
        self._config = config
        self._reactor = reactor
        self._replicas = replicas
        self._ask = ask
        self._fetchers: dict[int, _Fetcher] = {}
        self._new: dict[_Fetcher, None] = {}  # those with partitions that are new
        MAX_LAG.watch(self, lambda each: [((CLIENT,), max((f.lag for f in each._followings()), default=0))])
        LAG.watch(self, lambda each: [((CLIENT, f.topic, str(f.index)), f.lag) for f in each._followings()])

    def follow(self, leader: int, following: Following) -> None:
        """Fetches a partition from `leader`, and from nobody else; `begin` when all of an order are known."""
        self.leave(following.topic, following.index)
        fetcher = self._fetchers.get(leader)
        if fetcher is None:
            fetcher = self._fetchers[leader] = _Fetcher(
                leader, self._broker_id, self._config, self._reactor, self._replicas, self._ask
            )
        fetcher.plan.add(following)
        self._new[fetcher] = None

    def _followings(self) -> Iterator[Following]:
        for fetcher in list(self._fetchers.values()):
            yield from fetcher.plan.followings

    def begin(self) -> None:
        """Asks for the partitions that are new."""
        new, self._new = self._new, {}
        for fetcher in new:
            fetcher.begin()

    def leave(self, topic: str, index: int) -> None:
        """Fetches a partition no more."""
        for leader, fetcher in list(self._fetchers.items()):
            fetcher.plan.remove(topic, index)
            if not fetcher.plan:
                fetcher.close()
                del self._fetchers[leader]

    def stir(self, topic: str, index: int) -> None:
        """A partition's log begins or ends elsewhere now, and it was no answer that did it."""
        for fetcher in self._fetchers.values():
            fetcher.plan.stir(topic, index)

    def close(self) -> None:
        """Fetches nothing more."""
        for fetcher in self._fetchers.values():
            fetcher.close()
        self._fetchers.clear()


class _Fetcher:
    """The partitions followed from one leader."""

    def __init__(self, leader: int, broker_id: int, config: Config, reactor: Any, replicas: Follows, ask: Ask) -> None:
        self.plan = FetchPlan(config["replica.fetch.max.bytes"])
        self._leader = leader
        self._broker_id = broker_id
        self._reactor = reactor
        self._replicas = replicas
        self._ask = ask
        self._max_wait_ms = config["replica.fetch.wait.max.ms"]
        self._min_bytes = config["replica.fetch.min.bytes"]
        self._max_bytes = config["replica.fetch.response.max.bytes"]
        self._backoff_ms = config["replica.fetch.backoff.ms"]
        self._busy = False
        self._interrupted = False
        self._closed = False
        self._timer: Any = None
        self._failures = 0

    def begin(self) -> None:
        """What is new shall not wait until the leader has something of the others. A leader of our kind ends a
        follower's waiting when it hears more on the connection; Apache's does not, and that is no loss."""
        if not self._busy:
            self.go_on()
        elif not self._interrupted and not self._closed:
            self._interrupted = True
            self._ask(self._leader, api_versions, 0, api_versions.Request()).addErrback(lambda failure: None)

    def go_on(self) -> None:
        """Asks now, unless a request is under way."""
        if self._busy or self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = _monotonic_ms()
        request = self.plan.request(self._replicas.position_of, now, self._replicas.held)
        if request is None:
            due = self.plan.next_time_ms()
            if due is not None:
                self._timer = self._reactor.callLater(max(due - now, 1) / 1000, self._ring)
            return
        request.max_wait_ms = self._max_wait_ms
        request.min_bytes = self._min_bytes
        request.max_bytes = self._max_bytes
        request.replica_state = fetch.ReplicaState(
            replica_id=self._broker_id, replica_epoch=self._replicas.broker_epoch
        )
        self._busy, self._interrupted = True, False
        answer = self._ask(self._leader, fetch, FETCH_VERSION, request)
        answer.addCallbacks(self._answered, self._failed)
        answer.addErrback(self._broken)

    def close(self) -> None:
        """Nothing of an answer that may still come counts."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self.go_on()

    def _answered(self, response: Any) -> None:
        self._busy = False
        if self._closed:
            return
        if self._failures:
            self._failures = 0
            log.info("Fetching from broker %d again", self._leader)
        positions = self.plan.told
        if self.plan.answered(response):
            for topic in response.responses:
                for data in topic.partitions:
                    following = self.plan.find((topic.topic_id, data.partition_index))
                    position = positions.get((topic.topic_id, data.partition_index))
                    if following is not None and position is not None:
                        self._settle(following, self._replicas.take(following, position, data))
        self.go_on()

    def _settle(self, following: Following, error: Error) -> None:
        if error is Error.NONE:
            following.failures = 0
            self.plan.stir(following.topic, following.index)
        elif error is Error.FENCED_LEADER_EPOCH:
            self.plan.fail(following.key)
        else:
            # A new leader may hear of its part later than its followers: the first pauses are short.
            pause = min(self._backoff_ms, FIRST_PAUSE_MS << min(following.failures, 10))
            following.failures += 1
            self.plan.pause(following.key, _monotonic_ms() + pause)

    def _failed(self, failure: Any) -> None:
        self._busy = False
        if self._closed:
            return
        if not self._failures:
            log.warning("Fetching from broker %d: %s", self._leader, failure.getErrorMessage())
        # A leader that was restarted answers again soon: the first tries come quickly.
        self._failures += 1
        pause = min(self._backoff_ms, 50 * 2 ** min(self._failures, 10))
        self.plan.reset(_monotonic_ms() + pause)
        self.go_on()

    def _broken(self, failure: Any) -> None:
        log.error("Fetching from broker %d failed: %s", self._leader, failure.getTraceback())
        self._busy = False
        self.plan.reset()
        if not self._closed:
            self._timer = self._reactor.callLater(self._backoff_ms / 1000, self._ring)
