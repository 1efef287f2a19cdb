"""Fetching from leaders: one connection to each, one Fetch under way on it, incremental sessions.

What is asked and which answers count is decided in `fetch_plan.py`; what an answer does to a log, in `follower.py`. An
answer that is about an earlier leader epoch than the one followed now is dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from twisted.python.failure import Failure

from kafkalike.config import Config
from kafkalike.errors import Error
from kafkalike.metrics import Gauge
from kafkalike.protocol.messages import api_versions, fetch
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.fetch_plan import FetchPlan, Following
from kafkalike.replication.follower import FollowedPartitions

log = logging.getLogger("kafka.server.ReplicaFetcherThread")

# Kafka names the threads that fetch; here they are one.
CLIENT = "Replica"
MAX_LAG = Gauge("kafka.server:type=ReplicaFetcherManager,name=MaxLag", "clientId")
FAILED = Gauge("kafka.server:type=ReplicaFetcherManager,name=FailedPartitionsCount", "clientId")
LAG = Gauge("kafka.server:type=FetcherLagMetrics,name=ConsumerLag", "clientId", "topic", "partition")

FETCH_VERSION = 17  # what inter.broker.protocol.version 3.9 means
FIRST_PAUSE_MS = 10  # after an error; doubled with each one that follows, up to replica.fetch.backoff.ms


class Fetchers:
    """A fetcher for each broker that leads what this broker follows."""

    def __init__(self, followed: FollowedPartitions, cluster: ClusterView, config: Config, reactor: Any) -> None:
        self._followed = followed
        self._cluster = cluster
        self._config = config
        self._reactor = reactor
        self._fetchers: dict[int, _Fetcher] = {}
        self._new: dict[_Fetcher, None] = {}  # those with partitions that are new
        MAX_LAG.watch(self, lambda each: [((CLIENT,), max((f.lag for f in each._followings()), default=0))])
        FAILED.watch(self, lambda each: [((CLIENT,), sum(f.plan.failed_count for f in each._fetchers.values()))])
        LAG.watch(self, lambda each: [((CLIENT, f.topic, str(f.index)), f.lag) for f in each._followings()])

    def follow(self, leader: int, following: Following) -> None:
        """Fetches a partition from `leader` and from no other broker, once `begin` is called."""
        self.leave(following.topic, following.index)
        fetcher = self._fetchers.get(leader)
        if fetcher is None:
            fetcher = _Fetcher(leader, self._followed, self._cluster, self._config, self._reactor)
            self._fetchers[leader] = fetcher
        fetcher.plan.add(following)
        self._new[fetcher] = None

    def _followings(self) -> Iterator[Following]:
        for fetcher in list(self._fetchers.values()):
            yield from fetcher.plan.followings

    def begin(self) -> None:
        """Sends requests for the partitions that were added by `follow`."""
        new, self._new = self._new, {}
        for fetcher in new:
            fetcher.begin()

    def leave(self, topic: str, index: int) -> None:
        """Ends the fetching of a partition."""
        for leader, fetcher in list(self._fetchers.items()):
            fetcher.plan.remove(topic, index)
            if not fetcher.plan:
                fetcher.close()
                del self._fetchers[leader]

    def stir(self, topic: str, index: int) -> None:
        """Hears that a partition's log begins or ends elsewhere now, though no response of its leader moved it."""
        for fetcher in self._fetchers.values():
            fetcher.plan.stir(topic, index)

    def close(self) -> None:
        """Ends all fetching."""
        for fetcher in self._fetchers.values():
            fetcher.close()
        self._fetchers.clear()


class _Fetcher:
    """Fetches the partitions that one other broker leads."""

    def __init__(
        self, leader: int, followed: FollowedPartitions, cluster: ClusterView, config: Config, reactor: Any
    ) -> None:
        self.plan = FetchPlan(config["replica.fetch.max.bytes"])
        self._leader = leader
        self._followed = followed
        self._cluster = cluster
        self._reactor = reactor
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
            self._cluster.ask(self._leader, api_versions, 0, api_versions.Request()).addErrback(lambda failure: None)

    def go_on(self) -> None:
        """Sends the next request, unless one is under way."""
        if self._busy or self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._cluster.clock.monotonic_ms()
        request = self.plan.request(self._followed.position_of, now, self._followed.held)
        if request is None:
            due = self.plan.next_time_ms()
            if due is not None:
                self._timer = self._reactor.callLater(max(due - now, 1) / 1000, self._timed_out)
            return
        request.max_wait_ms = self._max_wait_ms
        request.min_bytes = self._min_bytes
        request.max_bytes = self._max_bytes
        request.replica_state = fetch.ReplicaState(
            replica_id=self._cluster.broker_id, replica_epoch=self._cluster.broker_epoch()
        )
        self._busy, self._interrupted = True, False
        answer = self._cluster.ask(self._leader, fetch, FETCH_VERSION, request)
        answer.addCallbacks(self._answered, self._failed)
        answer.addErrback(self._broken)

    def close(self) -> None:
        """Ends the fetching; a response that may still come is dropped."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        self._timer = None
        self.go_on()

    def _answered(self, response: fetch.Response) -> None:
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
                        error = self._followed.take(following, position, data, self.plan.stir)
                        self._schedule(following, error)
        self.go_on()

    def _schedule(self, following: Following, error: Error) -> None:
        """Decides when a partition is fetched next, after a response with this outcome."""
        if error is Error.NONE:
            following.failures = 0
            self.plan.stir(following.topic, following.index)
        elif error is Error.FENCED_LEADER_EPOCH:
            self.plan.fail(following.key)
        else:
            # A new leader may hear of its part later than its followers: the first pauses are short.
            pause = min(self._backoff_ms, FIRST_PAUSE_MS << min(following.failures, 10))
            following.failures += 1
            self.plan.pause(following.key, self._cluster.clock.monotonic_ms() + pause)

    def _failed(self, failure: Failure) -> None:
        self._busy = False
        if self._closed:
            return
        if not self._failures:
            log.warning("Fetching from broker %d: %s", self._leader, failure.getErrorMessage())
        # A leader that was restarted answers again soon: the first tries come quickly.
        self._failures += 1
        pause = min(self._backoff_ms, 50 * 2 ** min(self._failures, 10))
        self.plan.reset(self._cluster.clock.monotonic_ms() + pause)
        self.go_on()

    def _broken(self, failure: Failure) -> None:
        log.error("Fetching from broker %d failed: %s", self._leader, failure.getTraceback())
        self._busy = False
        self.plan.reset()
        if not self._closed:
            self._timer = self._reactor.callLater(self._backoff_ms / 1000, self._timed_out)
