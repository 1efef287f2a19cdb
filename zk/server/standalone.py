"""The server without sockets, files or clocks: one request in; replies, watch events and journal entries out.

A connection is a number that the shell gives. Every input returns effects, to be performed in order: whatever follows
an Append, on any connection, may leave only when that entry is durable, so that nobody sees what a crash could take
back. Two clocks are arguments: `now_ms` never goes back and times sessions, `wall_ms` dates znodes.

A change that is refused takes a zxid and an entry too, as in ZooKeeper: clients remember the highest zxid they have
seen and turn away from a server that is behind it.
"""

import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any, NamedTuple

from zk import wire
from zk.server import journal_entries
from zk.server.config import Limits
from zk.server.sessions import PASSWORD_SIZE, Session, Sessions
from zk.server.tree import (
    CHILDREN_CHANGED,
    CONTAINER_OWNER,
    CREATED,
    DATA_CHANGED,
    DELETED,
    Tree,
    permit,
    permitted,
)
from zk.server.watches import Kind, Mode, Watches
from zk.wire import ADMIN, READ, Acl, Code, Marshalling, Op, ZkError


class Append(NamedTuple):
    """Write this entry to the journal; every later effect waits until it is durable."""

    entry: bytes


class Send(NamedTuple):
    """Send these bytes, one frame."""

    connection: int
    data: bytes


class Close(NamedTuple):
    """Close the connection when everything sent before is out."""

    connection: int


Effect = Append | Send | Close
Effects = list[Effect]

# What is read of a request for a change: its path and what goes with it.
Arguments = tuple[Any, ...]
Step = tuple[int, Arguments]  # of a multi


@dataclass(slots=True)
class Connection:
    """One client connection; it has no session until it asked for one."""

    id: int
    address: str
    ids: list[tuple[str, str]]
    session: Session | None = None
    closing: bool = False
    last_zxid: int = 0
    requests: int = field(default=0)


class Standalone:
    """All state of a server."""

    def __init__(self, limits: Limits, secret: bytes, wall_ms: int) -> None:
        self.limits = limits
        self.tree = Tree()
        self.watches = Watches()
        self.connections: dict[int, Connection] = {}
        self.zxid = 0
        tick = limits.tick_ms
        low = limits.min_session_timeout_ms if limits.min_session_timeout_ms >= 0 else 2 * tick
        high = limits.max_session_timeout_ms if limits.max_session_timeout_ms >= 0 else 20 * tick
        self.sessions = Sessions(tick, low, high, secret, 1 << 56 | (wall_ms & (1 << 40) - 1) << 16)
        self._containers_due_ms: int | None = None

    # Coming back after a stop: load() what a snapshot held, replay() what the journal holds after it, then started().

    def load(self, record: bytes) -> None:
        """One record of a snapshot."""
        mark, body = record[:1], record[1:]
        if mark == b"N":
            self.tree.load(body)
        elif mark == b"S":
            session_id, timeout_ms = _SESSION.unpack(body)
            self.sessions.open(session_id, timeout_ms, 0)
        elif mark == b"Z":
            (self.zxid,) = wire.LONG.unpack(body)
        else:
            raise Marshalling

    def replay(self, entry: bytes) -> None:
        """One entry of the journal; those that the snapshot has already are passed over, none may be missing."""
        zxid = journal_entries.zxid_of(entry)
        if zxid <= self.zxid:
            return
        if zxid != self.zxid + 1:
            raise ValueError(f"zxid 0x{zxid:x} follows 0x{self.zxid:x}")
        journal_entries.replay(entry, self.tree, self.sessions)
        self.zxid = zxid

    def started(self, now_ms: int) -> None:
        """The server begins to answer."""
        self.sessions.restart(now_ms)

    def snapshot(self) -> Iterator[bytes]:
        """The records that load() takes: the state as it is now, although inputs may come between the records."""
        head = [b"Z" + wire.LONG.pack(self.zxid)]
        head += [b"S" + _SESSION.pack(session.id, session.timeout_ms) for session in self.sessions.by_id.values()]
        nodes = self.tree.snapshot()
        first = next(nodes)
        return _records(head, first, nodes)

    # Inputs.

    def connected(self, connection: int, address: str) -> None:
        """A client has connected."""
        self.connections[connection] = Connection(connection, address, [("ip", address)])

    def disconnected(self, connection: int) -> None:
        """It is gone; its session lives on until it expires."""
        conn = self.connections.pop(connection, None)
        if conn is None:
            return
        self.watches.drop(connection)
        if conn.session is not None and conn.session.connection == connection:
            conn.session.connection = None

    def receive(self, connection: int, frame: bytes, now_ms: int, wall_ms: int) -> Effects:
        """One frame from a client, without its length."""
        conn = self.connections[connection]
        if conn.closing:
            return []
        session = conn.session
        if session is None:
            return self._connect(conn, frame, now_ms, wall_ms)
        if len(frame) < 8:
            return self._close(conn)
        xid, op = wire.REQUEST_HEADER.unpack_from(frame)
        conn.requests += 1
        self.sessions.touch(session, now_ms)
        if op in _CHANGES:
            return self._change(conn, session, xid, op, frame, wall_ms)
        read = _READS.get(op)
        if read is not None:
            try:
                body = read(self, conn, frame)
            except ZkError as error:
                return [Send(connection, wire.reply(xid, self.zxid, error.code))]
            return [Send(connection, wire.reply(xid, self.zxid, 0, body))]
        if op == Op.PING:
            return [Send(connection, wire.reply(wire.PING_XID, self.zxid))]
        other = _OTHERS.get(op)
        if other is not None:
            return other(self, conn, session, xid, frame, wall_ms)
        return [Send(connection, wire.reply(xid, self.zxid, Code.UNIMPLEMENTED)), *self._close(conn)]

    def tick(self, now_ms: int, wall_ms: int) -> Effects:
        """Time has passed: sessions expire, emptied containers go."""
        effects: Effects = []
        for session in self.sessions.expired(now_ms):
            effects += self._end_session(session, wall_ms)
            conn = self.connections.get(session.connection) if session.connection is not None else None
            if conn is not None:
                effects += self._close(conn)
        if self._containers_due_ms is None or now_ms >= self._containers_due_ms:
            self._containers_due_ms = now_ms + self.limits.container_check_ms
            for path in self.tree.idle_containers():
                self.zxid += 1
                self.tree.delete(path, -1, None, self.zxid)
                effects.append(self._entry(Op.DELETE, 0, wall_ms, wire.string(path)))
                effects += self._events()
        return effects

    # Sessions.

    def _connect(self, conn: Connection, frame: bytes, now_ms: int, wall_ms: int) -> Effects:
        try:
            _, last_zxid, timeout_ms, session_id, size = wire.CONNECT.unpack_from(frame)
            password, pos = wire.read_buffer(frame, wire.CONNECT.size - 4)
        except (struct.error, Marshalling):
            return self._close(conn)
        # A client that has seen more than this server knows must not read older state here.
        if last_zxid > self.zxid:
            return self._close(conn)
        tail = b"\0" if pos < len(frame) else b""
        if session_id == 0:
            session = self.sessions.open(self.sessions.next_id(), self.sessions.negotiate(timeout_ms), now_ms)
            self.zxid += 1
            entry = self._entry(Op.CREATE_SESSION, session.id, wall_ms, wire.INT.pack(session.timeout_ms))
            return [entry, *self._attach(conn, session, tail)]
        known = self.sessions.by_id.get(session_id)
        if known is None or password != self.sessions.password(session_id):
            body = wire.CONNECTED.pack(36 + len(tail), 0, 0, 0, PASSWORD_SIZE, bytes(PASSWORD_SIZE))
            return [Send(conn.id, body + tail), *self._close(conn)]
        effects: Effects = []
        before = self.connections.get(known.connection) if known.connection is not None else None
        if before is not None:
            effects = self._close(before)
        known.timeout_ms = self.sessions.negotiate(timeout_ms)
        self.sessions.touch(known, now_ms)
        return effects + self._attach(conn, known, tail)

    def _attach(self, conn: Connection, session: Session, tail: bytes) -> Effects:
        session.connection = conn.id
        conn.session = session
        password = self.sessions.password(session.id)
        body = wire.CONNECTED.pack(36 + len(tail), 0, session.timeout_ms, session.id, PASSWORD_SIZE, password)
        return [Send(conn.id, body + tail)]

    def _close(self, conn: Connection) -> Effects:
        conn.closing = True
        self.disconnected(conn.id)
        self.connections[conn.id] = conn
        return [Close(conn.id)]

    def _end_session(self, session: Session, wall_ms: int) -> Effects:
        self.zxid += 1
        journal_entries.close_session(self.tree, self.sessions, session.id, self.zxid)
        return [self._entry(Op.CLOSE_SESSION, session.id, wall_ms), *self._events()]

    def _close_session(self, conn: Connection, session: Session, xid: int, frame: bytes, wall_ms: int) -> Effects:
        effects = self._end_session(session, wall_ms)
        return [*effects, Send(conn.id, wire.reply(xid, self.zxid)), *self._close(conn)]

    def _auth(self, conn: Connection, session: Session, xid: int, frame: bytes, wall_ms: int) -> Effects:
        try:
            _, pos = wire.read_int(frame, 8)
            scheme, pos = wire.read_text(frame, pos)
            auth, pos = wire.read_buffer(frame, pos)
        except Marshalling:
            return self._close(conn)
        if scheme == "digest" and auth is not None:
            name = auth.decode("utf-8", "replace").partition(":")[0]
            digest = f"{name}:{b64encode(sha1(auth).digest()).decode()}"
            if digest == self.limits.super_digest:
                conn.ids.append(("super", ""))
            conn.ids.append(("digest", digest))
            conn.ids[:] = dict.fromkeys(conn.ids)
        elif scheme != "ip":
            return [Send(conn.id, wire.reply(xid, 0, Code.AUTH_FAILED)), *self._close(conn)]
        return [Send(conn.id, wire.reply(xid, 0))]

    def _sasl(self, conn: Connection, session: Session, xid: int, frame: bytes, wall_ms: int) -> Effects:
        # Without a login context ZooKeeper answers with a null token and goes on.
        return [Send(conn.id, wire.reply(xid, 0, 0, wire.buffer(None)))]

    # Changes.

    def _entry(self, kind: int, session_id: int, wall_ms: int, body: bytes = b"") -> Append:
        return Append(journal_entries.HEADER.pack(kind, self.zxid, wall_ms, session_id) + body)

    def _change(self, conn: Connection, session: Session, xid: int, op: int, frame: bytes, wall_ms: int) -> Effects:
        self.zxid = zxid = self.zxid + 1
        read, apply = _CHANGES[op]
        try:
            args, _ = read(frame, 8)
            kind, record, body = apply(self, conn, session, args, wall_ms)
        except ZkError as error:
            entry = self._entry(Op.ERROR, session.id, wall_ms)
            return [entry, Send(conn.id, wire.reply(xid, zxid, error.code))]
        effects: Effects = [Append(journal_entries.HEADER.pack(kind, zxid, wall_ms, session.id) + record)]
        if self.tree.events:
            effects += self._events()
        effects.append(Send(conn.id, wire.reply(xid, zxid, 0, body)))
        return effects

    def _events(self) -> Effects:
        """Tell those who watch what the last change did."""
        effects: Effects = []
        for kind, path, acl in self.tree.events:
            for watcher in self.watches.fire(path, kind):
                conn = self.connections[watcher]
                if permitted(acl, READ, conn.ids):
                    effects.append(Send(watcher, wire.event(kind, path)))
        self.tree.events.clear()
        return effects

    def _create(self, conn: Connection, session: Session, args: Arguments, wall_ms: int) -> "Result":
        op, path, data, acl, flags = args
        if flags in (5, 6):
            raise ZkError(Code.UNIMPLEMENTED)
        if not 0 <= flags <= 4:
            raise ZkError(Code.BAD_ARGUMENTS)
        owner = CONTAINER_OWNER if op == Op.CREATE_CONTAINER else session.id if flags & 1 else 0
        path, node = self.tree.create(path, data, acl, owner, flags & 2 != 0, conn.ids, self.zxid, wall_ms)
        record = journal_entries.create(path, data, node.acl, owner)
        name = wire.string(path)
        return Op.CREATE, record, name if op == Op.CREATE else name + node.stat()

    def _delete(self, conn: Connection, session: Session, args: Arguments, wall_ms: int) -> "Result":
        path, version = args
        self.tree.delete(path, version, conn.ids, self.zxid)
        return Op.DELETE, wire.string(path), b""

    def _set_data(self, conn: Connection, session: Session, args: Arguments, wall_ms: int) -> "Result":
        path, data, version = args
        node = self.tree.set_data(path, data, version, conn.ids, self.zxid, wall_ms)
        return Op.SET_DATA, journal_entries.set_data(path, data), node.stat()

    def _set_acl(self, conn: Connection, session: Session, args: Arguments, wall_ms: int) -> "Result":
        path, acl, version = args
        node = self.tree.set_acl(path, acl, version, conn.ids)
        return Op.SET_ACL, journal_entries.set_acl(path, node.acl), node.stat()

    def _check(self, conn: Connection, session: Session, args: Arguments, wall_ms: int) -> "Result":
        path, version = args
        self.tree.check(path, version, conn.ids)
        return Op.ERROR, b"", b""

    def _refuse_ttl(self, conn: Connection, session: Session, args: Arguments, wall_ms: int) -> "Result":
        raise ZkError(Code.UNIMPLEMENTED)

    def _refuse_reconfig(self, conn: Connection, session: Session, args: Arguments, wall_ms: int) -> "Result":
        raise ZkError(Code.RECONFIG_DISABLED)

    def _multi(self, conn: Connection, session: Session, args: list[Step], wall_ms: int) -> "Result":
        """All of it or nothing; a refusal is told in the results, the reply itself is no error."""
        self.tree.begin()
        records, results = [], []
        for index, (op, step) in enumerate(args):
            try:
                kind, record, body = _CHANGES[op][1](self, conn, session, step, wall_ms)
            except ZkError as error:
                self.tree.rollback()
                codes = [0] * index + [error.code] + [Code.RUNTIME_INCONSISTENCY] * (len(args) - index - 1)
                refused = [wire.multi_result(Op.ERROR, code, wire.INT.pack(code)) for code in codes]
                return Op.ERROR, b"", b"".join(refused) + wire.MULTI_END
            if op != Op.CHECK:
                records.append(wire.INT.pack(kind) + record)
            results.append(wire.multi_result(op, 0, body))
        self.tree.commit()
        return Op.MULTI, b"".join(records), b"".join(results) + wire.MULTI_END

    # Reads.

    def _exists(self, conn: Connection, frame: bytes) -> bytes:
        path, watch = _read_path_watch(frame)
        if "\0" in path:
            raise ZkError(Code.BAD_ARGUMENTS)
        node = self.tree.nodes.get(path)
        if node is not None:
            permit(node, READ, conn.ids)
        if watch:
            self.watches.data.add(path, conn.id)
        if node is None:
            raise ZkError(Code.NO_NODE)
        return node.stat()

    def _get_data(self, conn: Connection, frame: bytes) -> bytes:
        path, watch = _read_path_watch(frame)
        node = self.tree.read(path, conn.ids)
        if watch:
            self.watches.data.add(path, conn.id)
        return wire.buffer(node.data) + node.stat()

    def _get_children(self, conn: Connection, frame: bytes) -> bytes:
        path, watch = _read_path_watch(frame)
        node = self.tree.read(path, conn.ids)
        if watch:
            self.watches.child.add(path, conn.id)
        return wire.strings(node.children or ())

    def _get_children2(self, conn: Connection, frame: bytes) -> bytes:
        names = self._get_children(conn, frame)
        return names + self.tree.get(_read_path_watch(frame)[0]).stat()

    def _get_acl(self, conn: Connection, frame: bytes) -> bytes:
        path, _ = wire.read_string(frame, 8)
        node = self.tree.read(path, conn.ids, READ | ADMIN)
        shown = node.acl
        if not permitted(shown, ADMIN, conn.ids):
            # One who may only read does not see the password hashes.
            shown = tuple(_masked(entry) for entry in shown)
        return wire.acls(shown) + node.stat()

    def _get_all_children_number(self, conn: Connection, frame: bytes) -> bytes:
        path, _ = wire.read_string(frame, 8)
        self.tree.read(path, conn.ids)
        return wire.INT.pack(self.tree.descendants(path))

    def _get_ephemerals(self, conn: Connection, frame: bytes) -> bytes:
        prefix, _ = wire.read_text(frame, 8)
        assert conn.session is not None
        owned = self.tree.ephemerals.get(conn.session.id, {})
        wanted = "" if prefix is None or prefix.strip() in ("", "/") else prefix
        return wire.strings(path for path in owned if path.startswith(wanted))

    def _sync(self, conn: Connection, frame: bytes) -> bytes:
        path, _ = wire.read_buffer(frame, 8)
        return wire.buffer(path)

    def _who_am_i(self, conn: Connection, frame: bytes) -> bytes:
        names = [wire.string(scheme) + wire.string(ident.partition(":")[0] if scheme == "digest" else ident)
                 for scheme, ident in conn.ids]  # fmt: skip
        return wire.INT.pack(len(names)) + b"".join(names)

    def _multi_read(self, conn: Connection, frame: bytes) -> bytes:
        results: list[bytes] = []
        pos = 8
        while True:
            op, done, pos = _read_multi_header(frame, pos)
            if done:
                return b"".join(results) + wire.MULTI_END
            path, pos = wire.read_string(frame, pos)
            _, pos = wire.read_bool(frame, pos)
            if op not in (Op.GET_DATA, Op.GET_CHILDREN):
                raise Marshalling
            try:
                node = self.tree.read(path, conn.ids)
            except ZkError as error:
                results.append(wire.multi_result(Op.ERROR, error.code, wire.INT.pack(error.code)))
                continue
            body = wire.buffer(node.data) + node.stat() if op == Op.GET_DATA else wire.strings(node.children or ())
            results.append(wire.multi_result(op, 0, body))

    # Watches.

    def _set_watches(self, conn: Connection, session: Session, xid: int, frame: bytes, wall_ms: int) -> Effects:
        """A client that came back: told at once what happened meanwhile, else the watch is set again."""
        try:
            since, pos = wire.read_long(frame, 8)
            data, pos = wire.read_strings(frame, pos)
            exist, pos = wire.read_strings(frame, pos)
            child, pos = wire.read_strings(frame, pos)
            persistent: list[str] = []
            recursive: list[str] = []
            if wire.REQUEST_HEADER.unpack_from(frame)[1] == Op.SET_WATCHES2:
                persistent, pos = wire.read_texts(frame, pos)
                recursive, pos = wire.read_texts(frame, pos)
        except Marshalling as error:
            return [Send(conn.id, wire.reply(xid, self.zxid, error.code))]
        nodes = self.tree.nodes
        missed: list[tuple[int, str]] = []
        for path in data:
            node = nodes.get(path)
            if node is None:
                missed.append((DELETED, path))
            elif node.mzxid > since:
                missed.append((DATA_CHANGED, path))
            else:
                self.watches.data.add(path, conn.id)
        for path in exist:
            if path in nodes:
                missed.append((CREATED, path))
            else:
                self.watches.data.add(path, conn.id)
        for path in child:
            node = nodes.get(path)
            if node is None:
                missed.append((DELETED, path))
            elif node.pzxid > since:
                missed.append((CHILDREN_CHANGED, path))
            else:
                self.watches.child.add(path, conn.id)
        for path in persistent:
            self.watches.add(path, conn.id, Mode.PERSISTENT)
        for path in recursive:
            self.watches.add(path, conn.id, Mode.RECURSIVE)
        events: Effects = [Send(conn.id, wire.event(kind, path)) for kind, path in missed]
        return [*events, Send(conn.id, wire.reply(xid, self.zxid))]

    def _add_watch(self, conn: Connection, frame: bytes) -> bytes:
        path, pos = wire.read_text(frame, 8)
        mode, _ = wire.read_int(frame, pos)
        if mode not in (0, 1):
            raise Marshalling
        # Whatever the path is; one that can name no znode is never heard of.
        self.watches.add(path or "", conn.id, Mode.RECURSIVE if mode else Mode.PERSISTENT)
        return wire.INT.pack(0)

    def _check_watches(self, conn: Connection, frame: bytes) -> bytes:
        path, kind = _read_path_kind(frame)
        if path is None:
            raise Marshalling
        if not self.watches.contains(path, conn.id, kind):
            raise ZkError(Code.NO_WATCHER)
        return b""

    def _remove_watches(self, conn: Connection, frame: bytes) -> bytes:
        path, kind = _read_path_kind(frame)
        if path is None or not self.watches.remove(path, conn.id, kind):
            raise ZkError(Code.NO_WATCHER)
        return b""


# The journal's type and body of a change, and the body of its reply.
Result = tuple[int, bytes, bytes]

_SESSION = struct.Struct("!qi")


def _records(head: list[bytes], first: bytes, nodes: Iterator[bytes]) -> Iterator[bytes]:
    yield from head
    yield b"N" + first
    for node in nodes:
        yield b"N" + node


def _masked(entry: Acl) -> Acl:
    if entry.scheme != "digest":
        return entry
    return entry._replace(id=entry.id.partition(":")[0] + ":x")


def _read_path_watch(frame: bytes) -> tuple[str, bool]:
    path, pos = wire.read_string(frame, 8)
    return path, wire.read_bool(frame, pos)[0]


def _read_path_kind(frame: bytes) -> tuple[str | None, Kind]:
    path, pos = wire.read_text(frame, 8)
    kind, _ = wire.read_int(frame, pos)
    try:
        return path, Kind(kind)
    except ValueError:
        raise Marshalling from None


def _read_create(op: int) -> Callable[[bytes, int], tuple[Arguments, int]]:
    def read(buf: bytes, pos: int) -> tuple[Arguments, int]:
        path, pos = wire.read_string(buf, pos)
        data, pos = wire.read_buffer(buf, pos)
        acl, pos = wire.read_acls(buf, pos)
        flags, pos = wire.read_int(buf, pos)
        return (op, path, data, acl, flags), pos

    return read


def _read_create_ttl(buf: bytes, pos: int) -> tuple[Arguments, int]:
    args, pos = _read_create(Op.CREATE_TTL)(buf, pos)
    ttl, pos = wire.read_long(buf, pos)
    return (*args, ttl), pos


# A null path is refused as malformed where ZooKeeper takes it apart, and as no path where it only looks it up; within
# a multi it is always malformed.
def _read_versioned(buf: bytes, pos: int) -> tuple[Arguments, int]:
    path, pos = wire.read_string(buf, pos)
    version, pos = wire.read_int(buf, pos)
    return (path, version), pos


def _read_check(buf: bytes, pos: int) -> tuple[Arguments, int]:
    path, pos = wire.read_text(buf, pos)
    version, pos = wire.read_int(buf, pos)
    return (path or "", version), pos


def _read_set_data(buf: bytes, pos: int) -> tuple[Arguments, int]:
    path, pos = wire.read_text(buf, pos)
    data, pos = wire.read_buffer(buf, pos)
    version, pos = wire.read_int(buf, pos)
    return (path or "", data, version), pos


def _read_set_acl(buf: bytes, pos: int) -> tuple[Arguments, int]:
    path, pos = wire.read_text(buf, pos)
    acl, pos = wire.read_acls(buf, pos)
    version, pos = wire.read_int(buf, pos)
    return (path or "", acl, version), pos


def _read_nothing(buf: bytes, pos: int) -> tuple[Arguments, int]:
    return (), pos


def _read_multi_header(buf: bytes, pos: int) -> tuple[int, bool, int]:
    try:
        op, done, _ = wire.MULTI_HEADER.unpack_from(buf, pos)
    except struct.error:
        raise Marshalling from None
    return op, done, pos + wire.MULTI_HEADER.size


def _read_multi(buf: bytes, pos: int) -> tuple[list[Step], int]:
    steps: list[Step] = []
    while True:
        op, done, pos = _read_multi_header(buf, pos)
        if done:
            return steps, pos
        if op not in _IN_MULTI:
            raise Marshalling
        wire.read_string(buf, pos)
        args, pos = _CHANGES[op][0](buf, pos)
        if op in (Op.CREATE, Op.CREATE2, Op.CREATE_CONTAINER) and not 0 <= args[4] <= 6:
            raise Marshalling
        steps.append((op, args))


_IN_MULTI = frozenset((Op.CREATE, Op.CREATE2, Op.CREATE_CONTAINER, Op.CREATE_TTL, Op.DELETE, Op.SET_DATA, Op.CHECK))

# Requests that take a zxid and an entry: how the record is read, what is done with it.
_CHANGES: dict[int, tuple[Callable[[bytes, int], tuple[Any, int]], Callable[..., "Result"]]] = {
    Op.SET_DATA: (_read_set_data, Standalone._set_data),
    Op.CREATE: (_read_create(Op.CREATE), Standalone._create),
    Op.CREATE2: (_read_create(Op.CREATE2), Standalone._create),
    Op.CREATE_CONTAINER: (_read_create(Op.CREATE_CONTAINER), Standalone._create),
    Op.CREATE_TTL: (_read_create_ttl, Standalone._refuse_ttl),
    Op.DELETE: (_read_versioned, Standalone._delete),
    Op.SET_ACL: (_read_set_acl, Standalone._set_acl),
    Op.CHECK: (_read_check, Standalone._check),
    Op.MULTI: (_read_multi, Standalone._multi),
    Op.RECONFIG: (_read_nothing, Standalone._refuse_reconfig),
}

# Requests that change nothing but watches, answered by one record or an error.
_READS: dict[int, Callable[[Standalone, Connection, bytes], bytes]] = {
    Op.EXISTS: Standalone._exists,
    Op.GET_DATA: Standalone._get_data,
    Op.GET_ACL: Standalone._get_acl,
    Op.GET_CHILDREN: Standalone._get_children,
    Op.GET_CHILDREN2: Standalone._get_children2,
    Op.SYNC: Standalone._sync,
    Op.MULTI_READ: Standalone._multi_read,
    Op.GET_EPHEMERALS: Standalone._get_ephemerals,
    Op.GET_ALL_CHILDREN_NUMBER: Standalone._get_all_children_number,
    Op.CHECK_WATCHES: Standalone._check_watches,
    Op.REMOVE_WATCHES: Standalone._remove_watches,
    Op.ADD_WATCH: Standalone._add_watch,
    Op.WHO_AM_I: Standalone._who_am_i,
}

# The rest: connection (re)establishment and whatever sends more than one reply.
_OTHERS: dict[int, Callable[[Standalone, Connection, Session, int, bytes, int], Effects]] = {
    Op.CLOSE_SESSION: Standalone._close_session,
    Op.AUTH: Standalone._auth,
    Op.SASL: Standalone._sasl,
    Op.SET_WATCHES: Standalone._set_watches,
    Op.SET_WATCHES2: Standalone._set_watches,
}
