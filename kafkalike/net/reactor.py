"""Twisted's epoll reactor for many connections: no logging context for each event, and output held back for a moment.

Twisted calls every reader within a context of its own, which names the connection in what Twisted's own log says. No
line of ours asks for it, and it costs as much as decoding a request.

An answer that is sent at once wakes its reader, one by one, which costs as much as making the answer. What `holders`
have to say while a batch of events, timers or threads' calls is dealt with leaves together, after HOLD_S at the latest.
"""

from __future__ import annotations

import errno
from select import EPOLLIN
from time import monotonic
from typing import Any
from typing import Protocol as Interface

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.python import log

from kafkalike.metrics import WINDOW, Gauge, Meter, Timer

TURN_TIME = Timer("kafkalike_reactor_turn_time_ms")
LONG_TURNS = Meter("kafkalike_reactor_long_turns_total")  # during which other events wait noticeably
# One thread reads sockets and handles requests: both of Kafka's pools are idle when it is.
IDLE = Gauge("kafka.network:type=SocketServer,name=NetworkProcessorAvgIdlePercent")
HANDLERS_IDLE = Gauge("kafka.server:type=KafkaRequestHandlerPool,name=RequestHandlerAvgIdlePercent")

MOST = 256  # events that one turn deals with, so that timers are not kept waiting by thousands of them
HOLD_S = 0.002  # an answer waits so long for others, and for what is being done when that time is over
READ = 1 << 16  # what Twisted reads at once; if that is all of one frame and not its end, frames are large
READ_BULK = 1 << 18  # what is read at once from a connection with such frames


class Time:
    """The time, as somebody has read it last: whoever needs no better one pays for no system call.

    `now` is set before each event that the reactor deals with, and whenever somebody reads the clock for another
    reason. `idle` says how long the reactor has waited for events, in all.
    """

    __slots__ = ("now", "idle", "_looked", "_mark", "__weakref__")

    def __init__(self) -> None:
        self.now = monotonic()
        self.idle = 0.0
        self._looked = self._mark = (self.now, 0.0)

    def read(self) -> float:
        """The time now."""
        self.now = monotonic()
        return self.now

    def idle_share(self) -> float:
        """The share of the time that the reactor was idle, since it was asked IDLE_WINDOW_S ago or longer."""
        now = self.read()
        since, idle = self._mark
        if now - self._looked[0] >= IDLE_WINDOW_S:
            self._mark, self._looked = self._looked, (now, self.idle)
        return (self.idle - idle) / (now - since) if now > since else 1.0


LONG_MS = 50
IDLE_WINDOW_S = 10
TIME = Time()
IDLE.watch(TIME, Time.idle_share)
HANDLERS_IDLE.watch(TIME, Time.idle_share)
_TURNS = TURN_TIME.of()


class Holder(Interface):
    """Holds output back while `busy` is not 0."""

    busy: int
    dirty: list[Any]  # what has output

    def flush(self) -> None: ...


class Reactor(EPollReactor):
    """An epoll reactor that handles the most frequent event, that there is something to read, with the least work."""

    def __init__(self) -> None:
        super().__init__()
        self.holders: tuple[Holder, ...] = ()  # another tuple when it changes, as it may while they hold
        self._turn_began = monotonic()

    def runUntilCurrent(self) -> None:
        """Runs what threads asked for, and the timers that are due."""
        holders = self.holders
        for holder in holders:
            holder.busy += 1
        try:
            super().runUntilCurrent()
        finally:
            _release(holders)

    def doPoll(self, timeout: float | None) -> None:
        """Waits for events, for so many seconds at most, and deals with them."""
        selectables = self._selectables
        before = monotonic()
        took_ms = 1000 * (before - self._turn_began)
        _TURNS.newest[_TURNS.count % WINDOW] = took_ms
        _TURNS.count += 1
        _TURNS.sum_ms += took_ms
        if took_ms > LONG_MS:
            LONG_TURNS.mark()
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, MOST)
        except OSError as problem:
            if problem.errno == errno.EINTR:
                return
            raise
        self._turn_began = TIME.now = monotonic()
        TIME.idle += TIME.now - before
        holders = self.holders
        for holder in holders:
            holder.busy += 1
        until = 0.0
        try:
            for fd, event in events:
                if until:
                    TIME.now = monotonic()
                    if TIME.now > until:
                        for holder in holders:
                            holder.flush()
                        until = monotonic() + HOLD_S
                else:
                    until = TIME.now + HOLD_S
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
        finally:
            _release(holders)

    doIteration = doPoll


def _release(holders: tuple[Holder, ...]) -> None:
    for holder in holders:
        holder.busy -= 1
    for holder in holders:
        if holder.dirty and not holder.busy:
            holder.flush()


def install() -> None:
    """Makes a Reactor the reactor of this process."""
    installReactor(Reactor())
