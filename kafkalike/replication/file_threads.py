"""Threads for work on files: fsync, recovery, checkpoints, checks of segments. They are started here and nowhere else.

A process may be allowed no further thread (ulimit -u, pids.max). The work then waits until there is one: periodic work
must not end for it, and no flush may be under way for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet import threads
from twisted.internet.defer import Deferred

log = logging.getLogger("kafka.log.LogManager")

RETRY_SECONDS = 1.0

R = TypeVar("R")


def in_thread(reactor: Any, work: Callable[[], R]) -> Deferred[R]:
    """Does the work in a thread of the reactor's pool; its outcome is heard on the reactor's thread."""
    try:
        return threads.deferToThreadPool(reactor, reactor.getThreadPool(), work)
    except RuntimeError as problem:  # what Python says when the system refuses a thread
        log.warning("Work on files waits for a thread: %s", problem)
    outcome: Deferred[R] = Deferred()
    reactor.callLater(RETRY_SECONDS, lambda: in_thread(reactor, work).chainDeferred(outcome))
    return outcome
