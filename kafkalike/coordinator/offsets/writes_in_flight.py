"""Writes of offsets that have begun and are not answered yet, and how many of them are made at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class WritesInFlight:
    """The number of writes that are not answered yet, and who waits until there is none."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: list[Deferred[None]] = []

    def counted(self, done: Callable[[T], None]) -> Callable[[T], None]:
        """The same `done`, for a write that is in flight until it is called."""
        self.count += 1

        def answered(result: T) -> None:
            self.count -= 1
            done(result)
            if not self.count:
                waiting, self._waiting = self._waiting, []
                for answer in waiting:
                    answer.callback(None)

        return answered

    def all_answered(self) -> Deferred[None]:
        """Fires when none is in flight."""
        answer: Deferred[None] = Deferred()
        if self.count:
            self._waiting.append(answer)
        else:
            answer.callback(None)
        return answer


def slices(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """The items in order, so many at once."""
    return (list(items[start : start + size]) for start in range(0, len(items), size))
