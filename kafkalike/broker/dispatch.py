"""Frames to calls: API, version, decoding.

The APIs are the modules of `broker/apis/`; each names its message module in `protocol/messages/` by having the same
name, and ApiVersions lists exactly these.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from kafkalike.broker import apis, request_metrics
from kafkalike.broker.broker import Broker
from kafkalike.broker.gates import NO_GATES, Gates, call_class
from kafkalike.broker.produce_fast_path import ProduceFastPath
from kafkalike.broker.request import Answer, Api, Call, Client
from kafkalike.errors import ProtocolError
from kafkalike.net.reactor import TIME
from kafkalike.protocol import messages
from kafkalike.protocol.framing import RESPONSE_START, read_request_header
from kafkalike.protocol.messages import api_versions, produce
from kafkalike.protocol.schema import Message, Struct, records


@functools.cache
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
            _has_records(message.Response),
            getattr(module, "failed", None),
            module.ACCESS,
            request_metrics.of(message.NAME, message.Response),
        )
    return served


def _has_records(struct: type[Struct]) -> bool:
    """Whether a response may carry records, which leave as ranges of files."""
    return any(field.of is records or (field.is_struct and _has_records(field.of)) for field in struct.fields)


def versions() -> list[api_versions.ApiVersion]:
    """The APIs and versions that are served, as ApiVersions tells them."""
    return [
        api_versions.ApiVersion(api_key=api.key, min_version=api.oldest, max_version=api.newest)
        for _, api in sorted(load_apis().items())
    ]


class Local:
    """The connection of a broker with itself."""

    peer = "127.0.0.1"
    hurry: Callable[[], None] | None = None
    fast_path = None

    def __init__(self, broker: Broker) -> None:
        self.listener: str = broker.config.inter_broker_listener
        self.received_at: float = TIME.now

    def answered(self) -> None:
        """The response is what `call_locally` returns."""

    def close(self) -> None:
        """Does nothing, as there is nothing to close."""

    abort = close


class Unsupported:
    """An ApiVersions request of a version that we do not have: answered as version 0 with error 35 (KIP-511)."""

    def __init__(self, connection: Client, correlation_id: int) -> None:
        body = api_versions.unsupported().encode(0)
        self.connection = connection
        self.answer: list[Any] | None = None
        self.timing = None
        self._frame = RESPONSE_START.pack(4 + len(body), correlation_id) + body

    def run(self) -> None:
        self.answer = [self._frame]
        self.connection.answered()


class Dispatch:
    """Makes calls of frames for one broker."""

    def __init__(self, broker: Broker, gates: Gates = NO_GATES) -> None:
        self._broker = broker
        self.apis = dict(load_apis())
        self._call = call_class(gates)
        self._has_fast_path = gates == NO_GATES

    def begin(self, connection: Client, frame: bytes | memoryview) -> Call[Any] | Unsupported:
        """The call in `frame`; ProtocolError if there is none, which closes the connection, as in Kafka."""
        fast_path = connection.fast_path
        if fast_path is not None:
            fast: Call[Any] | None = fast_path.find(self._broker, connection, frame)
            if fast is not None:
                return fast
        key, version, correlation_id, client_id, position = read_request_header(frame)
        api = self.apis.get(key)
        if api is None:
            raise ProtocolError(f"unknown or unserved api key {key}")
        if not api.oldest <= version <= api.newest:
            if key == api_versions.API_KEY:
                return Unsupported(connection, correlation_id)
            raise ProtocolError(f"{api.name} version {version} is not supported")
        assert position is not None, "the header of what is served is known"
        # Apache's brokers ignore what follows the last field, and librdkafka's Metadata v12 relies on that.
        request = api.request.decode(version, frame, position, False)
        call = self._call(self._broker, connection, api, version, correlation_id, client_id or "", request)
        if key == produce.API_KEY and self._has_fast_path:
            if fast_path is None:
                fast_path = connection.fast_path = ProduceFastPath()
            fast_path.learn(call, frame, position)
        return call

    def call_locally(self, request: Message) -> Answer[Message]:
        """The response to a request object that this broker sends to itself, without a socket between."""
        api = self.apis[messages.of(request).API_KEY]
        call = Call(self._broker, Local(self._broker), api, api.newest, 0, "", request)
        result = api.handler(self._broker, call)
        return Deferred.fromCoroutine(result) if inspect.iscoroutine(result) else result
