"""The journal's entries: read again they give the same state."""

from __future__ import annotations

import pytest

from zk import wire
from zk.server import journal_entries
from zk.server.sessions import Sessions
from zk.server.tree import CONTAINER_OWNER, Tree
from zk.wire import OPEN_ACL, Acl, Marshalling, Op


def entry(kind: int, zxid: int, body: bytes = b"", session: int = 0) -> bytes:
    return journal_entries.HEADER.pack(kind, zxid, 5000 + zxid, session) + body


def replayed(*log: bytes) -> tuple[Tree, Sessions]:
    tree, sessions = Tree(), Sessions(100, 200, 2000, b"key", 1)
    for item in log:
        journal_entries.replay(item, tree, sessions)
    assert [] == tree.events
    return tree, sessions


def test_changes() -> None:
    acl = (Acl(1, "ip", "1.2.3.4"),)
    tree, _ = replayed(
        entry(Op.CREATE, 1, journal_entries.create("/a", b"x", OPEN_ACL, 0)),
        entry(Op.SET_DATA, 2, journal_entries.set_data("/a", None)),
        entry(Op.SET_ACL, 3, journal_entries.set_acl("/a", acl)),
        entry(Op.CREATE, 4, journal_entries.create("/a/c", b"", OPEN_ACL, CONTAINER_OWNER)),
        entry(Op.ERROR, 5),
        entry(Op.CREATE, 6, journal_entries.create("/b", b"", OPEN_ACL, 0)),
        entry(Op.DELETE, 7, wire.string("/b")),
    )
    node = tree.nodes["/a"]
    assert (None, acl, 1, 2, 5001, 5002, 1, 1, 4) == (
        node.data, node.acl, node.czxid, node.mzxid, node.ctime, node.mtime, node.version, node.aversion, node.pzxid,
    )  # fmt: skip
    assert "/b" not in tree.nodes and ["/a/c"] == list(tree.containers)


def test_a_session_and_its_ephemeral_nodes() -> None:
    tree, sessions = replayed(
        entry(Op.CREATE_SESSION, 1, wire.INT.pack(1500), session=9),
        entry(Op.CREATE, 2, journal_entries.create("/e", b"", OPEN_ACL, 9), session=9),
    )
    assert 1500 == sessions.by_id[9].timeout_ms and 9 == tree.nodes["/e"].owner
    journal_entries.replay(entry(Op.CLOSE_SESSION, 3, session=9), tree, sessions)
    assert {} == sessions.by_id and "/e" not in tree.nodes


def test_a_multi() -> None:
    steps = wire.INT.pack(Op.CREATE) + journal_entries.create("/a", b"", OPEN_ACL, 0)
    steps += wire.INT.pack(Op.SET_DATA) + journal_entries.set_data("/a", b"z")
    tree, _ = replayed(entry(Op.MULTI, 8, steps))
    assert b"z" == tree.nodes["/a"].data and 8 == tree.nodes["/a"].mzxid


@pytest.mark.parametrize(
    "bad",
    [b"", b"short", entry(77, 1, wire.string("/a")), entry(Op.DELETE, 1, wire.string("/a") + b"more"),
     entry(Op.CREATE, 1, b"\0"), entry(Op.MULTI, 1, b"\0\0")],
)  # fmt: skip
def test_nonsense_is_refused(bad: bytes) -> None:
    with pytest.raises((Marshalling, wire.ZkError)):
        journal_entries.zxid_of(bad)
        replayed(bad)
