"""A small blocking client on a plain socket: no kazoo, no reactor, up in a few milliseconds. zk/shell.py uses it.

A thread reads: replies go to the caller that waits, in order, watch events to a callback, and it sends a ping when
nothing was said for a third of the session's timeout. A lost connection shows as ConnectionLoss; connect() takes the
session up again where that is still possible.
"""

import queue
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from zk import address_check, wire
from zk.ensemble import Ensemble
from zk.paths import parents
from zk.wire import Acl, Code, Op

CONNECTION_LOSS = -4
SESSION_EXPIRED = -112
AUTH_FAILED = -115

# What ZooKeeper's messages call the codes.
NAMES = {
    CONNECTION_LOSS: "ConnectionLoss",
    SESSION_EXPIRED: "Session expired",
    AUTH_FAILED: "AuthFailed",
    Code.MARSHALLING_ERROR: "MarshallingError",
    Code.UNIMPLEMENTED: "Unimplemented",
    Code.BAD_ARGUMENTS: "BadArguments",
    Code.NO_NODE: "NoNode",
    Code.NO_AUTH: "NoAuth",
    Code.BAD_VERSION: "BadVersion",
    Code.NO_CHILDREN_FOR_EPHEMERALS: "NoChildrenForEphemerals",
    Code.NODE_EXISTS: "NodeExists",
    Code.NOT_EMPTY: "Directory not empty",
    Code.INVALID_ACL: "InvalidACL",
    Code.NO_WATCHER: "NoWatcher",
}

# Beyond this a reply's length is no length.
MAX_FRAME = 1 << 28


class ClientError(Exception):
    """A request was answered with this code, or not at all."""

    def __init__(self, code: int, path: str = "") -> None:
        super().__init__(code, path)
        self.code = code
        self.path = path

    def __str__(self) -> str:
        name = NAMES.get(self.code, str(self.code))
        return f"KeeperErrorCode = {name}" + (f" for {self.path}" if self.path else "")


class Unreachable(ConnectionError):
    """No server gives a session; the text says why, for each."""


class Stat(NamedTuple):
    """A znode's stat, in the order of the wire."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int


class Client:
    """One session; one caller at a time."""

    def __init__(
        self, ensemble: Ensemble, timeout_ms: int = 30000, on_event: Callable[[int, int, str], None] | None = None
    ) -> None:
        """`on_event(type, state, path)` is called on the reading thread; type 0 tells of the connection."""
        self.ensemble = ensemble
        self.session_id = 0
        self.state = "CONNECTING"
        self._timeout_ms = timeout_ms
        self._password = bytes(16)
        self._last_zxid = 0
        self._on_event = on_event or (lambda kind, state, path: None)
        self._socket: socket.socket | None = None
        self._replies: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._xid = 0
        self._identities: list[tuple[str, bytes]] = []
        self._sent_at = 0.0
        self._lock = threading.Lock()
        self._closing = False
        self._body = b""

    def connect(self) -> None:
        """To the first server that answers; Unreachable, with a reason for each, if none does."""
        reasons: list[str] = []
        for address in self.ensemble.servers:
            try:
                self._open(address)
                return
            except OSError as error:
                reason = str(error) if isinstance(error, Unreachable) else address_check.why_no_session(*address)
                reasons.append(reason or f"{address[0]}:{address[1]}: {error.strerror or error}")
        raise Unreachable(", ".join(reasons))

    def _open(self, address: tuple[str, int]) -> None:
        connection = socket.create_connection(address, self._timeout_ms / 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = struct.pack("!iqiq", 0, self._last_zxid, self._timeout_ms, self.session_id)
        try:
            _send(connection, head + wire.buffer(self._password) + b"\0")
            if not select.select([connection], [], [], address_check.PATIENCE_SECONDS)[0] and address_check.is_kafka(
                *address
            ):
                raise Unreachable(f"something answers at {address[0]}:{address[1]}, and it is Kafka, not ZooKeeper")
            answer = _receive(connection)
            if len(answer) < 36:
                raise ConnectionError("no ZooKeeper server")
        except OSError:
            connection.close()
            raise
        timeout_ms, self.session_id = struct.unpack_from("!iq", answer, 4)
        self._password = answer[20:36]
        if not self.session_id:
            connection.close()
            self._password = bytes(16)
            self.state = "CLOSED"
            self._on_event(0, SESSION_EXPIRED, "")
            raise ClientError(SESSION_EXPIRED)
        self._replies = queue.SimpleQueue()
        self._socket = connection
        self.state = "CONNECTED"
        connection.settimeout(max(timeout_ms / 3000, 0.05))
        threading.Thread(target=self._read, args=(connection, self._replies, timeout_ms), daemon=True).start()
        self._on_event(0, 3, "")
        for scheme, auth in self._identities:
            self._authenticate(scheme, auth)

    def close(self) -> None:
        """End the session."""
        self._closing = True
        if self.state == "CONNECTED":
            with suppress(ClientError):
                self.call(Op.CLOSE_SESSION)
        self.state = "CLOSED"
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def add_auth(self, scheme: str, auth: bytes) -> None:
        """Another identity, shown again after each reconnection."""
        self._identities.append((scheme, auth))
        self._authenticate(scheme, auth)

    def _authenticate(self, scheme: str, auth: bytes) -> None:
        self.call(Op.AUTH, wire.INT.pack(0) + wire.string(scheme) + wire.buffer(auth))

    # Operations; paths are below the chroot.

    def get(self, path: str, watch: bool = False) -> tuple[bytes | None, Stat]:
        """Data and stat."""
        data, pos = wire.read_buffer(self._at(Op.GET_DATA, path, _flag(watch)), 0)
        return data, self._stat(pos)

    def exists(self, path: str, watch: bool = False) -> Stat:
        """The stat; NO_NODE as an error."""
        self._at(Op.EXISTS, path, _flag(watch))
        return self._stat(0)

    def missing_chroot(self) -> str:
        """A sentence if the path in the connect string is not there, and so nothing below it; else nothing."""
        chroot = self.ensemble.chroot
        try:
            if chroot:
                self.exists("/")
        except ClientError as error:
            if error.code == wire.Code.NO_NODE:
                return f"there is no {chroot} in this ZooKeeper, below which everything is looked for"
        return ""

    def children(self, path: str, watch: bool = False) -> tuple[list[str], Stat]:
        """Names, sorted, and stat."""
        names, pos = wire.read_strings(self._at(Op.GET_CHILDREN2, path, _flag(watch)), 0)
        return sorted(names), self._stat(pos)

    def create(
        self, path: str, data: bytes | None, acl: Sequence[Acl] = wire.OPEN_ACL, flags: int = 0, container: bool = False
    ) -> str:
        """The final path."""
        record = wire.buffer(data) + wire.acls(acl) + wire.INT.pack(4 if container else flags)
        body = self._at(Op.CREATE_CONTAINER if container else Op.CREATE, path, record)
        return self._below(wire.read_string(body, 0)[0])

    def create_with_parents(self, path: str, data: bytes | None, flags: int = 0) -> str:
        """The final path; parents that are missing are made too, with null data."""
        for above in parents(path)[:-1]:
            try:
                self.create(above, None)
            except ClientError as error:
                if error.code != wire.Code.NODE_EXISTS:
                    raise
        return self.create(path, data, flags=flags)

    def set(self, path: str, data: bytes, version: int = -1) -> Stat:
        """The new stat."""
        self._at(Op.SET_DATA, path, wire.buffer(data) + wire.INT.pack(version))
        return self._stat(0)

    def delete(self, path: str, version: int = -1) -> None:
        """Remove a node without children."""
        self._at(Op.DELETE, path, wire.INT.pack(version))

    def delete_together(self, paths: Sequence[str]) -> bool:
        """All of these or none."""
        steps = [
            wire.MULTI_HEADER.pack(Op.DELETE, False, -1) + wire.string(self._above(path)) + wire.INT.pack(-1)
            for path in paths
        ]
        body = self.call(Op.MULTI, b"".join(steps) + wire.MULTI_END)
        kind: int = wire.MULTI_HEADER.unpack_from(body)[0]
        return kind != Op.ERROR

    def acl(self, path: str) -> tuple[list[Acl], Stat]:
        """ACL and stat."""
        entries, pos = wire.read_acls(self._at(Op.GET_ACL, path), 0)
        return entries, self._stat(pos)

    def set_acl(self, path: str, acl: Sequence[Acl], version: int = -1) -> Stat:
        """The new stat."""
        self._at(Op.SET_ACL, path, wire.acls(acl) + wire.INT.pack(version))
        return self._stat(0)

    def sync(self, path: str) -> None:
        """Wait for what was written before."""
        self._at(Op.SYNC, path)

    def descendants(self, path: str) -> int:
        """How many nodes are below."""
        return wire.read_int(self._at(Op.GET_ALL_CHILDREN_NUMBER, path), 0)[0]

    def ephemerals(self, prefix: str) -> list[str]:
        """This session's ephemeral nodes."""
        return [self._below(path) for path in wire.read_strings(self._at(Op.GET_EPHEMERALS, prefix), 0)[0]]

    def add_watch(self, path: str, recursive: bool) -> None:
        """A watch that stays."""
        self._at(Op.ADD_WATCH, path, wire.INT.pack(1 if recursive else 0))

    def remove_watches(self, path: str, kind: int) -> None:
        """1: of children, 2: of data, 3: both."""
        self._at(Op.REMOVE_WATCHES, path, wire.INT.pack(kind))

    def identities(self) -> list[tuple[str, str]]:
        """Scheme and user of each identity this connection has."""
        body = self.call(Op.WHO_AM_I)
        count, pos = wire.read_int(body, 0)
        found = []
        for _ in range(count):
            scheme, pos = wire.read_string(body, pos)
            user, pos = wire.read_string(body, pos)
            found.append((scheme, user))
        return found

    def call(self, op: int, record: bytes = b"", path: str = "") -> bytes:
        """Any request; the body of its reply."""
        if self.state == "CLOSED" or self._socket is None:
            raise ClientError(CONNECTION_LOSS, path)
        self._xid += 1
        xid = -4 if op == Op.AUTH else self._xid
        try:
            self._write(self._socket, struct.pack("!ii", xid, op) + record)
            answer = self._replies.get(timeout=self._timeout_ms / 1000)
        except (OSError, queue.Empty):
            answer = None
        if answer is None:
            raise ClientError(CONNECTION_LOSS, path)
        got, zxid, error = struct.unpack_from("!iqi", answer)
        if got != xid:
            self._drop(self._socket)
            raise ClientError(CONNECTION_LOSS, path)
        self._last_zxid = max(self._last_zxid, zxid)
        if error:
            if error == AUTH_FAILED:
                self.state = "AUTH_FAILED"
            raise ClientError(error, path)
        self._body = answer[16:]
        return self._body

    def _at(self, op: int, path: str, record: bytes = b"") -> bytes:
        return self.call(op, wire.string(self._above(path)) + record, path)

    def _stat(self, pos: int) -> Stat:
        return Stat(*wire.STAT.unpack_from(self._body, pos))

    def _above(self, path: str) -> str:
        return self.ensemble.chroot + ("" if path == "/" and self.ensemble.chroot else path)

    def _below(self, path: str) -> str:
        return path.removeprefix(self.ensemble.chroot) or "/"

    # The reading thread.

    def _read(self, connection: socket.socket, replies: "queue.SimpleQueue[bytes | None]", timeout_ms: int) -> None:
        heard_at = time.monotonic()
        data = b""
        while True:
            try:
                chunk = connection.recv(1 << 16)
            except TimeoutError:
                chunk = None
            except OSError:
                break
            now = time.monotonic()
            if chunk is None:
                if now - heard_at > timeout_ms * 2 / 3000:
                    break
            elif not chunk:
                break
            else:
                heard_at = now
                data = self._take(data + chunk, replies)
            if now - self._sent_at > timeout_ms / 3000:
                try:
                    self._write(connection, struct.pack("!ii", wire.PING_XID, Op.PING))
                except OSError:
                    break
        self._drop(connection)
        replies.put(None)

    def _take(self, data: bytes, replies: "queue.SimpleQueue[bytes | None]") -> bytes:
        while len(data) >= 4:
            end = 4 + struct.unpack_from("!i", data)[0]
            if len(data) < end:
                break
            frame, data = data[4:end], data[end:]
            xid = struct.unpack_from("!i", frame)[0]
            if xid == wire.NOTIFICATION_XID:
                kind, state = struct.unpack_from("!ii", frame, 16)
                self._on_event(kind, state, self._below(wire.read_string(frame, 24)[0]))
            elif xid != wire.PING_XID:
                replies.put(frame)
        return data

    def _write(self, connection: socket.socket, data: bytes) -> None:
        with self._lock:
            self._sent_at = time.monotonic()
            _send(connection, data)

    def _drop(self, connection: socket.socket) -> None:
        if self._socket is connection:
            self._socket = None
            if self.state == "CONNECTED" and not self._closing:
                self.state = "CONNECTING"
                self._on_event(0, 0, "")
        connection.close()


def _flag(value: bool) -> bytes:
    return b"\1" if value else b"\0"


def _send(connection: socket.socket, data: bytes) -> None:
    connection.sendall(wire.INT.pack(len(data)) + data)


def _receive(connection: socket.socket) -> bytes:
    data = b""
    while len(data) < 4 or len(data) < 4 + wire.INT.unpack_from(data)[0]:
        chunk = connection.recv(1 << 16)
        if not chunk or (len(data) >= 4 and not 0 <= wire.INT.unpack_from(data)[0] <= MAX_FRAME):
            raise ConnectionError("closed by the server")
        data += chunk
    return data[4:]
