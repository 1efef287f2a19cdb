"""One connection to a broker, without its socket: which versions are spoken, what is to be sent, which answer is whose.

The engine makes it and a face gives it bytes. The first request is always ApiVersions; requests that are asked for
before its answer wait for it, because their versions follow from it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from kafkalike.client.cluster import Node
from kafkalike.client.errors import Disconnected, Unreachable
from kafkalike.errors import Error, KafkaError, ProtocolError
from kafkalike.protocol.framing import Frames
from kafkalike.protocol.in_flight import MAX_RESPONSE_BYTES, InFlightRequests
from kafkalike.protocol.messages import api_versions

# The newest version that this client fills in by itself: later ones name topics by id, or carry several groups.
_NEWEST = {"Fetch": 12, "Produce": 10, "OffsetFetch": 7, "FindCoordinator": 3, "DeleteTopics": 5, "OffsetCommit": 8}


@dataclass(slots=True)
class Question:
    """A request that was asked for. `token` is the engine's, and so is the time when it gives up."""

    api: ModuleType
    request: Any
    token: Any
    deadline_ms: float
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a request: a response, or why there is none."""

    token: Any
    response: Any = None
    failure: Exception | None = None


class Connection:
    """Everything of a connection but its socket."""

    def __init__(self, node: Node, purpose: str, client_id: str, deadline_ms: float) -> None:
        self.node = node
        self.purpose = purpose
        self.versions: dict[int, tuple[int, int]] = {}
        self.ready = False
        """Whether the versions are agreed."""
        self.deadline_ms: float = deadline_ms
        """When it has to be ready."""
        self.waiting: list[Any] = []
        """Tokens of those that want to know when it is ready."""
        self._frames = Frames(MAX_RESPONSE_BYTES)
        self._requests = InFlightRequests(client_id)  # with the Question of each
        self._early: deque[Question] = deque()
        self._outgoing: list[bytes] = []

    def connected(self) -> None:
        """The socket is connected."""
        self._ask_versions(api_versions.VERSIONS[1])

    def _ask_versions(self, version: int) -> None:
        request = api_versions.Request()
        if version >= 3:
            request.client_software_name = "kafkalike"
            request.client_software_version = "0"
        self._outgoing.append(self._requests.send(api_versions, version, request))

    def version(self, api: ModuleType) -> int:
        """The newest version of this API that both sides speak."""
        oldest: int
        latest: int
        oldest, latest = api.VERSIONS
        low, high = self.versions.get(api.API_KEY, (0, -1))
        newest = min(high, _NEWEST.get(api.NAME, high), latest)
        if newest < max(low, oldest):
            raise KafkaError(Error.UNSUPPORTED_VERSION, f"The node does not support {api.NAME}")
        return newest

    def ask(self, question: Question) -> list[Answered]:
        """Puts a request among what is to be sent. What is certain at once comes back: a failure, or that there is no
        answer to be waited for."""
        if not self.ready:
            self._early.append(question)
            return []
        try:
            version = self.version(question.api)
            request = question.request(version) if callable(question.request) else question.request
            self._outgoing.append(self._requests.send(question.api, version, request, question))
        except Exception as failure:
            return [Answered(question.token, failure=failure)]
        if question.answered:
            return []
        self._requests.expect_no_response()
        return [Answered(question.token)]

    def take_outgoing(self) -> bytes:
        """What is to be sent now."""
        if not self._outgoing:
            return b""
        data = self._outgoing[0] if len(self._outgoing) == 1 else b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def received(self, data: bytes) -> Iterator[Answered]:
        """What the bytes answer. Disconnected as soon as they are no answer: the connection cannot go on."""
        try:
            for frame in self._frames.feed(data):
                if self.ready:
                    asked, response = self._requests.complete(frame)
                    yield Answered(asked.token.token, response)
                else:
                    yield from self._versions(frame)
        except ProtocolError as problem:
            if not self.ready:
                raise Unreachable(f"this is no Kafka broker: {problem}") from problem
            raise Disconnected(f"{self.node.host}:{self.node.port}: {problem}") from problem

    def _versions(self, frame: Any) -> list[Answered]:
        """The answer to ApiVersions. A broker that does not know the version says so, and is asked for the oldest."""
        asked, response = self._requests.complete(frame)
        if response.error_code == Error.UNSUPPORTED_VERSION and asked.version > 0:
            self._ask_versions(0)
            return []
        if response.error_code:
            raise Unreachable(f"{self.node.host}:{self.node.port}: {Error(response.error_code).message}")
        self.versions = {api.api_key: (api.min_version, api.max_version) for api in response.api_keys}
        self.ready = True
        early, self._early = self._early, deque()
        return [answer for question in early for answer in self.ask(question)]

    @property
    def due_ms(self) -> float | None:
        """When the connection has been silent for too long."""
        if not self.ready:
            return self.deadline_ms
        oldest = self._requests.oldest
        return None if oldest is None else oldest.token.deadline_ms

    def ended(self) -> list[Any]:
        """The tokens of all that gets no answer any more."""
        asked = [request.token for request in self._requests.clear()] if self.ready else []
        early, self._early = self._early, deque()
        return [question.token for question in [*asked, *early]]
