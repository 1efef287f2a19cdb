"""What each operation answers to a path that no client should send, on our server and on Apache's.

A line of the table is an operation; a column is a path; the cell is the reply's error code, or for a multi and a
multi-read the code of their only step. Recorded from Apache ZooKeeper 3.8.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.servers import DebianZooKeeper, ZooKeeper, exchange
from tests.zk.raw import OPEN, Raw, buffer, string, strings

pytestmark = pytest.mark.real_zookeeper

PATHS = [None, "", "x", "//", "/a//b", "/a/", "/a/.", "/a/..", "/\0", "/\x01", "a/b", " /", "/nope"]


def number(value: int) -> bytes:
    return struct.pack("!i", value)


class Asked(NamedTuple):
    """One operation on any path."""

    op: int
    before: bytes
    after: bytes
    codes: list[int]


def create(flags: int) -> bytes:
    return buffer(b"") + OPEN + number(flags)


def step(op: int) -> bytes:
    return struct.pack("!i?i", op, False, -1)


SINCE = struct.pack("!q", 0)
END = struct.pack("!i?i", -1, True, -1)
LOOKED_UP = [-5, 0, -101, -101, -101, -101, -101, -101, -101, -101, -101, -101, -101]
CHECKED = [-8, -8, -8, -8, -8, -8, -8, -8, -8, -8, -8, -8, -101]
DELETED = [-5, -8, -8, -101, -101, -101, -101, -101, -8, -101, -101, -101, -101]
# As in DELETED and CHECKED, save that a multi with a null path cannot be read at all.
MULTI = [-5, *CHECKED[1:]]
# Twice a path that is no node's: its parent is not there, or what it names is none.
REFUSED = [-5, -8, -8, -8, -101, -8, -8, -8, -8, -8, -101, -101]
NUMBERED = [-5, -8, -8, -8, -101, 0, 0, 0, -8, -8, -101, -101]
UNWATCHED = [-5, -121, -5, -121, -121, -121, -121, -121, -121, -121, -121, -121, -121]
TAKEN = [0] * len(PATHS)

TABLE = {
    "create": Asked(1, b"", create(0), [*REFUSED, 0]),
    "create, ephemeral": Asked(1, b"", create(1), [*REFUSED, 0]),
    "create, sequential": Asked(1, b"", create(2), [*NUMBERED, 0]),
    "create2": Asked(15, b"", create(0), [*REFUSED, 0]),
    "create container": Asked(19, b"", create(4), [*REFUSED, 0]),
    "delete": Asked(2, b"", number(-1), DELETED),
    "exists": Asked(3, b"", b"\0", [*LOOKED_UP[:8], -8, *LOOKED_UP[9:]]),
    "exists, watched": Asked(3, b"", b"\1", [*LOOKED_UP[:8], -8, *LOOKED_UP[9:]]),
    "get data": Asked(4, b"", b"\0", LOOKED_UP),
    "get data, watched": Asked(4, b"", b"\1", LOOKED_UP),
    "set data": Asked(5, b"", buffer(b"") + number(-1), CHECKED),
    "get acl": Asked(6, b"", b"", LOOKED_UP),
    "set acl": Asked(7, b"", OPEN + number(-1), CHECKED),
    "get children": Asked(8, b"", b"\0", LOOKED_UP),
    "get children2": Asked(12, b"", b"\0", LOOKED_UP),
    "sync": Asked(9, b"", b"", TAKEN),
    "check": Asked(13, b"", number(-1), CHECKED),
    "check watches, children": Asked(17, b"", number(1), UNWATCHED),
    "check watches, data": Asked(17, b"", number(2), UNWATCHED),
    "check watches, any": Asked(17, b"", number(3), UNWATCHED),
    "remove watches": Asked(18, b"", number(3), [-121] * len(PATHS)),
    "get ephemerals": Asked(103, b"", b"", TAKEN),
    "number of descendants": Asked(104, b"", b"", LOOKED_UP),
    "add watch, persistent": Asked(106, b"", number(0), TAKEN),
    "add watch, recursive": Asked(106, b"", number(1), TAKEN),
    "set watches": Asked(101, SINCE + strings() + number(1), strings(), [-5, *TAKEN[1:]]),
    "set watches2, persistent": Asked(105, SINCE + strings() * 3 + number(1), strings(), TAKEN),
    "set watches2, recursive": Asked(105, SINCE + strings() * 4 + number(1), b"", TAKEN),
    "read many, data": Asked(22, step(4), b"\0" + END, LOOKED_UP),
    "read many, children": Asked(22, step(8), b"\0" + END, LOOKED_UP),
    "multi, create": Asked(14, step(1), create(0) + END, [*REFUSED, 0]),
    "multi, delete": Asked(14, step(2), number(-1) + END, DELETED),
    "multi, set data": Asked(14, step(5), buffer(b"") + number(-1) + END, MULTI),
    "multi, check": Asked(14, step(13), number(-1) + END, MULTI),
}


@pytest.fixture
def client(server: ZooKeeper) -> Iterator[Callable[[], Raw]]:
    """Makes connections with a session; what they made is deleted."""
    if isinstance(server, DebianZooKeeper) and b"version: 3.8" not in exchange(server.port, b"srvr"):
        pytest.skip("recorded from Apache ZooKeeper 3.8; this one is another, which looks closer at some paths")
    made: list[Raw] = []

    def start() -> Raw:
        made.append(Raw(server.port).handshake())
        return made[-1]

    start().call(1, string("/a") + create(0))
    yield start
    with Raw(server.port).handshake() as last:
        for connection in made:
            connection.close()
        for name in _children(last, "/a"):
            last.call(2, string(f"/a/{name}") + number(-1))
        for path in ("/a", "/nope", *(f"/{name}" for name in _children(last, "/") if name.startswith("nope"))):
            last.call(2, string(path) + number(-1))


def _children(client: Raw, path: str) -> list[str]:
    body, names, at = client.call(8, string(path) + b"\0").body, [], 4
    for _ in range(struct.unpack_from("!i", body)[0]):
        size = struct.unpack_from("!i", body, at)[0]
        names.append(body[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return names


@pytest.mark.parametrize("name", TABLE)
def test_an_odd_path_gets_the_real_servers_error(client: Callable[[], Raw], name: str) -> None:
    asked = TABLE[name]
    found = []
    for path in PATHS:
        connection = client()  # each a new one: watches on odd paths change what comes after
        reply = connection.call(asked.op, asked.before + string(path) + asked.after)
        code = reply.error
        if asked.op in (14, 22) and not code:
            kind, _, step_code = struct.unpack_from("!i?i", reply.body)
            code = struct.unpack_from("!i", reply.body, 9)[0] if kind == -1 else step_code
        found.append(code)
        assert 0 == connection.call(11, xid=-2).error, "the connection has ended"
    assert dict(zip(PATHS, asked.codes, strict=True)) == dict(zip(PATHS, found, strict=True))


def test_a_recursive_watch_is_on_its_own_path_only(client: Callable[[], Raw]) -> None:
    connection = client()
    assert 0 == connection.call(106, string("/a") + number(1)).error
    paths = ["/a", "/a/b", "/a/", "/a//b", "/", "", "x"]
    found = [connection.call(17, string(path) + number(3)).error for path in paths]
    assert [0, -121, -121, -121, -121, -121, -5] == found
