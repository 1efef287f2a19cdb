"""The requests of one connection that have no response yet: the half of the protocol that every client has, whatever
moves its bytes (net/peer.py for brokers, the faces of the client for programs).

A request becomes a frame with the next correlation id. Responses come in the order of the requests, so that the oldest
request is always the one that a response frame answers; another correlation id there is a broken peer.
"""

from __future__ import annotations

from collections import deque
from types import ModuleType
from typing import Any, Final, NamedTuple

from kafkalike.errors import Error, ProtocolError
from kafkalike.protocol import framing
from kafkalike.protocol.primitives import Buffer

MAX_RESPONSE_BYTES: Final = 1 << 30

_UNSUPPORTED: Final = int(Error.UNSUPPORTED_VERSION).to_bytes(2, "big")


class InFlightRequest(NamedTuple):
    """A request that was sent. `token` is whatever its sender wants back together with the response."""

    correlation_id: int
    message: ModuleType
    version: int
    token: Any


class InFlightRequests:
    """Numbers the requests of one client, and finds what a response answers."""

    __slots__ = ("client_id", "_waiting", "_correlation_id")

    def __init__(self, client_id: str | None) -> None:
        self.client_id = client_id
        self._waiting: deque[InFlightRequest] = deque()
        self._correlation_id = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> InFlightRequest | None:
        """The request whose response comes next."""
        return self._waiting[0] if self._waiting else None

    def send(self, message: ModuleType, version: int, request: Any, token: Any = None) -> bytes:
        """The frame of a request of this message module, which then waits for its response."""
        number = (self._correlation_id + 1) & 0x7FFFFFFF
        header = framing.request_header(message.API_KEY, version, number, self.client_id)
        frame = framing.frame((header, request.encode(version)))
        self.add(message, version, token)
        return frame

    def add(self, message: ModuleType, version: int, token: Any = None) -> int:
        """Gives a request the next correlation id, and lets it wait for its response."""
        self._correlation_id = (self._correlation_id + 1) & 0x7FFFFFFF
        self._waiting.append(InFlightRequest(self._correlation_id, message, version, token))
        return self._correlation_id

    def expect_no_response(self) -> None:
        """The newest request gets none: a Produce request with acks=0."""
        self._waiting.pop()

    def complete(self, frame: Buffer) -> tuple[InFlightRequest, Any]:
        """The request that a response frame answers, and the decoded response. After a ProtocolError, which says that
        the connection is of no more use, the request still waits."""
        if not self._waiting:
            raise ProtocolError("a response that nobody asked for")
        asked = self._waiting[0]
        version = asked.version
        key = asked.message.API_KEY
        if key == framing.API_VERSIONS and frame[4:6] == _UNSUPPORTED:
            version = 0  # A broker that does not know the version answers in the oldest one (KIP-511).
        found, position = framing.read_response_header(frame, key, version)
        if found != asked.correlation_id:
            raise ProtocolError(f"correlation id {found} where {asked.correlation_id} was expected")
        response = asked.message.Response.decode(version, frame, position)
        self._waiting.popleft()
        return asked, response

    def complete_oldest(self) -> InFlightRequest:
        """The request that comes next, for a response that did not arrive as a frame."""
        return self._waiting.popleft()

    def clear(self) -> list[InFlightRequest]:
        """The requests that will not be answered any more, as the connection is gone."""
        lost = list(self._waiting)
        self._waiting.clear()
        return lost
