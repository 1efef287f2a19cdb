"""A ZooKeeper client that speaks the protocol byte by byte, for what kazoo does not say, or says too politely."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple, Self

OPEN = struct.pack("!ii", 1, 31) + b"\0\0\0\5world\0\0\0\6anyone"


class Reply(NamedTuple):
    """One frame from the server; a watch event has xid -1."""

    xid: int
    zxid: int
    error: int
    body: bytes


def string(text: str | None) -> bytes:
    """A string's record."""
    return buffer(None if text is None else text.encode())


def buffer(data: bytes | None) -> bytes:
    """A buffer's record."""
    return struct.pack("!i", -1) if data is None else struct.pack("!i", len(data)) + data


def strings(*texts: str) -> bytes:
    """A vector of strings."""
    return struct.pack("!i", len(texts)) + b"".join(map(string, texts))


def frame(data: bytes) -> bytes:
    """With its length."""
    return struct.pack("!i", len(data)) + data


class Raw:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.xid = 0
        self.session_id = self.timeout_ms = 0
        self.password = bytes(16)

    def handshake(
        self, timeout_ms: int = 30000, last_zxid: int = 0, session_id: int = 0, password: bytes = b""
    ) -> Self:
        """Ask for a session."""
        header = struct.pack("!iqiq", 0, last_zxid, timeout_ms, session_id)
        self.socket.sendall(frame(header + buffer(password or bytes(16)) + b"\0"))
        answer = self.frame()
        self.timeout_ms, self.session_id = struct.unpack_from("!iq", answer, 4)
        self.password = answer[20:36]
        return self

    def send(self, kind: int, record: bytes = b"", xid: int | None = None) -> None:
        """One request."""
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.socket.sendall(frame(struct.pack("!ii", xid, kind) + record))

    def receive(self) -> Reply:
        """The next frame after the handshake."""
        data = self.frame()
        return Reply(*struct.unpack_from("!iqi", data), data[16:])

    def call(self, kind: int, record: bytes = b"", xid: int | None = None) -> Reply:
        """A request and the frame that follows."""
        self.send(kind, record, xid)
        return self.receive()

    def event(self) -> tuple[int, str]:
        """The type and path of a watch event, which must be the next frame."""
        reply = self.receive()
        # -1 up to ZooKeeper 3.8; since 3.9 the zxid of the change.
        assert (-1, 0) == (reply[0], reply[2]) and reply[1] >= -1
        kind, state, length = struct.unpack_from("!iii", reply.body)
        assert state == 3 and len(reply.body) == 12 + length
        return kind, reply.body[12:].decode()

    def frame(self) -> bytes:
        """The next frame; ConnectionError at the end."""
        (length,) = struct.unpack("!i", self._read(4))
        return self._read(length)

    def at_end(self) -> bool:
        """Whether the server has closed, when nothing more is to come."""
        try:
            return not self.socket.recv(1)
        except ConnectionError:
            return True

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise ConnectionError("closed by the server")
            data += chunk
        return data

    def close(self) -> None:
        """Without closing the session."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
