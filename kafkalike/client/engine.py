"""Runs the client's steps side by side: what each waits for, the connections they share, and their timeouts.

The engine does no I/O either. A face is its `Sockets`: it opens and closes connections, sends, resolves and probes, and
reports by `connected`, `received` and `lost`; it calls `turn` whenever something happened and when `due_ms` is reached.
One thread at a time: a face with several threads has a lock around every call.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from kafkalike.client.cluster import Node
from kafkalike.client.connection import Answered, Connection, Question
from kafkalike.client.effects import (
    Ask,
    Connect,
    ConnectedNodes,
    Disconnect,
    Effect,
    Fork,
    Probe,
    Resolve,
    Sleep,
    Steps,
    Task,
    Wait,
)
from kafkalike.client.errors import Disconnected, Unreachable
from kafkalike.clock import Clock

T = TypeVar("T")


class Sockets(Protocol):
    """What a face does for the engine. None of these calls the engine back before it has returned."""

    def open(self, connection: Connection) -> None:
        """Begins to connect; `connected` or `lost` follows."""

    def send(self, connection: Connection, data: bytes) -> None:
        """Sends bytes, after those before; what goes wrong is reported by `lost`."""

    def close_connection(self, connection: Connection) -> None:
        """Closes it; nothing of it is reported any more."""

    def resolve(self, host: str, done: Callable[[Any], None]) -> None:
        """See effects.Resolve; `done` takes the outcome."""

    def probe(self, probe: Probe, done: Callable[[Any], None]) -> None:
        """See effects.Probe; `done` takes the outcome."""


class Engine:
    """The tasks and connections of one client."""

    def __init__(self, sockets: Sockets, clock: Clock, client_id: str, connect_timeout_ms: float = 10_000) -> None:
        self.clock = clock
        self.client_id = client_id
        self.connect_timeout_ms = connect_timeout_ms
        self._sockets = sockets
        self._connections: dict[tuple[int, str], Connection] = {}
        self._ready: deque[tuple[Task[Any], int, Any, BaseException | None]] = deque()
        self._timers: list[tuple[float, int, Task[Any], int]] = []
        self._serial = 0
        self.turning = False
        """Whether `turn` is under way: whoever is called by it cannot wait for another turn."""

    # For the face.

    def start(self, steps: Steps[T]) -> Task[T]:
        """Begins steps; they go on with the next turn."""
        task = Task(self.resume, steps)
        self.resume(task, 0)
        return task

    def resume(self, task: Task[Any], turn: int, outcome: Any = None, failure: BaseException | None = None) -> None:
        """The outcome that the task's `turn` waits for is there."""
        self._ready.append((task, turn, outcome, failure))

    def turn(self) -> None:
        """Everything that can go on does."""
        if self.turning:
            return
        self.turning = True
        try:
            self._expire()
            while self._ready:
                task, turn, outcome, failure = self._ready.popleft()
                if turn == task.turn and not task.done:
                    self._go_on(task, outcome, failure)
        finally:
            self.turning = False

    @property
    def ready(self) -> bool:
        """Whether something can go on at once."""
        return bool(self._ready)

    @property
    def due_ms(self) -> float | None:
        """When `turn` is to be called at the latest, on the monotonic clock."""
        if self._ready:
            return 0
        while self._timers and self._timers[0][3] != self._timers[0][2].turn:
            heapq.heappop(self._timers)
        times = [due for c in self._connections.values() if (due := c.due_ms) is not None]
        if self._timers:
            times.append(self._timers[0][0])
        return min(times, default=None)

    def connected(self, connection: Connection) -> None:
        """The socket is connected."""
        connection.connected()
        self._flush(connection)

    def received(self, connection: Connection, data: bytes) -> None:
        """Bytes came."""
        was_ready = connection.ready
        try:
            self._answered(connection.received(data))
        except Disconnected as problem:
            self._end(connection, problem)
            return
        if connection.ready and not was_ready:
            for task, turn in connection.waiting:
                self.resume(task, turn, connection)
            connection.waiting.clear()
        self._flush(connection)

    def lost(self, connection: Connection, reason: str) -> None:
        """The socket could not be connected, or is closed."""
        self._end(connection, Disconnected(reason) if connection.ready else Unreachable(reason))

    def close(self) -> None:
        """Closes every connection."""
        for connection in list(self._connections.values()):
            self._end(connection, Disconnected("the client was closed"))

    # Tasks.

    def _go_on(self, task: Task[Any], outcome: Any, failure: BaseException | None) -> None:
        while True:
            task.turn += 1
            try:
                effect = task.steps.send(outcome) if failure is None else task.steps.throw(failure)
            except StopIteration as end:
                task.end(end.value, None)
                return
            except BaseException as problem:
                task.end(None, problem)
                if not isinstance(problem, Exception):
                    raise
                return
            outcome, failure = None, None
            if isinstance(effect, Fork):
                outcome = self.start(effect.steps)
                outcome.crashed = effect.crashed
            elif isinstance(effect, ConnectedNodes):
                outcome = {node for (node, purpose), c in self._connections.items() if not purpose and c.ready}
            elif isinstance(effect, Disconnect):
                found = self._connections.get((effect.node.id, effect.purpose))
                if found is not None:
                    self._end(found, Disconnected("the connection was closed"))
            else:
                self._await(task, effect)
                return

    def _await(self, task: Task[Any], effect: Effect) -> None:
        """Begins what takes time."""
        turn = task.turn
        if isinstance(effect, Ask):
            self._ask(effect, (task, turn))
        elif isinstance(effect, Wait):
            for signal in effect.signals:
                # Those that went on for another reason are still listed.
                signal.waiting = [(other, at) for other, at in signal.waiting if other.turn == at]
                signal.waiting.append((task, turn))
            if effect.timeout_ms is not None:
                self._set_timer(effect.timeout_ms, task)
        elif isinstance(effect, Sleep):
            self._set_timer(effect.ms, task)
        elif isinstance(effect, Connect):
            connection = self._connection(effect.node, effect.purpose)
            if connection.ready:
                self.resume(task, turn, connection)
            else:
                connection.waiting.append((task, turn))
        elif isinstance(effect, Resolve):
            self._sockets.resolve(effect.host, lambda outcome: self.resume(task, turn, outcome))
        else:
            assert isinstance(effect, Probe), effect
            self._sockets.probe(effect, lambda outcome: self.resume(task, turn, outcome))

    def _set_timer(self, ms: float, task: Task[Any]) -> None:
        self._serial += 1
        heapq.heappush(self._timers, (self.clock.monotonic_ms() + max(ms, 0), self._serial, task, task.turn))

    def _expire(self) -> None:
        """Timers that are due, and connections that have been silent for too long."""
        now = self.clock.monotonic_ms()
        while self._timers and self._timers[0][0] <= now:
            _, _, task, turn = heapq.heappop(self._timers)
            self.resume(task, turn)
        for connection in list(self._connections.values()):
            due = connection.due_ms
            if due is not None and due <= now:
                reason = "no answer in time"
                self._end(connection, Disconnected(reason) if connection.ready else Unreachable(reason))

    # Connections.

    def _connection(self, node: Node, purpose: str) -> Connection:
        """The connection to a node for one purpose. One to an address that the node has left is closed."""
        key = (node.id, purpose)
        found = self._connections.get(key)
        if found is not None and (found.node.host, found.node.port) == (node.host, node.port):
            return found
        if found is not None:
            self._end(found, Disconnected(f"broker {node.id} has another address"))
        deadline = self.clock.monotonic_ms() + self.connect_timeout_ms
        made = self._connections[key] = Connection(node, purpose, self.client_id, deadline)
        self._sockets.open(made)
        return made

    def _ask(self, ask: Ask, token: tuple[Task[Any], int]) -> None:
        connection = self._connection(ask.node, ask.purpose)
        deadline = self.clock.monotonic_ms() + ask.timeout_ms
        self._answered(connection.ask(Question(ask.api, ask.request, token, deadline, ask.answered)))
        self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        data = connection.take_outgoing()
        if data:
            self._sockets.send(connection, data)

    def _answered(self, answers: Iterable[Answered]) -> None:
        for answer in answers:
            task, turn = answer.token
            self.resume(task, turn, answer.response, answer.failure)

    def _end(self, connection: Connection, problem: Disconnected) -> None:
        key = (connection.node.id, connection.purpose)
        if self._connections.get(key) is not connection:
            return
        del self._connections[key]
        self._sockets.close_connection(connection)
        for task, turn in [*connection.waiting, *connection.ended()]:
            self.resume(task, turn, failure=problem)
