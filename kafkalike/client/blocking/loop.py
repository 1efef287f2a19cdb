"""The sockets under the client's engine for programs without an event loop: select, in whatever thread waits.

Any thread may call; a lock is around everything but the waiting itself. The thread that waits for something moves the
bytes for all, and while it does the others wait for it; so an Admin needs no thread of its own. A client that has to
work while nobody waits (a producer, a member of a group) starts one with `keep_going`.
"""

from __future__ import annotations

import contextlib
import os
import random
import selectors
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from kafkalike.client.cluster import parse_servers
from kafkalike.client.connection import Connection
from kafkalike.client.effects import Probe, Steps, Task
from kafkalike.client.engine import Engine
from kafkalike.client.errors import Disconnected
from kafkalike.client.routing import Routing
from kafkalike.clock import Clock

T = TypeVar("T")

READ_BYTES = 1 << 18
READS_IN_A_ROW = 16
PROBE_SECONDS = 1.0


class Loop:
    """Runs steps of the client, blocking."""

    def __init__(
        self,
        bootstrap_servers: str,
        client_id: str,
        *,
        request_timeout_ms: int = 30_000,
        retry_backoff_ms: int = 100,
        default_api_timeout_ms: int = 60_000,
        bootstrap_timeout_ms: int = 10_000,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.clock = Clock()
        self.engine = Engine(self, self.clock, client_id, min(10_000, request_timeout_ms))
        self.routing = Routing(
            parse_servers(bootstrap_servers),
            self.clock,
            random.Random(),
            tell or (lambda text: print(text, file=sys.stderr)),
            request_timeout_ms=request_timeout_ms,
            retry_backoff_ms=retry_backoff_ms,
            default_api_timeout_ms=default_api_timeout_ms,
            bootstrap_timeout_ms=bootstrap_timeout_ms,
        )
        self.lock = threading.RLock()
        self._turned = threading.Condition(self.lock)
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[Connection, _Socket] = {}
        self._trying: set[_Socket] = set()
        """Those that connect to a host with further addresses."""
        self._lost: deque[tuple[Connection, str]] = deque()
        self._selecting = False
        self._wakes_at_ms: float | None = None
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread: threading.Thread | None = None
        self.closed = False
        try:
            self.run(self.routing.resolve_bootstrap())
        except BaseException:
            self.close()
            raise

    # For the clients.

    def run(self, steps: Steps[T]) -> T:
        """What the steps return."""
        with self.lock:
            task = self.engine.start(steps)
            self.go_on()
            try:
                self.wait_until(lambda: task.done)
            except BaseException:
                task.cancel()
                raise
            return task.result()

    def start(self, steps: Steps[None]) -> Task[None]:
        """Begins steps that go on by themselves. They are not expected to fail."""
        task = self.engine.start(steps)
        task.when_done.append(_complain)
        return task

    def wait_until(self, condition: Callable[[], bool], timeout_ms: float | None = None) -> bool:
        """Waits until the condition holds; whether it does. Called with the lock.

        RuntimeError in an `on_delivery` that would wait: it is called by the thread that does the work for all, in the
        middle of that work, so what it waits for would never come."""
        deadline = None if timeout_ms is None else self.clock.monotonic_ms() + timeout_ms
        while not condition():
            if self.engine.turning:
                raise RuntimeError(
                    "on_delivery must not wait: it is called by the thread that sends, so flush(), close(), result() "
                    "and a send() that has no room would never end"
                )
            left = None if deadline is None else deadline - self.clock.monotonic_ms()
            if left is not None and left <= 0:
                return False
            if self._selecting:
                self._turned.wait(None if left is None else left / 1000)
            else:
                self._select(left)
        return True

    def take_in(self) -> None:
        """Takes in what the sockets have, without waiting: where no thread does it, an answer that came between two
        calls would else be found after its request's time is over, or never by calls that do not wait."""
        with self.lock:
            if not self._selecting:
                self._select(0)

    def go_on(self) -> None:
        """Something was asked of the engine; with the lock. What can be done at once is, by this thread."""
        self.engine.turn()
        self._turned.notify_all()
        if self._selecting:
            due = self.engine.due_ms
            if self._lost or (due is not None and (self._wakes_at_ms is None or due < self._wakes_at_ms)):
                self._wake()

    def keep_going(self, name: str) -> None:
        """From now on a thread does the work while nobody waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_going, name=name, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Closes every connection, and ends the thread."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            self.engine.close()
            self.engine.turn()
            self._wake()
            self._turned.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
        for end in (self._selector, self._waker, self._woken):
            end.close()

    # The work.

    def _keep_going(self) -> None:
        with self.lock:
            while not self.closed:
                if self._selecting:
                    self._turned.wait()
                else:
                    self._select(None)

    def _select(self, limit_ms: float | None) -> None:
        """Waits until a socket has something, a timer is due or the limit is reached, and takes that in. The lock is
        free meanwhile."""
        due = min((time for time in (self.engine.due_ms, *self._next_addresses()) if time is not None), default=None)
        if self._lost:
            due = 0
        left = limit_ms
        if due is not None:
            until_due = max(due - self.clock.monotonic_ms(), 0)
            left = until_due if left is None else min(left, until_due)
        self._wakes_at_ms = None if left is None else self.clock.monotonic_ms() + left
        self._selecting = True
        self.lock.release()
        try:
            events = self._selector.select(None if left is None else left / 1000)
        finally:
            self.lock.acquire()
            self._selecting = False
        try:
            for key, mask in events:
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        self._woken.recv(4096)
                elif (found := self._sockets.get(key.data.connection)) is key.data:
                    found.ready(mask)
            if self._trying:
                for found in list(self._trying):
                    found.look_at_the_time()
            while self._lost:
                self.engine.lost(*self._lost.popleft())
            self.engine.turn()
        finally:
            self._turned.notify_all()

    def _next_addresses(self) -> list[float]:
        """When a silent address is given up for the next one of its host."""
        return [found.next_at_ms for found in self._trying] if self._trying else []

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"w")

    # For the engine.

    def open(self, connection: Connection) -> None:
        """Begins to connect."""
        self._sockets[connection] = _Socket(self, connection)

    def send(self, connection: Connection, data: bytes) -> None:
        """Sends."""
        self._sockets[connection].send(data)

    def close_connection(self, connection: Connection) -> None:
        """Closes its socket."""
        found = self._sockets.pop(connection, None)  # None when SIGINT came while it was made
        if found is not None:
            found.close()

    def resolve(self, host: str, done: Callable[[Any], None]) -> None:
        """Looks up a host name."""
        done(unresolved(host))

    def probe(self, probe: Probe, done: Callable[[Any], None]) -> None:
        """Says some bytes to a server and listens."""
        answer = b""
        try:
            with socket.create_connection((probe.host, probe.port), PROBE_SECONDS) as connection:
                connection.settimeout(PROBE_SECONDS)
                connection.sendall(probe.words)
                while len(answer) < probe.size and (part := connection.recv(4096)):
                    answer += part
        except (OSError, UnicodeError):
            pass
        done(answer)

    def lose(self, connection: Connection, reason: str) -> None:
        """The engine hears of it with the next turn."""
        self._lost.append((connection, reason))
        if self._selecting:
            self._wake()


def _complain(task: Task[None]) -> None:
    if task.failure is not None and not isinstance(task.failure, Disconnected):
        import traceback

        traceback.print_exception(task.failure)


class _Socket:
    """The socket of one connection: it tries the addresses of the host in turn."""

    def __init__(self, loop: Loop, connection: Connection) -> None:
        self.connection = connection
        self._loop = loop
        self._socket: socket.socket | None = None
        self._connected = False
        self._unsent: deque[memoryview] = deque()
        self._problem = "nobody listens"
        node = connection.node
        try:
            self._addresses = deque(socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as problem:
            self._addresses = deque()
            self._problem = str(problem)
        # The time for the connection is shared among the addresses: one that is silent keeps the others from nothing.
        self._share_ms = (connection.deadline_ms - loop.clock.monotonic_ms()) / max(len(self._addresses), 1)
        self.next_at_ms = 0.0
        self._try_next()

    def look_at_the_time(self) -> None:
        """Goes on to the next address when the present one has been silent for its share of the time."""
        if self._loop.clock.monotonic_ms() >= self.next_at_ms:
            self._problem = "no answer in time"
            self.close()
            self._try_next()

    def _try_next(self) -> None:
        """Begins to connect to the next address; the last failure is the connection's."""
        self._loop._trying.discard(self)
        while self._addresses:
            family, kind, protocol, _, address = self._addresses.popleft()
            try:
                made = socket.socket(family, kind, protocol)
                made.setblocking(False)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with contextlib.suppress(BlockingIOError):
                    made.connect(address)
            except OSError as problem:
                self._problem = str(problem)
                continue
            self._socket = made
            self._loop._selector.register(made, selectors.EVENT_WRITE, self)
            if self._addresses:
                self.next_at_ms = self._loop.clock.monotonic_ms() + self._share_ms
                self._loop._trying.add(self)
            return
        self._loop.lose(self.connection, f"{self.connection.node.host}:{self.connection.node.port}: {self._problem}")

    def ready(self, mask: int) -> None:
        """The socket can be read or written."""
        if not self._connected:
            self._is_connected()
            return
        if mask & selectors.EVENT_WRITE:
            self._send_rest()
        if mask & selectors.EVENT_READ:
            self._read()

    def _is_connected(self) -> None:
        assert self._socket is not None
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._problem = str(OSError(code, os.strerror(code)))
        elif self._socket.getsockname() == self._socket.getpeername():
            # A port in the range for outgoing connections whose server is down can be connected to itself, and
            # would then keep the server from coming back.
            self._problem = "nobody listens"
        else:
            self._connected = True
            self._loop._trying.discard(self)
            self._loop._selector.modify(self._socket, selectors.EVENT_READ, self)
            self._loop.engine.connected(self.connection)
            return
        self.close()
        self._try_next()

    def send(self, data: bytes) -> None:
        """Sends as much as the socket takes, and the rest when it takes more."""
        assert self._socket is not None
        self._unsent.append(memoryview(data))
        if len(self._unsent) == 1:
            self._send_rest()

    def _send_rest(self) -> None:
        assert self._socket is not None
        try:
            while self._unsent:
                data = self._unsent[0]
                sent = self._socket.send(data)
                if sent < len(data):
                    self._unsent[0] = data[sent:]
                    break
                self._unsent.popleft()
        except BlockingIOError:
            pass
        except OSError as problem:
            self._unsent.clear()
            self._loop.lose(self.connection, str(problem))
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        if self._loop._selector.get_key(self._socket).events != wanted:
            self._loop._selector.modify(self._socket, wanted, self)

    def _read(self) -> None:
        for _ in range(READS_IN_A_ROW):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError as problem:
                self._loop.engine.lost(self.connection, str(problem))
                return
            if not data:
                self._loop.engine.lost(self.connection, "the broker closed the connection")
                return
            self._loop.engine.received(self.connection, data)
            if len(data) < READ_BYTES:
                return

    def close(self) -> None:
        """Closes the socket."""
        self._loop._trying.discard(self)
        if self._socket is not None:
            with contextlib.suppress(KeyError):  # when SIGINT came before it was registered
                self._loop._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None


def unresolved(host: str) -> str | None:
    """Why the host name has no address, in a sentence; None if it has one."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as problem:
        return f"the host name {host} does not resolve ({problem.strerror or problem})"
    except UnicodeError:
        return f"{host} is no host name"
    return None
