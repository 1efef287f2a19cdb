"""Jute, the record format of ZooKeeper's protocol: reading requests, building replies, codes of operations and errors.

Every read_ function takes (buffer, position) and returns (value, next position); a record that is cut short, or whose
lengths do not fit its frame, raises Marshalling and nothing is allocated on a claimed length.

    frame     int length | payload
    request   int xid | int type | record
    reply     int xid | long zxid | int error | record, when error is 0
    string    int length (-1: null) | UTF-8
    buffer    int length (-1: null) | bytes
    vector    int count (-1: null) | items
    Stat      long czxid mzxid ctime mtime | int version cversion aversion | long ephemeralOwner
              | int dataLength numChildren | long pzxid
"""

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple


class Op(IntEnum):
    """Types of requests; the negative ones exist in multi headers and in the journal too."""

    CREATE_SESSION = -10
    CLOSE_SESSION = -11
    ERROR = -1
    CREATE = 1
    DELETE = 2
    EXISTS = 3
    GET_DATA = 4
    SET_DATA = 5
    GET_ACL = 6
    SET_ACL = 7
    GET_CHILDREN = 8
    SYNC = 9
    PING = 11
    GET_CHILDREN2 = 12
    CHECK = 13
    MULTI = 14
    CREATE2 = 15
    RECONFIG = 16
    CHECK_WATCHES = 17
    REMOVE_WATCHES = 18
    CREATE_CONTAINER = 19
    DELETE_CONTAINER = 20
    CREATE_TTL = 21
    MULTI_READ = 22
    AUTH = 100
    SET_WATCHES = 101
    SASL = 102
    GET_EPHEMERALS = 103
    GET_ALL_CHILDREN_NUMBER = 104
    SET_WATCHES2 = 105
    ADD_WATCH = 106
    WHO_AM_I = 107


class Code(IntEnum):
    """Error codes, as replies carry them."""

    OK = 0
    RUNTIME_INCONSISTENCY = -2
    MARSHALLING_ERROR = -5
    UNIMPLEMENTED = -6
    BAD_ARGUMENTS = -8
    NO_NODE = -101
    NO_AUTH = -102
    BAD_VERSION = -103
    NO_CHILDREN_FOR_EPHEMERALS = -108
    NODE_EXISTS = -110
    NOT_EMPTY = -111
    SESSION_EXPIRED = -112
    INVALID_ACL = -114
    AUTH_FAILED = -115
    NO_WATCHER = -121
    RECONFIG_DISABLED = -123


class ZkError(Exception):
    """A request that is answered with an error code."""

    code: Code

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


class Marshalling(ZkError):
    """A record that cannot be read."""

    def __init__(self) -> None:
        super().__init__(Code.MARSHALLING_ERROR)


NOTIFICATION_XID = -1
PING_XID = -2

# What a client may do to a node; an Acl's perms is a sum of these.
READ, WRITE, CREATE, DELETE, ADMIN = 1, 2, 4, 8, 16


class Acl(NamedTuple):
    """Permissions for one identity."""

    perms: int
    scheme: str
    id: str


OPEN_ACL = (Acl(31, "world", "anyone"),)

INT = struct.Struct("!i")
LONG = struct.Struct("!q")
REQUEST_HEADER = struct.Struct("!ii")
REPLY_HEADER = struct.Struct("!iiqi")  # with the frame's length before it
CONNECT = struct.Struct("!iqiqi")  # protocol version, last zxid seen, timeout, session id, length of the password
CONNECTED = struct.Struct("!iiiqi16s")  # length, protocol version, timeout, session id, 16, password
STAT = struct.Struct("!qqqqiiiqiiq")
MULTI_HEADER = struct.Struct("!i?i")
EVENT = struct.Struct("!iiqiiii")  # length, xid, zxid, error, type, state, length of the path

_int_at = INT.unpack_from
_int = INT.pack


def read_int(buf: bytes, pos: int) -> tuple[int, int]:
    """A signed 32 bit integer."""
    try:
        return _int_at(buf, pos)[0], pos + 4
    except struct.error:
        raise Marshalling from None


def read_long(buf: bytes, pos: int) -> tuple[int, int]:
    """A signed 64 bit integer."""
    try:
        return LONG.unpack_from(buf, pos)[0], pos + 8
    except struct.error:
        raise Marshalling from None


def read_bool(buf: bytes, pos: int) -> tuple[bool, int]:
    """One byte; anything but 0 is true."""
    if pos >= len(buf):
        raise Marshalling
    return buf[pos] != 0, pos + 1


def read_buffer(buf: bytes, pos: int) -> tuple[bytes | None, int]:
    """Bytes, or None. A negative length other than -1 is null too, as ZooKeeper's clients read it."""
    try:
        (length,) = _int_at(buf, pos)
    except struct.error:
        raise Marshalling from None
    pos += 4
    if length < 0:
        if length == -1:
            return None, pos
        raise Marshalling
    end = pos + length
    if end > len(buf):
        raise Marshalling
    return buf[pos:end], end


def read_text(buf: bytes, pos: int) -> tuple[str | None, int]:
    """A string, or None; bytes that are no UTF-8 become U+FFFD, which no path may contain."""
    raw, pos = read_buffer(buf, pos)
    return (None if raw is None else raw.decode("utf-8", "replace")), pos


def read_string(buf: bytes, pos: int) -> tuple[str, int]:
    """A string where null is an error, such as a path."""
    raw, pos = read_buffer(buf, pos)
    if raw is None:
        raise Marshalling
    return raw.decode("utf-8", "replace"), pos


def read_strings(buf: bytes, pos: int) -> tuple[list[str], int]:
    """A vector of strings."""
    count, pos = _read_count(buf, pos)
    strings = []
    for _ in range(count):
        string, pos = read_string(buf, pos)
        strings.append(string)
    return strings, pos


def read_texts(buf: bytes, pos: int) -> tuple[list[str], int]:
    """A vector of strings where null is as good as the empty string."""
    count, pos = _read_count(buf, pos)
    texts = []
    for _ in range(count):
        text, pos = read_text(buf, pos)
        texts.append(text or "")
    return texts, pos


def read_acls(buf: bytes, pos: int) -> tuple[list[Acl], int]:
    """A vector of ACL entries; null strings become empty ones, which no check accepts."""
    count, pos = _read_count(buf, pos)
    acls = []
    for _ in range(count):
        perms, pos = read_int(buf, pos)
        scheme, pos = read_text(buf, pos)
        ident, pos = read_text(buf, pos)
        acls.append(Acl(perms, scheme or "", ident or ""))
    return acls, pos


def _read_count(buf: bytes, pos: int) -> tuple[int, int]:
    """A vector's length; each item takes four bytes at least."""
    count, pos = read_int(buf, pos)
    if count * 4 > len(buf) - pos or count < -1:
        raise Marshalling
    return max(count, 0), pos


def buffer(data: bytes | None) -> bytes:
    """The record of a buffer."""
    return b"\xff\xff\xff\xff" if data is None else _int(len(data)) + data


def string(text: str) -> bytes:
    """The record of a string."""
    raw = text.encode()
    return _int(len(raw)) + raw


def strings(texts: Iterable[str]) -> bytes:
    """The record of a vector of strings."""
    parts = [string(text) for text in texts]
    return _int(len(parts)) + b"".join(parts)


def acls(entries: Iterable[Acl]) -> bytes:
    """The record of a vector of ACL entries."""
    parts = [_int(entry.perms) + string(entry.scheme) + string(entry.id) for entry in entries]
    return _int(len(parts)) + b"".join(parts)


def reply(xid: int, zxid: int, error: int = 0, body: bytes = b"") -> bytes:
    """A whole reply frame."""
    return REPLY_HEADER.pack(16 + len(body), xid, zxid, error) + body


def event(kind: int, path: str) -> bytes:
    """A whole watch event frame; its state is always 3, connected."""
    raw = path.encode()
    return EVENT.pack(28 + len(raw), NOTIFICATION_XID, -1, 0, kind, 3, len(raw)) + raw


def multi_result(kind: int, error: int = 0, body: bytes = b"") -> bytes:
    """One result inside the reply of a multi."""
    return MULTI_HEADER.pack(kind, False, error) + body


MULTI_END = MULTI_HEADER.pack(-1, True, -1)
