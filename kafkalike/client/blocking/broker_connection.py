"""One broker that is asked directly, whatever it leads and without a second attempt: for health checks and tests."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from kafkalike.client.blocking.loop import Loop
from kafkalike.client.cluster import Node
from kafkalike.client.effects import Ask, Connect, Steps
from kafkalike.client.errors import Disconnected


class BrokerConnection:
    """A connection to one broker. Disconnected when it cannot be made, breaks, or an answer does not come in time; it
    is of no more use then."""

    def __init__(self, node: Node, client_id: str, connect_timeout_ms: int = 10_000) -> None:
        self.node = node
        try:
            self._loop = Loop(f"{node.host}:{node.port}", client_id, request_timeout_ms=connect_timeout_ms)
        except ValueError as problem:
            raise Disconnected(str(problem)) from problem
        try:
            self.versions = self._loop.run(self._connect())
            """API key -> versions that the broker speaks."""
        except BaseException:
            self.close()
            raise

    def _connect(self) -> Steps[dict[int, tuple[int, int]]]:
        connection = yield Connect(self.node)
        versions: dict[int, tuple[int, int]] = connection.versions
        return versions

    def ask(self, api: ModuleType, request: Any, timeout_ms: float) -> Any:
        """One request, one answer."""

        def steps() -> Steps[Any]:
            return (yield Ask(self.node, api, request, timeout_ms))

        return self._loop.run(steps())

    def close(self) -> None:
        """Closes the socket."""
        self._loop.close()
