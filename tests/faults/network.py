"""A network of namespaces: one for each server, a router between them, and this test as one more host.

    test ---+--- router --- broker 1      each link has a /30 of its own in 10.x.y.0/24
            |      |  \\
            |   broker 2  zookeeper

A cut is a routing rule of the router (`ip rule add from A to B blackhole`): packets vanish, connections stay open, as
when a cable is pulled. It holds in one direction or both.
"""

from __future__ import annotations

import contextlib
import ipaddress
import random
import secrets
import shutil
import subprocess
from pathlib import Path

from tests.servers import require, tool

NEEDED = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}


def ip(*words: str) -> str:
    """Runs iproute2's `ip`; what it prints."""
    done = subprocess.run([shutil.which("ip") or "/usr/sbin/ip", *words], capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def require_namespaces() -> None:
    """Skips where namespaces cannot be made, as in most containers; in CI that is a failure."""
    lines = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    held = int(lines["CapEff"], 16)
    lacking = [name for name, bit in NEEDED.items() if not held >> bit & 1]
    require(not lacking, f"network namespaces, for which this process lacks {', '.join(lacking)}: run it as root")
    tool("ip", "iproute2")
    name = f"kl-{secrets.token_hex(3)}"
    try:
        ip("netns", "add", name)
        ip("netns", "exec", name, "true")
        ip("netns", "del", name)
    except OSError as error:
        require(False, f"network namespaces, which cannot be made here: {error}")


class Network:
    """Made when entered, gone when left. Hosts are added by name; "test" is there from the start."""

    def __init__(self) -> None:
        self.name = f"kl{secrets.token_hex(3)}"
        self.router = f"{self.name}-r"
        self.addresses: dict[str, str] = {}
        self.cuts: set[tuple[str, str]] = set()

    def __enter__(self) -> Network:
        taken = ip("route")
        while True:
            self.subnet = ipaddress.ip_network(f"10.{random.randrange(100, 250)}.{random.randrange(256)}.0/24")
            if str(self.subnet)[:-4] not in taken:
                break
        ip("netns", "add", self.router)
        try:
            ip("netns", "exec", self.router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
            self._link("test", None)
            ip("route", "add", str(self.subnet), "via", self._gateway(0))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The route goes with its link, and the other links with their namespaces.
        with contextlib.suppress(OSError):
            ip("link", "del", f"{self.name}h0")
        for host in self.addresses:
            if host != "test":
                ip("netns", "del", self.namespace(host))
        ip("netns", "del", self.router)

    def add(self, host: str) -> str:
        """A namespace with a link to the router; its address."""
        ip("netns", "add", self.namespace(host))
        at = self._link(host, self.namespace(host))
        ip("-n", self.namespace(host), "link", "set", "lo", "up")
        ip("-n", self.namespace(host), "route", "add", "default", "via", self._gateway(at))
        return self.addresses[host]

    def namespace(self, host: str) -> str:
        """Its name for `ip netns`."""
        return f"{self.name}-{host}"

    def around(self, host: str) -> list[str]:
        """What to put before a command, so that it runs there."""
        return [tool("ip", "iproute2"), "netns", "exec", self.namespace(host)]

    def cut(self, a: str, b: str, one_way: bool = False) -> None:
        """Nothing goes from a to b any more, and, unless `one_way`, nothing back."""
        for pair in [(a, b)] if one_way else [(a, b), (b, a)]:
            if pair not in self.cuts:
                self._rule("add", pair)
                self.cuts.add(pair)

    def heal(self, *hosts: str) -> None:
        """Ends the cuts that concern any of these hosts; without an argument, all."""
        for pair in sorted(self.cuts):
            if not hosts or set(hosts) & set(pair):
                self._rule("del", pair)
                self.cuts.remove(pair)

    def _rule(self, verb: str, pair: tuple[str, str]) -> None:
        a, b = (self.addresses[host] for host in pair)
        ip("-n", self.router, "rule", verb, "from", a, "to", b, "blackhole")

    def _gateway(self, at: int) -> str:
        return str(self.subnet[4 * at + 1])

    def _link(self, host: str, namespace: str | None) -> int:
        """A pair of interfaces, one end there, one at the router; the number of the link."""
        at = len(self.addresses)
        here, there = f"{self.name}h{at}", f"{self.name}r{at}"
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", self.router)
        ip("-n", self.router, "addr", "add", f"{self._gateway(at)}/30", "dev", there)
        ip("-n", self.router, "link", "set", there, "up")
        inside: list[str] = []
        if namespace is not None:
            ip("link", "set", here, "netns", namespace)
            inside = ["-n", namespace]
        self.addresses[host] = str(self.subnet[4 * at + 2])
        ip(*inside, "addr", "add", f"{self.addresses[host]}/30", "dev", here)
        ip(*inside, "link", "set", here, "up")
        return at
