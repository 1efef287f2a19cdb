"""One request under way: how its handler is called and how what it returns becomes the bytes of an answer.

A handler is `name(broker, call)`. It returns the response (NO_RESPONSE when the client expects none), or an awaitable
of it: it is a coroutine function, or returns a PendingResponse or a Deferred. A KafkaError that a handler raises is the
answer's error code, by its module's `failed(call, error)` or, without one, as `error_code` of an empty response. Any
other exception is ours: logged, and answered as UNKNOWN_SERVER_ERROR.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from kafkalike.broker.access import Access
from kafkalike.broker.broker import Broker
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.broker.request_metrics import ApiMetrics, Timing
from kafkalike.errors import Error, KafkaError
from kafkalike.net.reactor import TIME
from kafkalike.protocol.fields import NEVER
from kafkalike.protocol.framing import FLEXIBLE_RESPONSE_START, RESPONSE_START
from kafkalike.protocol.messages import api_versions
from kafkalike.protocol.schema import Message

log = logging.getLogger("kafka.server.KafkaApis")

R = TypeVar("R")  # the request
A = TypeVar("A")  # its response
Answer: TypeAlias = A | Awaitable[A]  # what a handler returns


class _NoResponse(Message, versions=(0, NEVER)):
    """The response to a request that wants none."""


NO_RESPONSE = _NoResponse()


class Api(NamedTuple):
    """One API that this broker serves."""

    key: int
    name: str
    handler: Callable[[Broker, Call[Any]], Answer[Message]]
    request: type[Message]
    response: type[Message]
    oldest: int
    newest: int
    flexible: int
    chunked: bool  # the response may carry file ranges
    failed: Callable[[Call[Any], KafkaError], Message] | None
    access: tuple[Access, ...]  # what a caller must be allowed
    metrics: ApiMetrics


class Client(Protocol):
    """The connection that a request came through, as a handler sees it."""

    peer: str  # its address
    listener: str
    received_at: float
    hurry: Callable[[], None] | None  # answers a call that only waits for something to happen, as another waits for it
    fast_path: Any  # of produce_fast_path.py

    def answered(self) -> None:
        """A call has its answer."""

    def close(self) -> None:
        """Ends the connection when what was asked before this moment is answered."""

    def abort(self) -> None:
        """Ends the connection at once."""


class Call(Generic[R]):
    """A request that is being handled, and where its response goes."""

    __slots__ = (
        "broker",
        "connection",
        "api",
        "version",
        "correlation_id",
        "client_id",
        "request",
        "answer",
        "metrics",
        "received",
        "started",
        "handled",
        "timing",
    )

    def __init__(
        self,
        broker: Broker,
        connection: Client,
        api: Api,
        version: int,
        correlation_id: int,
        client_id: str,
        request: R,
    ) -> None:
        self.broker = broker
        self.connection = connection
        self.api = api
        self.version = version
        self.correlation_id = correlation_id
        self.client_id = client_id
        self.request = request
        self.answer: list[Any] | None = None
        self.metrics = api.metrics
        self.received: float = connection.received_at
        self.started = TIME.now
        self.handled = 0.0  # when the handler had returned, if it had no answer yet
        self.timing: Timing | None = None

    @property
    def client_host(self) -> str:
        """The client's address as Kafka shows it: `/127.0.0.1`."""
        return "/" + self.connection.peer

    @property
    def listener(self) -> str:
        """The name of the listener that the request came through."""
        return self.connection.listener

    def run(self) -> None:
        """Calls the handler and sees to its result."""
        try:
            result = self.api.handler(self.broker, self)
        except Exception as problem:
            self._fail(problem)
            return
        if isinstance(result, Message):
            self._answer(result)
        elif isinstance(result, PendingResponse):
            self.handled = TIME.now = monotonic()
            result.then(self._answer)
        else:
            deferred: Deferred[Message] = ensureDeferred(result)  # type: ignore[arg-type]
            self.handled = TIME.now = monotonic()
            deferred.addCallbacks(self._answer, lambda failure: self._fail(failure.value)).addErrback(self._broken)

    def _answer_nothing(self) -> None:
        self.metrics.requests(self.version).count += 1
        now = TIME.now = monotonic()
        self.timing = (self.metrics, self.received, self.started, self.handled or now, now)
        self.answer = []
        self.connection.answered()

    def _answer(self, response: Any) -> None:
        api, version = self.api, self.version
        if response is NO_RESPONSE:
            self._answer_nothing()
            return
        tagged = version >= api.flexible and api.key != api_versions.API_KEY
        try:
            chunks = response.encode_chunks(version) if api.chunked else [response.encode(version)]
        except Exception as problem:
            # A string that was no UTF-8 has grown, and is too long to be sent back: one line. Anything else is ours.
            log.error(
                "Closing the connection from %s: the answer to %s v%d cannot be encoded: %s",
                *(self.connection.peer, api.name, version, problem),
                exc_info=None if isinstance(problem, struct.error) else problem,
            )
            self.connection.close()
            Call._answer_nothing(self)  # it has passed the gates
            return
        metrics = self.metrics
        if version in metrics.versions:
            metrics.versions[version].count += 1
        else:
            metrics.requests(version).count += 1
        if metrics.is_plain and response.error_code in metrics.errors:
            metrics.errors[response.error_code].count += 1
        else:
            metrics.count_errors(response)
        size = 5 if tagged else 4
        for chunk in chunks:
            size += len(chunk) if isinstance(chunk, bytes) else chunk.size
        head = (
            FLEXIBLE_RESPONSE_START.pack(size, self.correlation_id, 0)
            if tagged
            else RESPONSE_START.pack(size, self.correlation_id)
        )
        if isinstance(chunks[0], bytes):
            chunks[0] = head + chunks[0]
        else:
            chunks.insert(0, head)
        now = TIME.now = monotonic()
        self.timing = (metrics, self.received, self.started, self.handled or now, now)
        self.answer = chunks
        self.connection.answered()

    def _fail(self, problem: BaseException) -> None:
        if not isinstance(problem, KafkaError):
            log.error("%s v%d from %s failed", self.api.name, self.version, self.client_host, exc_info=problem)
            problem = KafkaError(Error.UNKNOWN_SERVER_ERROR)
        if self.api.failed is not None:
            self._answer(self.api.failed(self, problem))
            return
        response = self.api.response()
        if not hasattr(response, "error_code"):
            self.connection.close()
            self._answer_nothing()
            return
        response.error_code = int(problem.error)
        if hasattr(response, "error_message"):
            response.error_message = problem.message
        self._answer(response)

    def _broken(self, failure: Failure) -> None:
        log.error("An answer to %s could not be given: %s", self.api.name, failure.getTraceback())
        self.connection.abort()
