"""Between the socket and the messages: length-prefixed frames, request and response headers.

    frame           = int32 length, then that many bytes
    request header  = int16 api_key, int16 api_version, int32 correlation_id      version 0
                      + nullable string client_id                                 version 1
                      + tagged fields                                             version 2
    response header = int32 correlation_id                                        version 0
                      + tagged fields                                             version 1

Which header a message has follows from its own version: flexible messages have the newest. Two exceptions: version 0
of ControlledShutdown has no client id, and an ApiVersions response has header 0 always, because its receiver does not
know yet what the sender can read (KIP-511).
"""

from collections.abc import Iterable
from struct import Struct
from struct import error as StructError

from kafkalike.errors import ProtocolError
from kafkalike.protocol.messages import by_key
from kafkalike.protocol.primitives import LENIENT, Buffer, skip_tagged_fields, write_nullable_string

CONTROLLED_SHUTDOWN, API_VERSIONS = 7, 18

# api_key, api_version, correlation_id: how every request begins.
REQUEST_START = Struct(">hhi")
# The frame's length and correlation_id: how a response frame begins; with an empty section of tagged fields, if its
# header is of version 1. For those who make frames without `frame`.
RESPONSE_START = Struct(">ii")
FLEXIBLE_RESPONSE_START = Struct(">iib")

_LENGTH = Struct(">i")
_REQUEST_AND_LENGTH = Struct(">hhih")
_CORRELATION = Struct(">i")


class Frames:
    """Cuts what arrives into frames. Memory follows what came, never what a length announces."""

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self._chunks: list[bytes] = []
        self._have = 0
        self._want = 4

    def feed(self, data: bytes) -> list[bytes | memoryview]:
        """The frames that are complete now, without their lengths; ProtocolError on an impossible length."""
        have = self._have + len(data)
        if have < self._want:
            self._chunks.append(data)
            self._have = have
            return []
        if self._chunks:
            self._chunks.append(data)
            data = b"".join(self._chunks)
            self._chunks = []
        frames: list[bytes | memoryview] = []
        view = None
        start, end = 0, len(data)
        while end - start >= 4:
            (length,) = _LENGTH.unpack_from(data, start)
            if not 0 <= length <= self.max_size:
                raise ProtocolError(f"frame of {length} bytes, the limit is {self.max_size}")
            stop = start + 4 + length
            if stop > end:
                break
            # Small frames are copied, so that they do not keep a large buffer alive; large ones are views.
            if length < 1024:
                frames.append(data[start + 4 : stop])
            else:
                view = view or memoryview(data)
                frames.append(view[start + 4 : stop])
            start = stop
        self._have = end - start
        self._want = 4 + _LENGTH.unpack_from(data, start)[0] if self._have >= 4 else 4
        if start < end:
            self._chunks.append(data[start:] if start else data)
        return frames

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return self._have


# (api key, version) -> whether its headers end in tagged fields; absent until looked up.
_flexible: dict[tuple[int, int], bool] = {}


def _is_flexible(api_key: int, version: int) -> bool | None:
    """Whether the headers of this version are flexible; None if this code does not know the API or the version."""
    try:
        return _flexible[api_key, version]
    except KeyError:
        pass
    try:
        api = by_key(api_key)
    except KeyError:
        return None
    first, last = api.VERSIONS
    if not first <= version <= last:
        return None
    _flexible[api_key, version] = version >= api.FLEXIBLE
    return _flexible[api_key, version]


def read_request_header(frame: Buffer) -> tuple[int, int, int, str | None, int | None]:
    """(api_key, api_version, correlation_id, client_id, position of the body).

    For an API or version that is not known here the position is None, and the client id is not read.
    """
    try:
        api_key, version, correlation_id, length = _REQUEST_AND_LENGTH.unpack_from(frame, 0)
    except StructError as why:
        if len(frame) < REQUEST_START.size:
            raise ProtocolError(f"request of {len(frame)} bytes") from why
        api_key, version, correlation_id = REQUEST_START.unpack_from(frame, 0)
        length = None
    flexible = _is_flexible(api_key, version)
    if flexible is None:
        return api_key, version, correlation_id, None, None
    if api_key == CONTROLLED_SHUTDOWN and version == 0:
        return api_key, version, correlation_id, None, 8
    if length is None:
        raise ProtocolError(f"request of {len(frame)} bytes")
    pos = 10
    client_id = None
    if length >= 0:
        pos += length
        if pos > len(frame):
            raise ProtocolError("client id exceeds the request")
        client_id = str(frame[10:pos], "utf-8", LENIENT)
    elif length != -1:
        raise ProtocolError(f"client id of length {length}")
    if flexible:
        pos = _after_tags(frame, pos)
    return api_key, version, correlation_id, client_id, pos


def _after_tags(frame: Buffer, pos: int) -> int:
    if pos < len(frame) and frame[pos] == 0:
        return pos + 1
    return skip_tagged_fields(frame, pos)


def request_header(api_key: int, version: int, correlation_id: int, client_id: str | None) -> bytes:
    """What precedes the body of a request; the frame's length is not included."""
    head = REQUEST_START.pack(api_key, version, correlation_id)
    if api_key == CONTROLLED_SHUTDOWN and version == 0:
        return head
    head += write_nullable_string(client_id)
    return head + b"\0" if _is_flexible(api_key, version) else head


def response_header(api_key: int, version: int, correlation_id: int) -> bytes:
    """What precedes the body of a response; the frame's length is not included."""
    head = _CORRELATION.pack(correlation_id)
    return head + b"\0" if api_key != API_VERSIONS and _is_flexible(api_key, version) else head


def read_response_header(frame: Buffer, api_key: int, version: int) -> tuple[int, int]:
    """(correlation_id, position of the body) of the response to a request of that API and version."""
    if len(frame) < 4:
        raise ProtocolError(f"response of {len(frame)} bytes")
    (correlation_id,) = _CORRELATION.unpack_from(frame, 0)
    if api_key != API_VERSIONS and _is_flexible(api_key, version):
        return correlation_id, _after_tags(frame, 4)
    return correlation_id, 4


def frame(parts: Iterable[bytes]) -> bytes:
    """Builds one frame from the parts of a message, with its length."""
    body = b"".join(parts)
    return _LENGTH.pack(len(body)) + body
