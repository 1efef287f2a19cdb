"""An ensemble in memory: zk/server's own tree and watches, one per server, and sessions that expire.

One order of changes (the tree `head`), which every server applies some time later: a server answers a change when it
has applied it, a read from what it has applied, and a sync when it has applied what was there at that time. So a
session sees its own writes and never goes back, and a new session may find itself on a server that lags. A reply may be
lost, with the change done or not. Watches are the server's, one-shot, told in the order of the connection.

`SimZkClient` has the interface of zk.client.ZkClient, and its promises about lost connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from tests.simulation.network import CLIENT, NETWORK, SERVER, Network, Wire
from tests.simulation.world import Machine, World
from zk import client as real
from zk import ensemble
from zk.paths import parents
from zk.server.tree import CHILDREN_CHANGED, CREATED, DATA_CHANGED, DELETED, Tree
from zk.server.watches import Watches
from zk.wire import OPEN_ACL, Code, ZkError

CONNECTED, SUSPENDED, LOST = "CONNECTED", "SUSPENDED", "LOST"
PORT = 2181
IDS = (("ip", "x"),)

ERRORS: dict[int, type[Exception]] = {
    Code.NO_NODE: real.NoNode,
    Code.NODE_EXISTS: real.NodeExists,
    Code.BAD_VERSION: real.BadVersion,
    Code.NOT_EMPTY: real.NotEmpty,
    Code.NO_CHILDREN_FOR_EPHEMERALS: real.NoChildrenForEphemerals,
}
EVENTS = {CREATED: "CREATED", DELETED: "DELETED", DATA_CHANGED: "CHANGED", CHILDREN_CHANGED: "CHILD"}


class Stat(NamedTuple):
    """What the product looks at of kazoo's ZnodeStat."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    ephemeralOwner: int
    numChildren: int


class Event(NamedTuple):
    """kazoo's WatchedEvent."""

    type: str
    state: str
    path: str


class Change(NamedTuple):
    """A change that was decided: what every server applies. `operations` are create/set/delete with all arguments."""

    zxid: int
    time_ms: int
    operations: tuple[tuple[Any, ...], ...]


class Session:
    """A session, as the ensemble knows it."""

    __slots__ = ("id", "password", "timeout", "heard", "expired")

    def __init__(self, number: int, timeout: float, now: float) -> None:
        self.id = number
        self.password = number.to_bytes(16, "big")
        self.timeout = timeout
        self.heard = now
        self.expired = False


class Server:
    """One member of the ensemble."""

    def __init__(self, zookeeper: ZooKeeper, machine: Machine) -> None:
        self.zookeeper = zookeeper
        self.machine = machine
        self.tree = Tree()
        self.watches = Watches()
        self.applied = 0
        self.behind = 0  # changes that are on their way here
        self.due = 0.0  # when the last change that is on its way here arrives
        self.connections: dict[int, ServerEnd] = {}
        self.waiting: list[tuple[int, Callable[[], None]]] = []
        self.lag = 0.0

    def follow(self, change: Change) -> None:
        """A change was decided: it arrives here some time later."""
        world = self.zookeeper.world
        delay = 0.0
        if self.lag:
            delay = self.lag * world.random.random()
            if world.random.random() < 0.1:
                delay *= 10
        due = world.now + delay
        if due < self.due:
            due = self.due
        self.due = due
        if due <= world.now and not self.behind:
            self._apply(change)
        else:
            self.behind += 1
            world.at_time(due, self._arrived, change)

    def _arrived(self, change: Change) -> None:
        self.behind -= 1
        self._apply(change)

    def _apply(self, change: Change) -> None:
        tree = self.tree
        for kind, *args in change.operations:
            apply(tree, kind, args, change.zxid, change.time_ms)
        self.applied = change.zxid
        if tree.events:
            for kind, path, _ in tree.events:
                for number in self.watches.fire(path, kind):
                    self.connections[number].tell(kind, path)
            tree.events.clear()
        if self.waiting:
            ready = [item for item in self.waiting if item[0] <= change.zxid]
            if ready:
                self.waiting = [item for item in self.waiting if item[0] > change.zxid]
                for _, call in ready:
                    call()

    def when(self, zxid: int, call: Callable[[], None]) -> None:
        """Calls when this much has been applied."""
        if self.applied >= zxid:
            call()
        else:
            self.waiting.append((zxid, call))

    def end(self, wire: Wire) -> ServerEnd:
        """A client connects."""
        return ServerEnd(self, wire)


def apply(tree: Tree, kind: str, args: Any, zxid: int, time_ms: int) -> None:
    """Applies one operation of a change that was decided."""
    if kind == "create":
        path, data, owner = args
        tree.create(path, data, OPEN_ACL, owner, False, None, zxid, time_ms)
    elif kind == "set":
        tree.set_data(args[0], args[1], -1, None, zxid, time_ms)
    else:
        tree.delete(args[0], -1, None, zxid)


class ServerEnd:
    """A server's end of a client's connection."""

    def __init__(self, server: Server, wire: Wire) -> None:
        self.server = server
        self.zookeeper = server.zookeeper
        self.wire = wire
        self.session: Session | None = None
        self.number = self.zookeeper.count()
        self.busy = False  # a change or a sync is under way: what comes after it waits
        self.held: deque[Any] = deque()
        server.connections[self.number] = self

    def tell(self, kind: int, path: str) -> None:
        """A watch fired."""
        self.wire.send(SERVER, ("event", kind, path))

    def deliver(self, payload: Any) -> None:
        kind, number, *args = payload
        if kind == "session":
            self._attach(*args)
            return
        session = self.session
        if session is None or session.expired:
            self.close()
            return
        session.heard = self.zookeeper.world.now
        if self.busy:
            self.held.append(payload)
        else:
            self._carry_out(session, kind, number, args)

    def _carry_out(self, session: Session, kind: str, number: int, args: list[Any]) -> None:
        if kind == "ping":
            self.wire.send(SERVER, ("reply", number, None, None))
        elif kind == "read":
            self._read(number, *args)
        elif kind == "sync":
            self._later(number, None, "/")
        elif kind == "close":
            self.zookeeper.expire(session)
            self.wire.send(SERVER, ("reply", number, None, None))
            self.close()
        else:
            self._write(number, args[0])

    def _later(self, number: int, error: Any, result: Any) -> None:
        """Answers when this server has all that was decided up to now."""
        self.busy = True
        self.server.when(self.zookeeper.zxid, lambda: self._ready(number, error, result))

    def _ready(self, number: int, error: Any, result: Any) -> None:
        self.wire.send(SERVER, ("reply", number, error, result, self.server.applied))
        self.busy = False
        # What was sent after a request that is lost has not arrived either.
        while self.held and not self.busy and self.wire.open and self.number in self.server.connections:
            assert self.session is not None
            kind, number, *args = self.held.popleft()
            self._carry_out(self.session, kind, number, args)

    def _attach(self, number: int | None, password: bytes, timeout: float, seen: int) -> None:
        zookeeper = self.zookeeper
        if seen > self.server.applied or self.server.machine.name in zookeeper.apart:
            # The client has seen more than this server knows, or it is of no ensemble: another one may do.
            self.close()
            return
        if number is None:
            self.session = zookeeper.open(timeout)
        else:
            known = zookeeper.sessions.get(number)
            if known is None or known.expired or known.password != password:
                self.wire.send(SERVER, ("expired", 0, None, None))
                self.close()
                return
            known.heard = zookeeper.world.now
            for server in zookeeper.servers:
                for end in list(server.connections.values()):
                    if end.session is known:
                        end.close()
            self.session = known
        session = self.session
        self.wire.send(SERVER, ("session", 0, (session.id, session.password), self.server.applied))

    def _read(self, number: int, verb: str, path: str, watch: bool) -> None:
        tree, watches = self.server.tree, self.server.watches
        node = tree.nodes.get(path)
        applied = self.server.applied
        if applied < self.zookeeper.zxid:
            self.zookeeper.world.meet("stale read")
        if verb == "exists":
            if watch:
                watches.data.add(path, self.number)
            result = None if node is None else stat(node)
        elif node is None:
            self.wire.send(SERVER, ("reply", number, (Code.NO_NODE, None), None, applied))
            return
        elif verb == "get":
            if watch:
                watches.data.add(path, self.number)
            result = (node.data, stat(node))
        else:
            if watch:
                watches.child.add(path, self.number)
            result = list(node.children or ())
        self.wire.send(SERVER, ("reply", number, None, result, applied))

    def _write(self, number: int, operations: Any) -> None:
        zookeeper = self.zookeeper
        lose = zookeeper.lose_reply and zookeeper.world.random.random() < zookeeper.lose_reply
        if lose and zookeeper.world.random.random() < 0.5:
            zookeeper.lost += 1
            zookeeper.world.note("zookeeper: a request is lost")
            self.wire.snap()
            return
        assert self.session is not None
        error, results = zookeeper.decide(operations, self.session)
        if lose:
            zookeeper.lost += 1
            zookeeper.world.note("zookeeper: a reply is lost")
            if error is None:
                paths = [operation.path for operation in operations]
                if "/controller" in paths:
                    zookeeper.world.meet("answer to an election lost")
                if any(path.endswith("/state") for path in paths):
                    zookeeper.world.meet("answer to a state lost")
            self.wire.snap()
            return
        self._later(number, error, results)

    def close(self) -> None:
        self.wire.close(SERVER)
        self.lost(None)

    def lost(self, reason: Any) -> None:
        self.server.connections.pop(self.number, None)
        self.server.watches.drop(self.number)


def stat(node: Any) -> Stat:
    """A node's Stat."""
    children = len(node.children) if node.children else 0
    return Stat(node.czxid, node.mzxid, node.ctime, node.mtime, node.version, node.owner, children)


class ZooKeeper:
    """The ensemble. `heard(path, data, node, session)` hears of every change of data when it is decided."""

    def __init__(self, world: World, network: Network, servers: int, lag: float, lose_reply: float) -> None:
        self.world = world
        self.head = Tree()
        self.zxid = 0
        self.sessions: dict[int, Session] = {}
        self.lose_reply = lose_reply
        self.lost = 0
        self.expirations = 0
        self.apart: set[str] = set()
        self.heard: Callable[[str, bytes | None, Any, int], None] = lambda path, data, node, session: None
        self._count = 0
        self.servers: list[Server] = []
        for number in range(servers):
            machine = Machine(world, f"z{number}")
            machine.running = True
            network.add(machine)
            server = Server(self, machine)
            server.lag = lag if servers > 1 else 0.0
            network.listeners[machine.name, PORT] = server
            self.servers.append(server)

    @property
    def now_ms(self) -> int:
        """The ensemble's time of day."""
        return 1_700_000_000_000 + int(self.world.now * 1000)

    def count(self) -> int:
        """A new number."""
        self._count += 1
        return self._count

    def open(self, timeout: float) -> Session:
        """A new session."""
        session = Session((1 << 56) + self.count(), timeout, self.world.now)
        self.sessions[session.id] = session
        self._look(session)
        return session

    def _look(self, session: Session) -> None:
        if session.expired:
            return
        left = session.heard + session.timeout - self.world.now
        if left <= 0:
            self.expirations += 1
            self.expire(session)
        else:
            self.world.at(left + 0.001, self._look, session)

    def expire(self, session: Session) -> None:
        """The session is over: its ephemerals go, its connection ends."""
        if session.expired:
            return
        session.expired = True
        if session.id in self.head.ephemerals:
            self.world.meet("session expires")
        self.world.note("zookeeper: session 0x%x is over", session.id)
        paths = list(self.head.ephemerals.get(session.id, ()))
        self._commit([("delete", path) for path in paths], session.id)
        for server in self.servers:
            for end in list(server.connections.values()):
                if end.session is session:
                    end.close()

    def write(self, *operations: Any) -> None:
        """A change made by nobody in particular, for setting the scene."""
        error, _ = self.decide(list(operations), None)
        assert error is None, error

    def decide(self, operations: list[Any], session: Session | None) -> tuple[tuple[int, int | None] | None, Any]:
        """Carries a change out in the order of changes: (error code, index of the operation) or None, and results."""
        head, zxid, now_ms = self.head, self.zxid + 1, self.now_ms
        owner = session.id if session is not None else 0
        done: list[tuple[Any, ...]] = []
        nodes: list[Any] = []
        head.begin()
        try:
            for op in operations:
                if isinstance(op, real.Create):
                    path, node = head.create(
                        op.path, op.data, OPEN_ACL, owner if op.ephemeral else 0, op.sequence, IDS, zxid, now_ms
                    )
                    done.append(("create", path, op.data, owner if op.ephemeral else 0))
                    nodes.append(path)
                elif isinstance(op, real.Set):
                    node = head.set_data(op.path, op.data, op.version, IDS, zxid, now_ms)
                    done.append(("set", op.path, op.data))
                    nodes.append(node)
                elif isinstance(op, real.Delete):
                    head.delete(op.path, op.version, IDS, zxid)
                    done.append(("delete", op.path))
                    nodes.append(True)
                else:
                    head.check(op.path, op.version, IDS)
                    nodes.append(True)
        except ZkError as error:
            head.rollback()
            refused = operations[len(nodes)]
            if isinstance(refused, real.Check) and refused.path == "/controller_epoch":
                self.world.meet("zombie controller refused")
            return (error.code, len(nodes)), None
        head.commit()
        results = [node if isinstance(node, (str, bool)) else stat(node) for node in nodes]
        self._spread(done, owner)
        return None, results

    def _commit(self, operations: list[tuple[Any, ...]], session: int) -> None:
        for kind, *args in operations:
            apply(self.head, kind, args, self.zxid + 1, self.now_ms)
        self._spread(operations, session)

    def _spread(self, operations: list[tuple[Any, ...]], session: int) -> None:
        self.zxid += 1
        change = Change(self.zxid, self.now_ms, tuple(operations))
        head = self.head
        head.events.clear()
        for kind, path, *args in change.operations:
            if kind == "delete":
                self.heard(path, None, None, session)
            else:
                self.heard(path, args[0], head.nodes[path], session)
        for server in self.servers:
            server.follow(change)


class _Request(NamedTuple):
    kind: str
    args: tuple[Any, ...]
    answer: Deferred[Any]
    watch: Any
    single: bool


class SimZkClient:
    """A broker's session. See zk/client.py for what it promises."""

    def __init__(self, connect_string: str, session_timeout_ms: int, reactor: Any = None, session: Any = None) -> None:
        self._reactor = reactor
        self._machine: Machine = reactor.machine
        self._life = self._machine.life
        self._network = NETWORK[0]
        self._servers = [name for name in self._network.hosts if name.startswith("z")]
        self.ensemble = ensemble.parse(connect_string)
        self._timeout = session_timeout_ms / 1000
        self._state = LOST
        self._session: tuple[int, bytes] | None = session
        self._known: tuple[int, bytes] | None = session
        self._seen = 0
        self._listeners: list[Callable[[str], Any]] = []
        self._wire: Wire | None = None
        self._queue: deque[_Request] = deque()
        self._under_way: deque[tuple[int, _Request]] = deque()
        self._number = 0
        self._watches: dict[tuple[str, str], list[Any]] = {}
        self._heard = 0.0
        self._first: Deferred[None] | None = None
        self._stopped = False
        self._pinging: Any = None

    # State.

    @property
    def state(self) -> str:
        return self._state

    @property
    def session_id(self) -> int | None:
        return self._known[0] if self._known else None

    @property
    def session(self) -> tuple[int, bytes] | None:
        return self._known

    def add_listener(self, listener: Callable[[str], Any]) -> None:
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[str], Any]) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def start(self, timeout_ms: int) -> Deferred[None]:
        self._first = Deferred()
        self._reactor.callLater(timeout_ms / 1000, self._give_up, timeout_ms)
        self._connect()
        return self._first

    def _give_up(self, timeout_ms: int) -> None:
        assert self._first is not None
        if not self._first.called:
            self._stopped = True
            self._first.errback(real.ConnectTimeout(f"no ZooKeeper server answered within {timeout_ms} ms"))

    def stop(self) -> Deferred[None]:
        answer: Deferred[None] = Deferred()
        if self._stopped:
            answer.callback(None)
            return answer

        def closed(_: Any) -> None:
            self._stopped = True
            if self._wire is not None:
                self._wire.close(CLIENT)
            if not answer.called:
                answer.callback(None)

        if self._state == CONNECTED:
            self._send("close", ()).addBoth(closed)
            self._reactor.callLater(self._timeout, closed, None)
        else:
            self._reactor.callLater(0, closed, None)
        return answer

    # Operations.

    def get(self, path: str, watch: Any = None) -> Deferred[Any]:
        return self._send("read", ("get", path, watch is not None), watch)

    def exists(self, path: str, watch: Any = None) -> Deferred[Any]:
        return self._send("read", ("exists", path, watch is not None), watch)

    def children(self, path: str, watch: Any = None) -> Deferred[Any]:
        return self._send("read", ("children", path, watch is not None), watch)

    def sync(self, path: str = "/") -> Deferred[Any]:
        return self._send("sync", ())

    def create(
        self,
        path: str,
        data: bytes | None = None,
        ephemeral: bool = False,
        sequence: bool = False,
        makepath: bool = False,
    ) -> Deferred[Any]:
        operation = real.Create(path, data, ephemeral, sequence)
        answer = self._send("write", ([operation],), single=True)
        if makepath:

            def parent_missing(failure: Any) -> Any:
                failure.trap(real.NoNode)
                above = parents(path)[:-1]
                return self._ensure(above).addCallback(lambda _: self._send("write", ([operation],), single=True))

            answer.addErrback(parent_missing)
        return answer

    def set(self, path: str, data: bytes | None, version: int = -1) -> Deferred[Any]:
        return self._send("write", ([real.Set(path, data, version)],), single=True)

    def delete(self, path: str, version: int = -1) -> Deferred[Any]:
        return self._send("write", ([real.Delete(path, version)],), single=True)

    def ensure_path(self, path: str) -> Deferred[None]:
        return self._ensure(parents(path))

    def multi(self, operations: Any) -> Deferred[Any]:
        return self._send("write", (list(operations),))

    def _ensure(self, paths: list[str]) -> Deferred[None]:
        def exists_already(failure: Any, path: str) -> Any:
            if failure.check(real.ConnectionLoss):
                return self.create(path).addErrback(exists_already, path)
            failure.trap(real.NodeExists)
            return None

        return real.gather(self.create(path).addErrback(exists_already, path) for path in paths).addCallback(
            lambda _: None
        )

    # Inside.

    def _send(self, kind: str, args: tuple[Any, ...], watch: Any = None, single: bool = False) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        if self._stopped:
            if self._life == self._machine.life:
                answer.errback(real.ConnectionClosed())
            return answer
        self._queue.append(_Request(kind, args, answer, watch, single))
        self._flush()
        return answer

    def _flush(self) -> None:
        if self._state != CONNECTED or self._wire is None:
            return
        while self._queue:
            request = self._queue.popleft()
            self._number += 1
            self._under_way.append((self._number, request))
            self._machine.world.note("zk #%d %s %s", self._number, request.kind, request.args)
            self._wire.send(CLIENT, (request.kind, self._number, *request.args))

    def _connect(self) -> None:
        if self._stopped:
            return
        world = self._machine.world
        host = self._servers[world.random.randrange(len(self._servers))]
        connecting = self._network.connect(self._machine, host, PORT, max(self._timeout / 3, 0.5), self)
        connecting.addCallbacks(self._connected, self._refused)

    def _refused(self, failure: Any) -> None:
        self._reactor.callLater(0.05 + 0.5 * self._machine.world.random.random(), self._connect)

    def _connected(self, wire: Wire) -> None:
        if self._stopped:
            wire.close(CLIENT)
            return
        self._wire = wire
        number, password = self._session if self._session else (None, b"")
        wire.send(CLIENT, ("session", 0, number, password, self._timeout, self._seen))
        self._heard = self._reactor.seconds()
        if self._pinging is None:
            self._ping()

    def _ping(self) -> None:
        self._pinging = self._reactor.callLater(self._timeout / 3, self._ping)
        if self._wire is None:
            return
        if self._reactor.seconds() - self._heard > self._timeout * 2 / 3:
            self._machine.world.note("zookeeper: the server is silent")
            wire = self._wire
            wire.close(CLIENT)
            self.lost(None)
        elif self._state == CONNECTED:
            self._number += 1
            self._wire.send(CLIENT, ("ping", self._number))

    def deliver(self, payload: Any) -> None:
        """Something comes from the server."""
        if self._wire is None or self._stopped:
            return
        self._heard = self._reactor.seconds()
        kind, number, *rest = payload
        if kind == "reply":
            if not self._under_way or self._under_way[0][0] != number:
                return  # a ping's
            request = self._under_way.popleft()[1]
            error, result, *seen = rest
            self._machine.world.note("zk #%d: %s", number, error or result)
            if seen:
                self._seen = max(self._seen, seen[0])
            self._finish(request, error, result)
        elif kind == "event":
            self._fired(number, rest[0])
        elif kind == "session":
            session, self._seen = rest[0], max(self._seen, rest[1])
            self._session = self._known = session
            self._become(CONNECTED)
            self._flush()
        else:
            self._expired()

    def _finish(self, request: _Request, error: Any, result: Any) -> None:
        if request.watch is not None and (error is None):
            path = request.args[1]
            table = "child" if request.args[0] == "children" else "data"
            self._watches.setdefault((table, path), []).append(request.watch)
        if error is not None:
            code, index = error
            failure = ERRORS[code]()
            if index is not None and not request.single:
                failure.index = index  # type: ignore[attr-defined]
            request.answer.errback(failure)
            return
        if request.single:
            result = result[0]
        request.answer.callback(result)

    def _fired(self, kind: int, path: str) -> None:
        event = Event(EVENTS[kind], CONNECTED, path)
        called: list[Any] = []
        if kind in (CREATED, DATA_CHANGED, DELETED):
            called += self._watches.pop(("data", path), [])
        if kind in (CHILDREN_CHANGED, DELETED):
            called += self._watches.pop(("child", path), [])
        for watch in called:
            watch(event)

    def lost(self, reason: Any) -> None:
        """The connection is gone: reads are sent again, writes are in doubt, watches are dropped."""
        if self._wire is None or self._stopped:
            return
        self._wire = None
        self._watches.clear()
        under_way, self._under_way = self._under_way, deque()
        again = [request for _, request in under_way if request.kind in ("read", "sync")]
        unsure = [request for _, request in under_way if request.kind not in ("read", "sync")]
        self._queue.extendleft(reversed(again))
        if self._state == CONNECTED:
            self._become(SUSPENDED)
        for request in unsure:
            request.answer.errback(real.ConnectionLoss())
        self._reactor.callLater(0.02 + 0.2 * self._machine.world.random.random(), self._connect)

    def _expired(self) -> None:
        self._machine.world.note("zookeeper: session 0x%x is found to be over", self.session_id or 0)
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close(CLIENT)
        self._session = None
        self._seen = 0
        waiting = [request for _, request in self._under_way] + list(self._queue)
        self._under_way.clear()
        self._queue.clear()
        self._become(LOST)
        for request in waiting:
            request.answer.errback(real.SessionExpired())
        self._connect()

    def _become(self, state: str) -> None:
        if state == self._state:
            return
        self._state = state
        self._machine.world.note("zookeeper session 0x%x: %s", self.session_id or 0, state)
        for listener in list(self._listeners):
            listener(state)
        if state == CONNECTED and self._first is not None and not self._first.called:
            self._first.callback(None)
