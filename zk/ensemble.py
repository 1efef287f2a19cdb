"""Where an ensemble is: connect strings and their chroot.

Pure. client.py parses what the user configured with it before anything is connected, so that a typing error is one
clear line and not a connection that never comes.
"""

from __future__ import annotations

from typing import NamedTuple

from zk.paths import is_path

DEFAULT_PORT = 2181


class EnsembleError(ValueError):
    """A connect string or a path that cannot be meant."""


class Ensemble(NamedTuple):
    """The servers of one ensemble, and the path below which everything of one cluster lives ("" for the root)."""

    servers: tuple[tuple[str, int], ...]
    chroot: str

    def __str__(self) -> str:
        return ",".join(_address(host, port) for host, port in self.servers) + self.chroot


def parse(connect_string: str) -> Ensemble:
    """Reads `host1:2181,[::1]:2182/some/chroot`; a missing port is 2181; the one chroot stands after the last host."""
    hosts, slash, rest = connect_string.strip().partition("/")
    chroot = (slash + rest).rstrip("/")
    for name in chroot[1:].split("/") if chroot else ():
        if not name or not is_path(f"/{name}"):
            raise EnsembleError(f"illegal name {name!r} in ZooKeeper path {chroot!r}")
    servers = tuple(_server(text.strip(), connect_string) for text in hosts.split(",") if text.strip())
    if not servers:
        raise EnsembleError(f"no ZooKeeper server in {connect_string!r}")
    return Ensemble(servers, chroot)


def _server(text: str, connect_string: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise EnsembleError(f"cannot read the address {text!r} in {connect_string!r}")
        port = rest[1:]
    else:
        host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
        if ":" in host:
            raise EnsembleError(f"an IPv6 address needs brackets: {text!r} in {connect_string!r}")
    if not host:
        raise EnsembleError(f"no host name in {text!r} of {connect_string!r}")
    if any(not 0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
        raise EnsembleError(f"not a host name: {host!r} in {connect_string!r}")
    if not port:
        return host, DEFAULT_PORT
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise EnsembleError(f"not a port: {port!r} in {connect_string!r}")
    return host, int(port)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
