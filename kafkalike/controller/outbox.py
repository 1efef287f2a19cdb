"""The controller's control requests: each broker has one queue, from which one request at a time is sent, in order.

The outbox sends a request again until it is answered or the broker is disconnected: the broker may have carried it out
already, but the epochs in every control request make the second time harmless. Responses go to the controller, those
with an error code in them too.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from kafkalike.clock import Timers

log = logging.getLogger(__name__)

Answered = Callable[[int, Any, Any], Any]
Post = Callable[[int, Any], Any]


class Outbox:
    """All queues of one term."""

    def __init__(self, send: Post, answered: Answered, timers: Timers) -> None:
        """`send(broker_id, request)` gives a Deferred of the response; `answered(broker_id, request, response)`."""
        self._send = send
        self._answered = answered
        self._timers = timers
        self._queues: dict[int, _Queue] = {}

    def connect(self, broker_id: int) -> None:
        """Opens the broker's queue."""
        self.disconnect(broker_id)
        self._queues[broker_id] = _Queue(broker_id, self._send, self._answered, self._timers)

    def disconnect(self, broker_id: int) -> None:
        """Drops the broker's queue, and the response to the request that is under way."""
        queue = self._queues.pop(broker_id, None)
        if queue is not None:
            queue.close()

    def put(self, broker_id: int, request: Any) -> None:
        """Queues a request; a request to a broker that is not connected is dropped."""
        queue = self._queues.get(broker_id)
        if queue is not None:
            queue.put(request)

    def close(self) -> None:
        """Drops the queues of all brokers."""
        for broker_id in list(self._queues):
            self.disconnect(broker_id)


class _Queue:
    RETRY_SECONDS = 0.1

    def __init__(self, broker_id: int, send: Post, answered: Answered, timers: Timers) -> None:
        self._broker_id = broker_id
        self._send = send
        self._answered = answered
        self._timers = timers
        self._waiting: deque[Any] = deque()
        self._busy = False
        self._closed = False
        self._failures = 0

    def put(self, request: Any) -> None:
        self._waiting.append(request)
        if not self._busy:
            self._busy = True
            self._next()

    def close(self) -> None:
        self._closed = True
        self._waiting.clear()

    def _next(self) -> None:
        # A loop and not a callback that calls itself: our own broker answers before `send` returns.
        while self._waiting and not self._closed:
            request = self._waiting[0]
            outcome: list[Any] = []
            answer: Deferred[Any] = maybeDeferred(self._send, self._broker_id, request)
            answer.addBoth(outcome.append)
            if not outcome:
                answer.addBoth(self._later, request, outcome)
                return
            if not self._may_go_on(request, outcome[0]):
                return
        self._busy = False

    def _later(self, _: Any, request: Any, outcome: list[Any]) -> None:
        if self._may_go_on(request, outcome[0]):
            self._next()

    def _may_go_on(self, request: Any, outcome: Any) -> bool:
        """Notes what became of a request; whether the next one may be sent now."""
        if self._closed:
            return False
        if isinstance(outcome, Failure):
            if self._failures % 100 == 0:
                name = type(request).__module__.rpartition(".")[2]
                log.warning("%s to broker %d: %s; trying again", name, self._broker_id, outcome.getErrorMessage())
            self._failures += 1
            self._timers.callLater(self.RETRY_SECONDS, self._next)
            return False
        self._failures = 0
        self._waiting.popleft()
        self._answered(self._broker_id, request, outcome)
        return True
