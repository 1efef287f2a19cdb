"""The journal's entries: what was decided, in a form that gives the same tree and sessions whenever it is read again.

entry     int type | long zxid | long time | long session | body
create    string path | buffer data | vector acl | long owner      the final path, the resolved ACL
delete    string path
set data  string path | buffer data
set acl   string path | vector acl
open      int timeout
close     nothing: the ephemeral nodes of that session go with it
error     nothing: a change was refused, which takes a zxid too
multi     (int type | body)*
"""

import struct

from zk import wire
from zk.server.sessions import Sessions
from zk.server.tree import Tree
from zk.wire import Acl, Marshalling, Op

HEADER = struct.Struct("!iqqq")


def create(path: str, data: bytes | None, acl: tuple[Acl, ...], owner: int) -> bytes:
    """The body of a creation."""
    return wire.string(path) + wire.buffer(data) + wire.acls(acl) + wire.LONG.pack(owner)


def set_data(path: str, data: bytes | None) -> bytes:
    """The body of a change of data."""
    return wire.string(path) + wire.buffer(data)


def set_acl(path: str, acl: tuple[Acl, ...]) -> bytes:
    """The body of a change of ACL."""
    return wire.string(path) + wire.acls(acl)


def zxid_of(entry: bytes) -> int:
    """An entry's zxid."""
    if len(entry) < HEADER.size:
        raise Marshalling
    zxid: int = HEADER.unpack_from(entry)[1]
    return zxid


def replay(entry: bytes, tree: Tree, sessions: Sessions) -> None:
    """Do again what the entry says. Marshalling if it makes no sense."""
    kind, zxid, time_ms, session_id = HEADER.unpack_from(entry)
    pos = HEADER.size
    if kind == Op.CREATE_SESSION:
        timeout_ms, pos = wire.read_int(entry, pos)
        sessions.open(session_id, timeout_ms, 0)
    elif kind == Op.CLOSE_SESSION:
        close_session(tree, sessions, session_id, zxid)
    elif kind == Op.MULTI:
        while pos < len(entry):
            kind, pos = wire.read_int(entry, pos)
            pos = _change(kind, entry, pos, tree, zxid, time_ms)
    elif kind != Op.ERROR:
        pos = _change(kind, entry, pos, tree, zxid, time_ms)
    tree.events.clear()
    if pos != len(entry):
        raise Marshalling


def close_session(tree: Tree, sessions: Sessions, session_id: int, zxid: int) -> None:
    """End a session and delete its ephemeral nodes."""
    for path in list(tree.ephemerals.get(session_id, ())):
        tree.delete(path, -1, None, zxid)
    sessions.close(session_id)


def _change(kind: int, buf: bytes, pos: int, tree: Tree, zxid: int, time_ms: int) -> int:
    path, pos = wire.read_string(buf, pos)
    if kind == Op.SET_DATA:
        data, pos = wire.read_buffer(buf, pos)
        tree.set_data(path, data, -1, None, zxid, time_ms)
    elif kind == Op.CREATE:
        data, pos = wire.read_buffer(buf, pos)
        acl, pos = wire.read_acls(buf, pos)
        owner, pos = wire.read_long(buf, pos)
        tree.create(path, data, acl, owner, False, None, zxid, time_ms)
    elif kind == Op.DELETE:
        tree.delete(path, -1, None, zxid)
    elif kind == Op.SET_ACL:
        acl, pos = wire.read_acls(buf, pos)
        tree.set_acl(path, acl, -1, None)
    else:
        raise Marshalling
    return pos
