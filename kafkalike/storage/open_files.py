"""How many segments' files are open, in all logs of this process, and how many may be.

A process has so many file descriptors and no more, and clients' connections need them too. A segment's file stays open
for the next append or read; one that is closed is opened again when it is wanted (Log.close_files). An append makes
room for its file at once. A read does not: the same request may have read from another log a moment ago, and that range
of a file is not held yet. So reads may open somewhat more, beyond that they are refused, and files are closed in a turn
of the reactor of its own.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

SLACK = 16  # files beyond `most` that reads may open


class OpenFiles:
    """A number and its bound. `on_many` is called, in any thread, when the number passes the bound; `close_some` closes
    files, on the reactor's thread and not within a read."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 1 << 30
        self.on_many: Callable[[], None] = lambda: None
        self.close_some: Callable[[], None] = lambda: None

    def make_room(self) -> None:
        """Closes other files before an append opens one."""
        if self.count >= self.most:
            self.close_some()

    def opening(self, path: str) -> None:
        """Raises what the system would raise if this file were one too many."""
        if self.count >= self.most + SLACK:
            raise OSError(errno.EMFILE, "Too many open files", path)

    def opened(self) -> None:
        """Counts one open file more."""
        self.count += 1
        if self.count > self.most:
            self.on_many()

    def closed(self) -> None:
        """Counts one open file less."""
        self.count -= 1


OPEN_FILES = OpenFiles()
