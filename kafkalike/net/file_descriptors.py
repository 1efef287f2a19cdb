"""File descriptors are a budget: what clients' connections and logs' files share, and when no more clients are let in.

    limit (ulimit -n)
      own       what the process has open when it has started, without the logs' files
      reserve   for files that are opened for a moment (indexes, checkpoints) and for connections to others
      shared    the rest: logs' files and clients' connections

Half of what is shared, or one for each log if that is less, is kept for logs whatever clients want. What logs have open
beyond that makes room for a connection. A process that had none left would take a log directory for failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger("kafka.network.SocketServer")

LEAST_RESERVE, MOST_RESERVE = 32, 256


class FileDescriptors:
    """The budget of one broker. Without `restrict` there is no limit."""

    def __init__(self) -> None:
        self.limit = 0
        self.connections = 0
        self.logs: Callable[[], int] = lambda: 0  # how many there are
        self.open_files: Callable[[], int] = lambda: 0  # how many files of logs are open
        self.close_files: Callable[[int], None] = lambda most: None  # closes some until there are at most so many
        self.bound: Callable[[int], None] = lambda most: None  # is told how many files of logs may be open
        self._shared = 1 << 30
        self._short = False

    def restrict(self, limit: int, own: int) -> None:
        """Sets the limit, and how many descriptors the process itself has open."""
        self.limit = limit
        reserve = min(max(LEAST_RESERVE, limit // 16), MOST_RESERVE)
        self._shared = max(limit - own - reserve, 2)
        self._tell_bound()

    @property
    def kept_for_logs(self) -> int:
        """How many descriptors clients never get, as logs may need them."""
        return min(self.logs(), self._shared // 2)

    @property
    def most_connections(self) -> int:
        """How many connections of clients there may be."""
        return self._shared - self.kept_for_logs

    @property
    def most_files(self) -> int:
        """How many files of logs may be open now."""
        return max(self.kept_for_logs, self._shared - self.connections)

    def connected(self) -> None:
        """Counts one connection more."""
        self.connections += 1
        self._tell_bound()

    def disconnected(self) -> None:
        """Counts one connection less."""
        self.connections -= 1
        self._tell_bound()

    def _tell_bound(self) -> None:
        self.bound(self.most_files)

    def too_many_files(self) -> None:
        """Logs have more files open than they may: some that are not in use are closed."""
        self.close_files(self.most_files * 3 // 4)

    def admits(self) -> bool:
        """Whether one more client may be let in. Not to be asked within a turn that reads from logs."""
        most = self.most_connections
        if self.connections < most:
            if self.connections + self.open_files() >= self._shared:
                self.close_files(max(self._shared - self.connections - 1, 0) * 3 // 4)
            if self.connections + self.open_files() < self._shared:
                return True
        self.exhausted(f"{self.connections} connections are open")
        return False

    def all_let_in(self) -> None:
        """Notes that no connection waits any more. If accepting had paused, one line says that it goes on, once there
        is some room."""
        most = self.most_connections
        if self._short and self.connections < most - most // 8:
            self._short = False
            log.info("There are file descriptors again: connections are accepted.")

    def exhausted(self, why: str) -> None:
        """Accepting pauses. One line says so, and no other until there is room for plenty of connections again."""
        if not self._short:
            self._short = True
            log.warning(
                "No file descriptors for more connections (ulimit -n is %d, %s): accepting pauses.", self.limit, why
            )
