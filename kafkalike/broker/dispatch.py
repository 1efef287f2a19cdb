"""Frames to calls and answers to frames: version, decoding, errors, encoding.

The APIs are the modules of `broker/apis/`; each names its message module in `protocol/messages/` by having the same
name, and ApiVersions lists exactly these. A handler is `name(broker, call)`. It returns the response; or a Deferred or
coroutine of it; or None when the client expects no answer; or LATER when it will call `call.respond` itself.
A KafkaError that a handler raises becomes the answer's error code, by the module's `failed(call, error)` or, without
one, as `error_code` of an empty response. Any other exception is ours: logged, and answered as UNKNOWN_SERVER_ERROR.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from kafkalike.broker import apis
from kafkalike.errors import Error, KafkaError, ProtocolError
from kafkalike.protocol import messages
from kafkalike.protocol.framing import read_request_header
from kafkalike.protocol.messages import api_versions

log = logging.getLogger("kafka.server.KafkaApis")

LATER = object()  # a handler's word for "I will call call.respond"
_HEAD = struct.Struct(">ii")
_HEAD_TAGGED = struct.Struct(">iib")


class Api(NamedTuple):
    """One API that this broker serves."""

    key: int
    name: str
    handler: Callable[[Any, Call], Any]
    request: Any
    response: Any
    oldest: int
    newest: int
    flexible: int
    chunked: bool  # the response may carry file ranges
    failed: Callable[[Call, KafkaError], Any] | None


def load_apis() -> dict[int, Api]:
    """Every API in `broker/apis/`, by key."""
    served = {}
    for info in pkgutil.iter_modules(apis.__path__):
        module = importlib.import_module(f"{apis.__name__}.{info.name}")
        message = messages.by_name(info.name)
        oldest, newest = message.VERSIONS
        flexible = message.FLEXIBLE if message.FLEXIBLE is not None else 1 << 15
        served[message.API_KEY] = Api(
            message.API_KEY,
            message.NAME,
            getattr(module, info.name),
            message.Request,
            message.Response,
            oldest,
            newest,
            flexible,
            info.name == "fetch",
            getattr(module, "failed", None),
        )
    return served


class Call:
    """One request under way, and where its answer goes."""

    __slots__ = ("broker", "connection", "api", "version", "correlation_id", "client_id", "request", "answer")

    def __init__(
        self, broker: Any, connection: Any, api: Api, version: int, correlation_id: int, client_id: str, request: Any
    ) -> None:
        self.broker = broker
        self.connection = connection
        self.api = api
        self.version = version
        self.correlation_id = correlation_id
        self.client_id = client_id
        self.request = request
        self.answer: list[Any] | None = None

    @property
    def client_host(self) -> str:
        """The client's address as Kafka shows it: `/127.0.0.1`."""
        return "/" + self.connection.peer

    @property
    def listener(self) -> str:
        """The name of the listener that the request came through."""
        return str(self.connection.listener)

    def run(self) -> None:
        """Calls the handler and sees to its result."""
        try:
            result = self.api.handler(self.broker, self)
        except Exception as problem:
            self._fail(problem)
            return
        if result is LATER:
            return
        if result is None:
            self.answer = []
            self.connection.answered()
        elif isinstance(result, Deferred):
            result.addCallbacks(self.respond, lambda failure: self._fail(failure.value)).addErrback(self._broken)
        elif inspect.iscoroutine(result):
            deferred = Deferred.fromCoroutine(result)
            deferred.addCallbacks(self._finished, lambda failure: self._fail(failure.value)).addErrback(self._broken)
        else:
            self._answer(result)

    def respond(self, response: Any) -> None:
        """Answers with a response object."""
        if self.answer is None:
            self._answer(response)

    def _finished(self, result: Any) -> None:
        if result is None:
            self.answer = []
            self.connection.answered()
        elif result is not LATER:
            self.respond(result)

    def _answer(self, response: Any) -> None:
        api, version = self.api, self.version
        tagged = version >= api.flexible and api.key != api_versions.API_KEY
        try:
            chunks = response.encode_chunks(version) if api.chunked else [response.encode(version)]
        except Exception:
            log.exception("The answer to %s v%d could not be encoded", api.name, version)
            self.answer = []
            self.connection.close()
            self.connection.answered()
            return
        size = 5 if tagged else 4
        for chunk in chunks:
            size += len(chunk) if isinstance(chunk, bytes) else chunk.size
        head = _HEAD_TAGGED.pack(size, self.correlation_id, 0) if tagged else _HEAD.pack(size, self.correlation_id)
        if isinstance(chunks[0], bytes):
            chunks[0] = head + chunks[0]
        else:
            chunks.insert(0, head)
        self.answer = chunks
        self.connection.answered()

    def _fail(self, problem: BaseException) -> None:
        if not isinstance(problem, KafkaError):
            log.error("%s v%d from %s failed", self.api.name, self.version, self.client_host, exc_info=problem)
            problem = KafkaError(Error.UNKNOWN_SERVER_ERROR)
        if self.api.failed is not None:
            self.respond(self.api.failed(self, problem))
            return
        response = self.api.response()
        if not hasattr(response, "error_code"):
            self.answer = []
            self.connection.close()
            self.connection.answered()
            return
        response.error_code = int(problem.error)
        if hasattr(response, "error_message"):
            response.error_message = problem.message
        self.respond(response)

    def _broken(self, failure: Any) -> None:
        log.error("An answer to %s could not be given: %s", self.api.name, failure.getTraceback())
        self.connection.abort()


class Local:
    """The connection of a broker with itself."""

    peer = "127.0.0.1"

    def __init__(self, broker: Any) -> None:
        self.listener = broker.config.inter_broker_listener


class Unsupported:
    """An ApiVersions request of a version that we do not have: answered as version 0 with error 35 (KIP-511)."""

    def __init__(self, connection: Any, correlation_id: int) -> None:
        body = api_versions.unsupported().encode(0)
        self.connection = connection
        self.answer: list[Any] | None = None
        self._frame = _HEAD.pack(4 + len(body), correlation_id) + body

    def run(self) -> None:
        self.answer = [self._frame]
        self.connection.answered()


class Dispatch:
    """Makes calls of frames for one broker."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self.apis = load_apis()

    def begin(self, connection: Any, frame: Any) -> Call | Unsupported:
        """The call in `frame`; ProtocolError if there is none, which closes the connection, as in Kafka."""
        key, version, correlation_id, client_id, position = read_request_header(frame)
        api = self.apis.get(key)
        if api is None:
            raise ProtocolError(f"unknown or unserved api key {key}")
        if not api.oldest <= version <= api.newest:
            if key == api_versions.API_KEY:
                return Unsupported(connection, correlation_id)
            raise ProtocolError(f"{api.name} version {version} is not supported")
        # Apache's brokers ignore what follows the last field, and librdkafka's Metadata v12 relies on that.
        request = api.request.decode(version, frame, position, False)
        return Call(self._broker, connection, api, version, correlation_id, client_id or "", request)

    def call_locally(self, request: Any) -> Any:
        """The response to a request object that this broker sends to itself, without a socket between."""
        api = self.apis[messages.of(request).API_KEY]
        call = Call(self._broker, Local(self._broker), api, api.newest, 0, "", request)
        result = api.handler(self._broker, call)
        return Deferred.fromCoroutine(result) if inspect.iscoroutine(result) else result
