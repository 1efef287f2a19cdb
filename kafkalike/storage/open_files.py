"""How many segments' files are open, in all logs of this process, and whom to tell when they are too many.

A process has so many file descriptors and no more, and clients' connections need them too. A segment's file stays open
for the next append or read; one that is closed is opened again when it is wanted (Log.rest). Nothing is closed within
the turn of the reactor that finds that there are too many: a range of a file that was read a moment ago has its
descriptor, and is not held yet.
"""

from __future__ import annotations

from collections.abc import Callable


class OpenFiles:
    """A number, a bound, and what is called when the number passes the bound; in any thread."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 1 << 30
        self.on_many: Callable[[], None] = lambda: None

    def opened(self) -> None:
        """One more."""
        self.count += 1
        if self.count > self.most:
            self.on_many()

    def closed(self) -> None:
        """One less."""
        self.count -= 1


OPEN_FILES = OpenFiles()
