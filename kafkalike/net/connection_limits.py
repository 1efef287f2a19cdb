"""How many connections there may be, in all and from one address (max.connections, max.connections.per.ip)."""

from __future__ import annotations

import logging

log = logging.getLogger("kafka.network.SocketServer")


class ConnectionLimits:
    """Counts the connections of all listeners that share it. May be changed at any time."""

    def __init__(self, total: int, per_ip: int, overrides: dict[str, int]) -> None:
        self.total = total
        self.per_ip = per_ip
        self.overrides = overrides
        self._count: dict[str, int] = {}
        self._all = 0

    def admit(self, ip: str) -> bool:
        """Counts a new connection, and says whether it may stay; in either case `forget` is called when it ends."""
        self._all += 1
        count = self._count[ip] = self._count.get(ip, 0) + 1
        if self._all > self.total:
            log.warning("Closing the connection from %s: max.connections is %d", ip, self.total)
            return False
        allowed = self.overrides.get(ip, self.per_ip)
        if count > allowed:
            log.warning("Closing the connection from %s: max.connections.per.ip is %d", ip, allowed)
            return False
        return True

    def forget(self, ip: str) -> None:
        """Counts one connection less."""
        self._all -= 1
        self._count[ip] -= 1
        if not self._count[ip]:
            del self._count[ip]
