"""Where an ensemble is: connect strings and their chroot, and the keys of a zoo.cfg-like file.

Pure. client.py parses what the user configured with it before anything is connected, so that a typing error is one
clear line and not a connection that never comes.
"""

from __future__ import annotations

from typing import NamedTuple

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
    if chroot:
        check_path(chroot)
    servers = tuple(_server(text.strip(), connect_string) for text in hosts.split(",") if text.strip())
    if not servers:
        raise EnsembleError(f"no ZooKeeper server in {connect_string!r}")
    return Ensemble(servers, chroot)


def check_path(path: str) -> None:
    """Raises for a path that no ZooKeeper server would accept."""
    if not path.startswith("/") or (path != "/" and path.endswith("/")):
        raise EnsembleError(f"ZooKeeper path must start with / and not end with it: {path!r}")
    if path == "/":
        return
    for name in path[1:].split("/"):
        if name in ("", ".", "..") or any(_forbidden(character) for character in name):
            raise EnsembleError(f"illegal name {name!r} in ZooKeeper path {path!r}")


def join(*parts: str) -> str:
    """One path of several, with exactly one slash between them."""
    names = [part.strip("/") for part in parts if part.strip("/")]
    return "/" + "/".join(names)


def parents(path: str) -> list[str]:
    """Every ancestor of a path below the root, the topmost first, and the path itself last."""
    names = path.strip("/").split("/")
    return ["/" + "/".join(names[: count + 1]) for count in range(len(names))] if names != [""] else []


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


def _forbidden(character: str) -> bool:
    # What ZooKeeper's PathUtils refuses: control characters, private use, surrogates, and the specials block.
    return (
        character <= "\u001f"
        or "\u007f" <= character <= "\u009f"
        or "\ud800" <= character <= "\uf8ff"
        or character >= "\ufff0"
    )
