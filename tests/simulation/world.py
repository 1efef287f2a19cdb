"""The scheduler: one heap of events, one simulated time, and for every machine a clock and a reactor of its own.

Deterministic: events at the same time run in the order in which they were scheduled, and there is one random source.
An event that belongs to a machine is dropped when that machine's life has ended, and kept while it is paused.
"""

from __future__ import annotations

import heapq
import random
import traceback
from collections.abc import Callable
from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled

TURN_S = 1e-6
STILL = 20_000  # events at one moment that mean that it never ends


class Violation(Exception):
    """An invariant does not hold."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail


class Event:
    """An event that will happen. `call` is None once it was cancelled or has happened."""

    __slots__ = ("time", "call", "args", "machine", "life")

    def __init__(
        self, time: float, call: Callable[..., Any] | None, args: tuple[Any, ...], machine: Machine | None
    ) -> None:
        self.time = time
        self.call = call
        self.args = args
        self.machine = machine
        self.life = machine.life if machine is not None else 0

    def cancel(self) -> None:
        """Cancels the event."""
        self.call = None


class Machine:
    """Something with a clock that runs, stops and starts: a broker's host, a client's."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.life = 0  # grows whenever what ran here ends
        self.running = False
        self.paused = False
        self.held: list[Event] = []  # what came while it was paused
        self.skew = 0.0
        self.rate = 1.0

    def monotonic(self) -> float:
        """Seconds of this machine's clock, which may run too fast or too slow."""
        return self.world.now * self.rate

    def wall(self) -> float:
        """What this machine believes the time of day is."""
        return 1_700_000_000.0 + self.skew + self.world.now * self.rate

    def pause(self) -> None:
        """Nothing happens here until it is resumed; nobody is told."""
        self.paused = True

    def resume(self) -> None:
        """Runs the events that were held back during the pause."""
        self.paused = False
        held, self.held = self.held, []
        for event in held:
            if event.call is not None:
                self.world.put(event)

    def end(self) -> None:
        """What ran here is gone."""
        self.life += 1
        self.running = False
        self.paused = False
        self.held.clear()


class World:
    """Time, events, randomness."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # what happens to the brokers
        self.product_random = random.Random(seed)  # what the brokers draw themselves
        self.now = 0.0
        self.events = 0
        self.current: Machine | None = None
        self.after: Callable[[Machine | None], None] | None = None  # called after every event
        self.trace: Callable[[str], None] | None = None
        self.met: dict[str, int] = {}  # situations.py
        self.violation: Violation | None = None  # one that was found where exceptions do not get out
        self._still = 0
        self._heap: list[tuple[float, int, Event]] = []
        self._count = 0

    def at(self, delay: float, call: Callable[..., Any], *args: Any, machine: Machine | None = None) -> Event:
        """Schedules an event."""
        return self.at_time(self.now + delay, call, *args, machine=machine)

    def at_time(self, time: float, call: Callable[..., Any], *args: Any, machine: Machine | None = None) -> Event:
        """Schedules an event at exactly that time: events at the same time keep their order."""
        event = Event(time, call, args, machine)
        self._count += 1
        heapq.heappush(self._heap, (time, self._count, event))
        return event

    def put(self, event: Event) -> None:
        """Schedules an event that was held, for now."""
        event.time = self.now
        self._count += 1
        heapq.heappush(self._heap, (event.time, self._count, event))

    def run(self, until: float, done: Callable[[], bool] | None = None, every: float = 0.25) -> bool:
        """Lets everything happen up to a time, or until `done`, which is asked now and then; whether it was."""
        heap = self._heap
        pop = heapq.heappop
        ask = self.now
        while heap and heap[0][0] <= until:
            if done is not None and heap[0][0] >= ask:
                if done():
                    return True
                ask = heap[0][0] + every
            time, _, event = pop(heap)
            call = event.call
            if call is None:
                continue
            machine = event.machine
            if machine is not None:
                if event.life != machine.life:
                    continue
                if machine.paused:
                    machine.held.append(event)
                    continue
            if time > self.now:
                self.now = time
                self._still = 0
            else:
                self._still += 1
                if self._still > STILL:
                    raise Violation("TimePasses", f"{STILL} events at once, the last is {call}")
            event.call = None
            self.events += 1
            self.current = machine
            try:
                call(*event.args)
            except Violation:
                raise
            except Exception as error:
                raise Violation("NoException", "".join(traceback.format_exception(error))) from error
            if self.after is not None:
                self.after(machine)
            if self.violation is not None:
                raise self.violation
            self.current = None
        self.now = max(self.now, until)
        return done is not None and done()

    def meet(self, situation: str) -> None:
        """Counts one of situations.py."""
        self.met[situation] = self.met.get(situation, 0) + 1

    def note(self, text: str, *args: Any) -> None:
        """A line for the trace."""
        if self.trace is not None:
            who = self.current.name if self.current is not None else "-"
            self.trace(f"{self.now:11.6f} {who:4} {text % args if args else text}")


class DelayedCall:
    """Twisted's, on the machine's clock."""

    __slots__ = ("_reactor", "_event", "_time", "_call", "_called", "_cancelled")

    def __init__(self, reactor: Reactor, time: float, call: Callable[[], Any]) -> None:
        self._reactor = reactor
        self._time = time
        self._call = call
        self._called = False
        self._cancelled = False
        self._schedule()

    def _schedule(self) -> None:
        machine = self._reactor.machine
        # A turn of a reactor takes time, and no timer is exact: else a clock that rounds down is asked for ever.
        delay = max(self._time - machine.monotonic(), 0) / machine.rate + TURN_S
        self._event = machine.world.at(delay, self._ring, machine=machine)

    def _ring(self) -> None:
        self._called = True
        self._call()

    def getTime(self) -> float:
        return self._time

    def active(self) -> bool:
        return not (self._called or self._cancelled)

    def _check(self) -> None:
        if self._cancelled:
            raise AlreadyCancelled
        if self._called:
            raise AlreadyCalled

    def cancel(self) -> None:
        self._check()
        self._cancelled = True
        self._event.cancel()

    def reset(self, delay: float) -> None:
        self._check()
        self._event.cancel()
        self._time = self._reactor.machine.monotonic() + delay
        self._schedule()

    def delay(self, more: float) -> None:
        self._check()
        self._event.cancel()
        self._time += more
        self._schedule()


class Reactor:
    """What the product wants of Twisted's reactor, for one life of a machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._life = machine.life

    def seconds(self) -> float:
        return self.machine.monotonic()

    def callLater(self, delay: float, call: Callable[..., Any], *args: Any, **kwargs: Any) -> DelayedCall:
        if self._life != self.machine.life:
            return _Never(self, self.seconds() + delay, call)
        return DelayedCall(self, self.seconds() + delay, lambda: call(*args, **kwargs))

    def callFromThread(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.callLater(0, call, *args, **kwargs)

    def callWhenRunning(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.callLater(0, call, *args, **kwargs)

    def addSystemEventTrigger(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the reactor never stops."""

    def getThreadPool(self) -> Reactor:
        """Stands for the pool; see patches.py."""
        return self


class _Never(DelayedCall):
    """A call of a life that has ended."""

    __slots__ = ()

    def _schedule(self) -> None:
        self._event = Event(self._time, None, (), None)
