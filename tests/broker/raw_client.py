"""A client that sends what no client should, on a real socket."""

from __future__ import annotations

import socket
import struct
from typing import Any, Self

from kafkalike.protocol import framing
from kafkalike.protocol.messages import api_versions
from tests.servers import receive


class Connection:
    """A connection that sends requests as wrong as the test wants, with our own codec."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)

    def ask(self, api: Any, body: Any, version: int) -> Any:
        header = framing.request_header(api.API_KEY, version, 7, "bad-input")
        self.send_frame(header + body.encode(version))
        answer = receive(self.socket)
        correlation_id, pos = framing.read_response_header(answer, api.API_KEY, version)
        assert 7 == correlation_id
        return api.Response.decode(version, answer, pos)

    def send_frame(self, frame: bytes) -> None:
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def receive_frame(self) -> bytes:
        """The next frame and nothing of what follows; ConnectionError when there is none."""
        (size,) = struct.unpack(">i", self._receive(4))
        return self._receive(size)

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise ConnectionError("closed by the server")
            data += chunk
        return data

    def is_closed(self) -> bool:
        """Waits for the end of the connection, without an answer."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_well(self) -> bool:
        """Whether the broker still answers."""
        return bool(self.ask(api_versions, api_versions.Request(), 0).api_keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
