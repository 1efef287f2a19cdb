"""Holds the current image, and wakes who waits for it to show something.

The replicas of the control requests' fences that concern the whole broker are here too: the highest controller epoch
that was seen. Called by broker/apis/update_metadata.py; read by everything that answers a client.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVarTuple, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from kafkalike.clock import Timers
from kafkalike.cluster.metadata import LEADER_DURING_DELETE, Broker, Image, topic_states
from kafkalike.cluster.znodes.topics import NO_TOPIC_ID
from kafkalike.metrics import Gauge
from kafkalike.protocol.messages import update_metadata

log = logging.getLogger(__name__)

Told = TypeVarTuple("Told")
Predicate = Callable[[Image], bool]
DEPARTED_SECONDS = 5.0

# What kafka_exporter would ask for.
BROKERS = Gauge("kafka_brokers")
TOPIC_PARTITIONS = Gauge("kafka_topic_partitions", "topic")


class MetadataCache:
    """The image of the cluster that one broker has now."""

    def __init__(self, cluster_id: str = "", reactor: Timers | None = None) -> None:
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = cast(Timers, installed)
        self._reactor = reactor
        self.image = Image(cluster_id=cluster_id)
        self.controller_epoch = 0
        self._waiting: dict[Deferred[bool], tuple[Predicate, IDelayedCall]] = {}
        self._callbacks: list[Callable[[Image, Image], object]] = []
        self._on_topics: list[Callable[[frozenset[str], frozenset[str]], object]] = []
        self._suspected: set[int] = set()
        self._departed: dict[int, tuple[Broker, float]] = {}
        BROKERS.watch(self, lambda cache: len(cache.image.brokers))
        TOPIC_PARTITIONS.watch(
            self, lambda cache: [((name,), len(topic.partitions)) for name, topic in cache.image.topics.items()]
        )

    def apply(self, request: update_metadata.Request) -> None:
        """Takes an UpdateMetadata request over, tells the listeners, then answers who waited for its effect."""
        old, self.image = self.image, self.image.apply(request)
        for callback in self._callbacks:
            _tell(callback, old, self.image)
        deleted, made = _deleted(request, old, self.image), _made(request, old, self.image)
        if deleted or made:
            for each in self._on_topics:
                _tell(each, deleted, made)
        self._suspected &= self.image.brokers.keys()
        if lost := old.brokers.keys() - self.image.brokers.keys():
            led = {state.leader for topic in old.topics.values() for state in topic.partitions.values()}
            until = self._reactor.seconds() + DEPARTED_SECONDS
            self._departed.update({broker_id: (old.brokers[broker_id], until) for broker_id in lost & led})
        self._wake()

    def _wake(self) -> None:
        for answer, (predicate, timer) in list(self._waiting.items()):
            if answer in self._waiting and predicate(self.image):
                del self._waiting[answer]
                timer.cancel()
                answer.callback(True)

    def wait(self, predicate: Predicate, timeout_ms: int) -> Deferred[bool]:
        """True as soon as the image satisfies the predicate, False when it has not within the timeout."""
        answer: Deferred[bool] = Deferred()
        if predicate(self.image):
            answer.callback(True)
        elif timeout_ms <= 0:
            answer.callback(False)
        else:
            timer = self._reactor.callLater(timeout_ms / 1000, self._expire, answer)
            self._waiting[answer] = (predicate, timer)
        return answer

    # A broker whose connection has just ended may be dead. Clients that lost their connections to it ask at once who
    # leads now. The controller tells this broker in a moment; a client that is told the old leader may not ask again
    # for a second.

    def suspect_dead(self, broker_id: int) -> None:
        """Notes that a broker may be dead, until `trust_alive` or until the controller says that it is."""
        if broker_id in self.image.brokers:
            self._suspected.add(broker_id)

    def trust_alive(self, broker_id: int) -> None:
        """Notes that a broker is alive, or that it is not known to be dead."""
        if broker_id in self._suspected:
            self._suspected.discard(broker_id)
            self._wake()

    def leaders_trusted(self, timeout_ms: int) -> Deferred[bool]:
        """Fires with True as soon as no partition is led by a broker that may be dead, or with False after the
        timeout."""
        return self.wait(self._leaders_are_trusted, timeout_ms)

    def _leaders_are_trusted(self, image: Image) -> bool:
        return not self._suspected or not any(
            state.leader in self._suspected for topic in image.topics.values() for state in topic.partitions.values()
        )

    def departed(self) -> list[Broker]:
        """The brokers that were lost a moment ago and led partitions then. librdkafka drops a broker that a response
        does not show, and with it its partitions, for a second, though the same response says who leads them now."""
        now = self._reactor.seconds()
        self._departed = {
            broker_id: (broker, until)
            for broker_id, (broker, until) in self._departed.items()
            if until > now and broker_id not in self.image.brokers
        }
        return [broker for broker, _ in self._departed.values()]

    def on_change(self, callback: Callable[[Image, Image], object]) -> None:
        """Calls `callback(old, new)` after each change."""
        self._callbacks.append(callback)

    def on_topics(self, callback: Callable[[frozenset[str], frozenset[str]], object]) -> None:
        """Calls `callback(deleted, made)` with the names of topics. They are deleted as often as the controller says
        so, since whoever was to act on it the first time may not have lived to; and when the image shows them no more.
        """
        self._on_topics.append(callback)

    def _expire(self, answer: Deferred[bool]) -> None:
        del self._waiting[answer]
        answer.callback(False)


def _deleted(request: update_metadata.Request, old: Image, new: Image) -> frozenset[str]:
    told = {
        name
        for name, _, states in topic_states(request)
        if any(state.leader == LEADER_DURING_DELETE for state in states)
    }
    gone = {name for name, topic in old.topics.items() if name not in new.topics}
    # An id that a topic without one is given makes it no other topic.
    anew = {
        name
        for name, topic in old.topics.items()
        if name in new.topics and topic.id != new.topics[name].id and topic.id != NO_TOPIC_ID
    }
    return frozenset(told | gone | anew)


def _made(request: update_metadata.Request, old: Image, new: Image) -> frozenset[str]:
    there = {name: topic_id for name, topic_id, _ in topic_states(request) if name in new.topics}
    return frozenset(
        name
        for name, topic_id in there.items()
        if (topic_id not in old.names if topic_id != NO_TOPIC_ID else name not in old.topics)
    )


def _tell(callback: Callable[[*Told], object], *what: *Told) -> None:
    try:
        callback(*what)
    except Exception:
        log.exception("listener of the cluster's metadata")
