"""Twisted's epoll reactor without a logging context for each event.

Twisted calls every reader within a context of its own, which names the connection in what Twisted's own log says. No
line of ours asks for it, and it costs as much as decoding a request.
"""

from __future__ import annotations

import errno
from select import EPOLLIN
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.python import log

MOST = 256  # events that one turn deals with, so that timers are not kept waiting by thousands of them


class Reactor(EPollReactor):
    """Most events say that there is something to read, and nothing else: these are dealt with at once."""

    def doPoll(self, timeout: float | None) -> None:
        """Waits for events, for so many seconds at most, and deals with them."""
        selectables = self._selectables
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, MOST)
        except OSError as problem:
            if problem.errno == errno.EINTR:
                return
            raise
        for fd, event in events:
            selectable: Any = selectables.get(fd)
            if selectable is None:
                continue
            if event != EPOLLIN:
                self._doReadOrWrite(selectable, fd, event)
                continue
            try:
                why = selectable.doRead()
            except BaseException as problem:  # as in Twisted: it is told, and the connection ends
                log.err()
                why = problem
            if why:
                self._disconnectSelectable(selectable, why, True)

    doIteration = doPoll


def install() -> None:
    """Makes it the process's reactor."""
    installReactor(Reactor())
