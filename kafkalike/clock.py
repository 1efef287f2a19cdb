"""The time, as a value that is handed down: who needs it gets a `Clock` at construction, or the number `now_ms`.

The broker makes one clock and one source of random numbers for everything in it (`Broker(..., clock=, rng=)`). Nothing
below it calls the module `time`, so that a test or the simulation decides what time it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol


class Clock:
    """The clocks of this machine. A subclass that tells another time overrides both methods."""

    __slots__ = ()

    def wall_ms(self) -> int:
        """Milliseconds since 1970. The operator may set this clock, in either direction."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds since some moment. This clock is never set: what lasts and what is due is measured by it."""
        return time.monotonic_ns() // 1_000_000


class Timers(Protocol):
    """The part of a reactor that does something later."""

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls `callable` after `delay` seconds; gives a call that can be cancelled."""

    def seconds(self) -> float:
        """The clock by which delays are measured."""
