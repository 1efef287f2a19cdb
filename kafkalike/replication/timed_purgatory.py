"""The purgatory with a clock: it ends the waiting of requests when their time is over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafkalike.clock import Clock
from kafkalike.replication.purgatory import Purgatory, Waiter


class TimedPurgatory(Purgatory):
    """A purgatory with one timer for all requests that wait."""

    def __init__(self, reactor: Any, clock: Clock) -> None:
        super().__init__()
        self._reactor = reactor
        self._clock = clock
        self._timer: Any = None
        self._timer_ms = 0

    def wait(self, waiter: Waiter, keys: Iterable[tuple[str, int]], timeout_ms: int) -> None:
        """Keeps a request until one of `keys` is woken and it can answer, or its time is over."""
        deadline_ms = self._clock.monotonic_ms() + max(timeout_ms, 0)
        self.watch(waiter, keys, deadline_ms)
        if self._timer is None or deadline_ms < self._timer_ms:
            self._set_timer()

    def stop(self) -> None:
        """Lets no further request expire."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _set_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        due_ms = self.next_deadline_ms
        if due_ms is None:
            self._timer = None
            return
        self._timer_ms = due_ms
        pause_ms = max(due_ms - self._clock.monotonic_ms(), 0)
        self._timer = self._reactor.callLater(pause_ms / 1000, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.expire(self._clock.monotonic_ms())
        self._set_timer()
