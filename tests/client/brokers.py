"""Brokers and a clock that a test makes up: the client's core runs on them without a socket."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from kafkalike.client.cluster import Node
from kafkalike.client.connection import Connection
from kafkalike.client.effects import Probe, Steps
from kafkalike.client.engine import Engine
from kafkalike.client.routing import Routing
from kafkalike.clock import Clock
from kafkalike.errors import Error
from kafkalike.protocol.framing import read_request_header, response_header
from kafkalike.protocol.messages import api_versions, by_key, by_name, metadata, names

T = TypeVar("T")


class TestClock(Clock):
    __slots__ = ("now_ms",)
    __test__ = False

    def __init__(self) -> None:
        self.now_ms = 1000.0

    def wall_ms(self) -> int:
        return int(self.now_ms)

    def monotonic_ms(self) -> int:
        return int(self.now_ms)


class NoChance:
    """Chance that changes nothing."""

    def shuffle(self, x: Any) -> None: ...

    def uniform(self, a: float, b: float) -> float:
        return 1.0


class Brokers:
    """Brokers 0, 1, ... that are asked and say what `answer(broker_id, api_name, request)` returns: a response, None
    for silence, or an exception for a connection that breaks."""

    def __init__(self, answer: Callable[[int, str, Any], Any] | None = None, count: int = 2) -> None:
        self.clock = TestClock()
        self.engine = Engine(self, self.clock, "test")
        self.told: list[str] = []
        self.count = count
        self.answer = answer or (lambda broker, api, request: None)
        self.away: set[int] = set()
        self.silent: set[int] = set()
        self.zookeeper = False
        self.unresolved: set[str] = set()
        self.asked: list[tuple[int, str]] = []
        self.opened: list[tuple[int, str]] = []
        self.oldest_api_versions = False
        self._events: deque[Callable[[], None]] = deque()
        self.routing = Routing([Node(-1, "b0", 1)], self.clock, NoChance(), self.told.append)

    def metadata(self, topics: dict[str, list[int]], controller_id: int = 0) -> Any:
        """A Metadata response: topics with the leaders of their partitions."""
        return metadata.Response(
            controller_id=controller_id,
            brokers=[metadata.MetadataResponseBroker(node_id=n, host=f"b{n}", port=1) for n in range(self.count)],
            topics=[
                metadata.MetadataResponseTopic(
                    name=name,
                    error_code=Error.NONE if leaders else Error.UNKNOWN_TOPIC_OR_PARTITION,
                    partitions=[
                        metadata.MetadataResponsePartition(
                            partition_index=index, leader_id=leader, replica_nodes=[leader], isr_nodes=[leader]
                        )
                        for index, leader in enumerate(leaders)
                    ],
                )
                for name, leaders in topics.items()
            ],
        )

    def run(self, steps: Steps[T], for_ms: float = 1_000_000) -> T:
        """What the steps return. Time passes when nothing else happens."""
        end = self.clock.now_ms + for_ms
        task = self.engine.start(steps)
        while True:
            self.engine.turn()
            if task.done:
                return task.result()
            if self._events:
                self._events.popleft()()
                continue
            due = self.engine.due_ms
            assert due is not None and due <= end, "the steps wait for ever"
            self.clock.now_ms = max(self.clock.now_ms, due)

    # For the engine.

    def open(self, connection: Connection) -> None:
        broker = max(connection.node.id, 0)
        self.opened.append((broker, connection.purpose))
        if broker in self.away:
            self._events.append(lambda: self.engine.lost(connection, "refused"))
        elif broker not in self.silent:
            self._events.append(lambda: self.engine.connected(connection))

    def send(self, connection: Connection, data: bytes) -> None:
        broker = max(connection.node.id, 0)
        while data:
            (length,) = struct.unpack_from(">i", data)
            self._request(connection, broker, data[4 : 4 + length])
            data = data[4 + length :]

    def _request(self, connection: Connection, broker: int, frame: bytes) -> None:
        key, version, correlation_id, _, position = read_request_header(frame)
        api = by_key(key)
        if api is api_versions:
            answer: Any = self._versions()
            if self.oldest_api_versions and version > 0:
                answer, version = api_versions.Response(error_code=Error.UNSUPPORTED_VERSION), 0
        else:
            assert position is not None
            self.asked.append((broker, api.NAME))
            answer = self.answer(broker, api.NAME, api.Request.decode(version, frame, position))
        if isinstance(answer, Exception):
            why = str(answer)
            self._events.append(lambda: self.engine.lost(connection, why))
        elif answer is not None:
            body = response_header(key, version, correlation_id) + answer.encode(version)
            data = struct.pack(">i", len(body)) + body
            self._events.append(lambda: self.engine.received(connection, data))

    def _versions(self) -> Any:
        apis = [by_name(name) for name in names()]
        return api_versions.Response(
            api_keys=[
                api_versions.ApiVersion(api_key=a.API_KEY, min_version=a.VERSIONS[0], max_version=a.VERSIONS[1])
                for a in apis
            ]
        )

    def close_connection(self, connection: Connection) -> None: ...

    def resolve(self, host: str, done: Callable[[Any], None]) -> None:
        done(f"the host name {host} does not resolve" if host in self.unresolved else None)

    def probe(self, probe: Probe, done: Callable[[Any], None]) -> None:
        done(b"Zookeeper version: 3.9" if self.zookeeper else b"")
