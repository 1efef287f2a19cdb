"""Requests that wait: for acknowledgements, for bytes, for a deadline.

A waiter is offered its chance when one of its keys is woken and when its deadline has passed; whichever comes first
takes it out. Deadlines are kept in buckets of TICK_MS, so that adding and forgetting a waiter costs a dictionary entry.
`Replicas` wakes keys after appends and high watermark changes, and calls `expire` when `next_deadline_ms` is reached.

Who looks at the same keys with one request after the other subscribes to them, once, and is told of each wake: so a
request of a thousand idle partitions costs no more than one of none.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import Protocol

from kafkalike.metrics import Gauge

SIZE = Gauge("kafka.server:type=DelayedOperationPurgatory,name=PurgatorySize", "delayedOperation")

TICK_MS = 5
MOST = 100  # that expire in one turn of the reactor: others have requests, too


class Waiter(Protocol):
    """Something that waits. Its class has `operation`, which Kafka calls it by, unless that is Produce."""

    def try_finish(self) -> bool:
        """Answers if it can; True when it has."""

    def expire(self) -> None:
        """Answers with what there is, for the request has waited as long as it may."""


class Subscriber(Protocol):
    """A request, or what stands for several, that wants to hear of each wake of its keys."""

    def woken(self, key: Hashable) -> None:
        """Hears that one of its keys was woken."""


class Subscription:
    """A subscriber's wish to hear of its keys, until it is ended."""

    __slots__ = ("_purgatory", "_keys", "_subscriber")

    def __init__(self, purgatory: Purgatory, keys: tuple[Hashable, ...], subscriber: Subscriber) -> None:
        self._purgatory = purgatory
        self._keys = keys
        self._subscriber = subscriber

    def end(self) -> None:
        """The subscriber hears of no further wake."""
        self._purgatory.unsubscribe(self._keys, self._subscriber)


class Purgatory:
    """All requests that wait, by key and by deadline."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, dict[Waiter, None]] = {}
        self._subscribers: dict[Hashable, dict[Subscriber, None]] = {}
        self._places: dict[Waiter, tuple[tuple[Hashable, ...], int]] = {}
        self._buckets: dict[int, dict[Waiter, None]] = {}
        self._order: list[int] = []  # heap of bucket numbers

        SIZE.watch(self, Purgatory.sizes)

    def __len__(self) -> int:
        return len(self._places)

    def sizes(self) -> list[tuple[tuple[str], int]]:
        """How many waiters there are, by the operation that they are part of."""
        counts = Counter(getattr(each, "operation", "Produce") for each in self._places)
        return [((operation,), counts[operation]) for operation in ("Fetch", "Produce")]

    def watch(self, waiter: Waiter, keys: Iterable[Hashable], deadline_ms: int) -> None:
        """Keeps `waiter` until one of `keys` is woken and it finishes, or until its deadline."""
        keys = tuple(keys)
        for key in keys:
            self._by_key.setdefault(key, {})[waiter] = None
        number = -(-deadline_ms // TICK_MS)
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            heapq.heappush(self._order, number)
        bucket[waiter] = None
        self._places[waiter] = (keys, number)

    def forget(self, waiter: Waiter) -> None:
        """Takes a waiter out, if it still waits."""
        place = self._places.pop(waiter, None)
        if place is None:
            return
        keys, number = place
        if keys:
            self._leave_keys(waiter, keys)
        del self._buckets[number][waiter]

    def _leave_keys(self, waiter: Waiter, keys: tuple[Hashable, ...]) -> None:
        for key in keys:
            waiting = self._by_key.get(key)
            if waiting is not None:
                waiting.pop(waiter, None)
                if not waiting:
                    del self._by_key[key]

    def subscribe(self, keys: tuple[Hashable, ...], subscriber: Subscriber) -> Subscription:
        """Tells `subscriber` of each wake of these keys."""
        for key in keys:
            self._subscribers.setdefault(key, {})[subscriber] = None
        return Subscription(self, keys, subscriber)

    def unsubscribe(self, keys: tuple[Hashable, ...], subscriber: Subscriber) -> None:
        """Tells `subscriber` of no further wake of these keys."""
        for key in keys:
            subscribers = self._subscribers.get(key, {})
            subscribers.pop(subscriber, None)
            if not subscribers:
                self._subscribers.pop(key, None)

    def wake(self, key: Hashable) -> None:
        """Tells the subscribers of `key`, and offers every waiter its chance, oldest first."""
        subscribers = self._subscribers.get(key)
        if subscribers:
            for subscriber in list(subscribers):
                subscriber.woken(key)
        waiting = self._by_key.get(key)
        if waiting:
            for waiter in list(waiting):
                if waiter in self._places and waiter.try_finish():
                    self.forget(waiter)

    @property
    def next_deadline_ms(self) -> int | None:
        """The time at which `expire` should be called next."""
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heapq.heappop(self._order)]
        return self._order[0] * TICK_MS if self._order else None

    def expire(self, now_ms: int, most: int = MOST) -> None:
        """Ends the waiting of those whose deadline has passed, of so many at once."""
        while most > 0 and self._order and self._order[0] * TICK_MS <= now_ms:
            bucket = self._buckets[self._order[0]]
            if not bucket:
                del self._buckets[heapq.heappop(self._order)]
            for waiter in list(islice(bucket, most)):
                if waiter in bucket:  # nobody who expired before it has finished it
                    del bucket[waiter]
                    self._leave_keys(waiter, self._places.pop(waiter)[0])
                    waiter.expire()
                    most -= 1
