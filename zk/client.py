"""A ZooKeeper session whose every operation is a Deferred and whose every event arrives on the reactor thread.

kazoo keeps the connection: it has one thread that reads and writes the socket. Answers, watch events and changes of
state are put into one queue in the order in which that thread met them, and a burst of them costs one
`callFromThread`; there is no other thread. This is the only file that imports kazoo.

What happens to an operation when the connection goes away:

- issued while the state is SUSPENDED, it waits for the connection and is sent then;
- under way when the connection is lost, a read (`get`, `exists`, `children`, `sync`) is simply sent again; a write ends
  with ConnectionLoss, because it may or may not have been done: the caller reads back (recipes.py);
- when the session is found to be expired every operation ends with SessionExpired. A new session is made without being
  asked for; listeners see LOST, then CONNECTED, with another `session_id`.

kazoo drops every watch when the connection is suspended and never says so to the caller: whoever watches must read
and arm again on each CONNECTED. recipes.py has the watches that do.
"""

from __future__ import annotations

import logging
import math
import select
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from kazoo.client import KazooClient
from kazoo.exceptions import (
    EXCEPTIONS,
    ConnectionLoss,
    KazooException,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.exceptions import (
    BadVersionError as BadVersion,
)
from kazoo.exceptions import (
    ConnectionClosedError as ConnectionClosed,
)
from kazoo.exceptions import (
    NoChildrenForEphemeralsError as NoChildrenForEphemerals,
)
from kazoo.exceptions import (
    NodeExistsError as NodeExists,
)
from kazoo.exceptions import (
    NoNodeError as NoNode,
)
from kazoo.exceptions import (
    NotEmptyError as NotEmpty,
)
from kazoo.exceptions import (
    SessionExpiredError as SessionExpired,
)
from kazoo.exceptions import (
    ZookeeperError as ZooKeeperError,
)
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol import serialization as jute
from kazoo.protocol.connection import _CONNECTION_DROP
from kazoo.protocol.states import Callback, EventType
from kazoo.retry import KazooRetry
from kazoo.security import OPEN_ACL_UNSAFE
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred, fail
from twisted.python.failure import Failure

from zk import address_check, ensemble, wire
from zk.paths import parents

__all__ = [
    "CONNECTED",
    "LOST",
    "SUSPENDED",
    "BadVersion",
    "Check",
    "ConnectTimeout",
    "ConnectionClosed",
    "ConnectionLoss",
    "Create",
    "Delete",
    "Event",
    "NoChildrenForEphemerals",
    "NoNode",
    "NodeExists",
    "NotEmpty",
    "Op",
    "SessionExpired",
    "Set",
    "Stat",
    "TooLarge",
    "Op",
    "Result",
    "ZkClient",
    "ZooKeeperError",
    "both",
    "gather",
]

if TYPE_CHECKING:  # kazoo has no types

    class Stat(NamedTuple):
        """What ZooKeeper keeps of a znode besides its data."""

        czxid: int
        mzxid: int
        ctime: int
        mtime: int
        version: int
        cversion: int
        aversion: int
        ephemeralOwner: int
        dataLength: int
        numChildren: int
        pzxid: int

    class Event(NamedTuple):
        """What a watch was set for has happened."""

        type: str
        state: str
        path: str

else:
    from kazoo.protocol.states import WatchedEvent as Event
    from kazoo.protocol.states import ZnodeStat as Stat

log = logging.getLogger(__name__)
T = TypeVar("T")
U = TypeVar("U")
# kazoo has a line for each of its tries; what they come to is said here, once.
_kazoo_log = logging.getLogger("zk.kazoo")
_kazoo_log.setLevel(logging.ERROR)
logging.getLogger("kazoo").setLevel(logging.WARNING)

CONNECTED, SUSPENDED, LOST = "CONNECTED", "SUSPENDED", "LOST"
LOOK_SECONDS = 0.7  # without a first session for so long, and again: what is wrong is looked for
HANDSHAKE_SECONDS = 1.0, 5.0  # the least and the most time that a server is given to accept a session

# The largest record that ZooKeeper takes in a request, unless jute.maxbuffer says otherwise.
LARGEST = 0xFFFFF - 8

Watch = Callable[[Event], object]
Session = tuple[int, bytes]


class ConnectTimeout(Exception):
    """No server of the ensemble accepted a session in time."""


class TooLarge(ZooKeeperError):
    """An operation that no server would take: it is refused here, for a server would close the connection."""

    index = -1  # none of a multi's operations alone


class Create(NamedTuple):
    """One operation of a multi; the result is the created path."""

    path: str
    data: bytes | None = None
    ephemeral: bool = False
    sequence: bool = False


class Set(NamedTuple):
    """One operation of a multi; the result is the new Stat."""

    path: str
    data: bytes | None
    version: int = -1


class Delete(NamedTuple):
    """One operation of a multi; the result is True."""

    path: str
    version: int = -1


class Check(NamedTuple):
    """One operation of a multi: the node exists and has this version; the result is True."""

    path: str
    version: int


Op = Create | Set | Delete | Check
Result = str | Stat | bool  # of one operation of a multi, as its class says


class ZkClient:
    """One session with an ensemble. Made, started, used and stopped on the reactor thread."""

    def __init__(
        self,
        connect_string: str,
        session_timeout_ms: int,
        reactor: Any = None,
        session: Session | None = None,
    ) -> None:
        """Nothing is connected yet. `session` re-attaches to a session that an earlier process left."""
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self.ensemble = ensemble.parse(connect_string)
        self._chroot = self.ensemble.chroot
        self._mailbox = _Mailbox(reactor)
        self._handler = handler = _Handler(self._mailbox, handshake_seconds(session_timeout_ms))
        self._kazoo = KazooClient(
            hosts=str(self.ensemble),
            timeout=session_timeout_ms / 1000,
            client_id=session,
            handler=handler,
            connection_retry=KazooRetry(
                max_tries=-1, delay=0.05, backoff=1.6, max_delay=1.0, sleep_func=handler.sleep_func
            ),
            logger=_kazoo_log,
        )
        self._kazoo.add_listener(self._kazoo_state)
        self._listeners: list[Callable[[str], object]] = []
        self._state = LOST
        self._session: Session | None = None
        self._first: Deferred[None] | None = None
        self._over = threading.Event()  # there is a first session, or there will be none
        self._reasons: dict[tuple[str, int], str] = {}  # why a server gives none, as far as is known
        self._stopping: Deferred[None] | None = None

    # State.

    @property
    def state(self) -> str:
        """ "CONNECTED", "SUSPENDED" or "LOST"; changes only between two turns of the reactor."""
        return self._state

    @property
    def on_answer(self) -> Callable[[float], object]:
        """Called with the milliseconds that each operation took; on kazoo's thread."""
        return self._mailbox.on_answer

    @on_answer.setter
    def on_answer(self, listener: Callable[[float], object]) -> None:
        self._mailbox.on_answer = listener

    @property
    def session_id(self) -> int | None:
        """The id of the newest session, as `Stat.ephemeralOwner` shows it; kept while SUSPENDED."""
        return self._session[0] if self._session else None

    @property
    def session(self) -> Session | None:
        """Id and password of the newest session: what re-attaching to it needs."""
        return self._session

    def add_listener(self, listener: Callable[[str], object]) -> None:
        """Calls `listener(state)` at each change of state, before any answer that arrived after the change."""
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[str], object]) -> None:
        """The opposite of add_listener; unknown listeners are ignored."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def start(self, timeout_ms: int) -> Deferred[None]:
        """Connects and makes the chroot. ConnectTimeout after `timeout_ms`, with everything stopped again."""
        assert self._first is None, "a client is started once"
        first: Deferred[None] = Deferred()
        self._first = first
        deadline = self._reactor.callLater(timeout_ms / 1000, self._give_up, timeout_ms)
        threading.Thread(target=self._diagnose, name="zk-diagnosis", daemon=True).start()

        def connected(result: T) -> T:
            self._over.set()
            if deadline.active():
                deadline.cancel()
            return result

        first.addBoth(connected)
        if self._chroot:
            first.addCallback(lambda _: self._ensure(parents(self._chroot)))
        self._kazoo.start_async()
        return first

    def stop(self) -> Deferred[None]:
        """Closes the session: its ephemerals are gone when the Deferred fires."""
        self._over.set()
        if self._stopping is None:
            self._stopping = Deferred()
            # kazoo waits for its own thread here, so this must not happen on the reactor thread.
            threading.Thread(target=self._close, name="zk-close", daemon=True).start()
            if self._session is None:
                # There is nothing to close, only a try to connect, which may last.
                self._stopping.callback(None)
        answer: Deferred[None] = Deferred()
        self._stopping.addCallback(lambda _: answer.callback(None))
        return answer

    # Operations.

    def get(self, path: str, watch: Watch | None = None) -> Deferred[tuple[bytes | None, Stat]]:
        """Data (None when the node has none) and Stat; NoNode."""
        return self._read(jute.GetData(self._real(path), watch))

    def exists(self, path: str, watch: Watch | None = None) -> Deferred[Stat | None]:
        """Stat, or None when there is no such node; the watch is armed either way."""
        return self._read(jute.Exists(self._real(path), watch))

    def children(self, path: str, watch: Watch | None = None) -> Deferred[list[str]]:
        """Names of the children, in no order; NoNode."""
        return self._read(jute.GetChildren(self._real(path), watch))

    def sync(self, path: str = "/") -> Deferred[str]:
        """What is read after this is at least as new as what was written anywhere before it."""
        return self._read(jute.Sync(self._real(path)))

    def create(
        self,
        path: str,
        data: bytes | None = None,
        ephemeral: bool = False,
        sequence: bool = False,
        makepath: bool = False,
    ) -> Deferred[str]:
        """The created path; NodeExists, NoNode when the parent is missing (unless `makepath`)."""
        create = self._create(Create(path, data, ephemeral, sequence))
        answer = self._send_bounded(create, len(data or b"") + 4 * len(path))
        if makepath:

            def parent_missing(failure: Failure) -> Deferred[str]:
                failure.trap(NoNode)
                above = parents(self._real(path))[:-1]
                return self._ensure(above).addCallback(lambda _: self._send(create))

            answer.addErrback(parent_missing)
        return answer.addCallback(self._kazoo.unchroot)

    def set(self, path: str, data: bytes | None, version: int = -1) -> Deferred[Stat]:
        """The new Stat; NoNode, BadVersion."""
        return self._send_bounded(jute.SetData(self._real(path), data, version), len(data or b"") + 4 * len(path))

    def delete(self, path: str, version: int = -1) -> Deferred[bool]:
        """True; NoNode, BadVersion, NotEmpty."""
        return self._send(jute.Delete(self._real(path), version))

    def ensure_path(self, path: str) -> Deferred[None]:
        """Creates what is missing of a path, with null data."""
        below_chroot = len(parents(self._chroot))
        return self._ensure(parents(self._real(path))[below_chroot:])

    def multi(self, operations: Sequence[Op]) -> Deferred[list[Result]]:
        """All or nothing. Results in order; else the error of the first operation that could not be done, with its
        position as `.index`."""
        multi = _Multi(self._real, operations)
        return self._send_bounded(multi, len(multi.serialize())).addCallback(_multi_result)

    def drop_connection(self) -> None:
        """Breaks the TCP connection, for tests of what a network does."""
        self._kazoo._call(_CONNECTION_DROP, _Reply(self._mailbox, Deferred().addErrback(lambda _: None)))

    # Inside.

    def _real(self, path: str) -> str:
        if not path.startswith("/"):
            raise ensemble.EnsembleError(f"not an absolute path: {path!r}")
        return (self._chroot + path.rstrip("/")) or "/"

    def _create(self, op: Create) -> jute.Create:
        flags = (1 if op.ephemeral else 0) | (2 if op.sequence else 0)
        return jute.Create(self._real(op.path), op.data, OPEN_ACL_UNSAFE, flags)

    def _send(self, request: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self._kazoo._call(request, _Reply(self._mailbox, answer))
        return answer

    def _send_bounded(self, request: Any, size: int) -> Deferred[Any]:
        if size > LARGEST:
            return fail(TooLarge(f"an operation of {size} bytes, and ZooKeeper takes {LARGEST} (jute.maxbuffer)"))
        return self._send(request)

    def _read(self, request: Any) -> Deferred[Any]:
        def again(failure: Failure) -> Deferred[Any]:
            failure.trap(ConnectionLoss)
            return self._read(request)

        return self._send(request).addErrback(again)

    def _ensure(self, paths: list[str]) -> Deferred[None]:
        """Creates real paths from the top; all are sent at once, for ZooKeeper keeps the order of a session."""

        def exists_already(failure: Failure, path: str) -> Deferred[Any] | None:
            if failure.check(ConnectionLoss):
                return self._send(jute.Create(path, None, OPEN_ACL_UNSAFE, 0)).addErrback(exists_already, path)
            failure.trap(NodeExists)
            return None

        creates = [self._send(jute.Create(path, None, OPEN_ACL_UNSAFE, 0)) for path in paths]
        return gather(
            answer.addErrback(exists_already, path) for answer, path in zip(creates, paths, strict=True)
        ).addCallback(lambda _: None)

    def _kazoo_state(self, state: str) -> None:
        # On kazoo's thread: the session is read here, where it is the one that the state is about.
        if state == CONNECTED:
            self._handler.shaken()
        session = (self._kazoo._session_id, self._kazoo._session_passwd) if state == CONNECTED else None
        self._mailbox.put(self._state_changed, str(state), session)

    def _state_changed(self, state: str, session: Session | None) -> None:
        if session is not None:
            self._session = session
        self._state = state
        if state == SUSPENDED:
            log.warning("connection to ZooKeeper at %s lost: trying to reconnect", self.ensemble)
        elif self._stopping is None:  # its end is no news to who asked for it
            log.info("ZooKeeper session 0x%x: %s", self.session_id or 0, state)
        for listener in list(self._listeners):
            try:
                listener(state)
            except Exception:
                log.exception("listener of ZooKeeper's session state")
        if state == CONNECTED and self._first is not None and not self._first.called:
            self._first.callback(None)

    def _diagnose(self) -> None:
        """In a thread: says at once which names are none, and soon what else is wrong, each thing once; the tries go
        on, for a name may appear and a server start."""
        for server in self.ensemble.servers:
            self._tell(server, address_check.unresolved(server[0]))
        while not self._over.wait(LOOK_SECONDS):
            for server in self.ensemble.servers:
                self._tell(server, address_check.why_no_session(*server))

    def _tell(self, server: tuple[str, int], reason: str | None) -> None:
        if reason is None:
            self._reasons.pop(server, None)
        elif self._reasons.get(server) != reason:
            self._reasons[server] = reason
            log.warning("ZooKeeper at %s: %s; trying again", self.ensemble, reason)

    def _give_up(self, timeout_ms: int) -> None:
        first = cast("Deferred[None]", self._first)
        if first.called:
            return
        reasons = ", ".join(dict.fromkeys(list(self._reasons.values())))
        why = f": {reasons}" if reasons else ""
        error = ConnectTimeout(f"no ZooKeeper server at {self.ensemble} answered within {timeout_ms} ms{why}")
        self.stop()
        first.errback(error)

    def _close(self) -> None:
        try:
            self._kazoo.stop()
            self._kazoo.close()
        except Exception as error:
            log.warning("closing the ZooKeeper session: %s", error)
        self._mailbox.put(self._closed)

    def _closed(self) -> None:
        stopping = cast("Deferred[None]", self._stopping)
        if not stopping.called:
            stopping.callback(None)


def gather(answers: Iterable[Awaitable[T]]) -> Deferred[list[T]]:
    """All results in order once every one is there; else the first error, likewise after all have ended."""

    def results(outcomes: list[tuple[bool, Any]]) -> list[T] | Failure:
        for succeeded, outcome in outcomes:
            if not succeeded:
                return cast(Failure, outcome)
        return [outcome for _, outcome in outcomes]

    deferreds = [answer if isinstance(answer, Deferred) else ensureDeferred(answer) for answer in answers]  # type: ignore[arg-type]
    return DeferredList(deferreds, consumeErrors=True).addCallback(results)


async def both(one: Awaitable[T], other: Awaitable[U]) -> tuple[T, U]:
    """As gather, for two results of different types."""
    answers: list[Awaitable[Any]] = [one, other]
    first, second = await gather(answers)
    return first, second


class _Mailbox:
    """What kazoo's thread has for the reactor thread, in order; a burst wakes the reactor once."""

    # A reactor turn stays short although a thousand answers may have come at once.
    BATCH = 256

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._letters: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._awaited = False
        self.on_answer: Callable[[float], object] = lambda ms: None

    def put(self, function: Callable[..., Any], *args: Any) -> None:
        self._letters.append((function, args))
        if not self._awaited:
            self._awaited = True
            self._reactor.callFromThread(self._deliver)

    def _deliver(self) -> None:
        # Cleared first: a letter that arrives from now on either is seen by this loop or wakes the reactor again.
        self._awaited = False
        for _ in range(self.BATCH):
            if not self._letters:
                return
            function, args = self._letters.popleft()
            try:
                function(*args)
            except Exception:
                log.exception("a callback of the ZooKeeper client")
        self._awaited = True
        self._reactor.callLater(0, self._deliver)


class _Reply:
    """Stands where kazoo has its AsyncResult, without the lock and the condition that one has."""

    __slots__ = ("_deferred", "_mailbox", "_began")

    def __init__(self, mailbox: _Mailbox, deferred: Deferred[Any]) -> None:
        self._mailbox = mailbox
        self._began = time.monotonic()
        self._deferred: Deferred[Any] | None = deferred

    def set(self, value: Any = None) -> None:
        self._finish("callback", value)

    def set_exception(self, error: BaseException) -> None:
        self._finish("errback", error)

    def _finish(self, outcome: str, value: Any) -> None:
        # kazoo can report twice (queued, then unable to wake its thread): the first one counts.
        deferred, self._deferred = self._deferred, None
        if deferred is not None:
            self._mailbox.on_answer(1000 * (time.monotonic() - self._began))
            self._mailbox.put(getattr(deferred, outcome), value)


def handshake_seconds(session_timeout_ms: int) -> float:
    """A third of the session's timeout, within bounds: the session outlives one server that does not answer."""
    least, most = HANDSHAKE_SECONDS
    return min(max(session_timeout_ms / 3000, least), most)


class _Handler(SequentialThreadingHandler):
    """kazoo's handler without its two worker threads: callbacks go to the mailbox."""

    def __init__(self, mailbox: _Mailbox, handshake_seconds: float = HANDSHAKE_SECONDS[1]) -> None:
        super().__init__()
        self._mailbox = mailbox
        self._handshake_seconds = handshake_seconds
        self._handshake_ends: float | None = None  # when a connection is to have its session; None when it has

    @property
    def running(self) -> bool:
        return True

    @property
    def completion_queue(self) -> _Mailbox:
        return self._mailbox

    @completion_queue.setter
    def completion_queue(self, queue: Any) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        """A connection, and the time for its handshake: kazoo would wait a whole session timeout for the answer of a
        server that never gives one, and the session would be over."""
        self._handshake_ends = time.monotonic() + self._handshake_seconds
        kwargs["timeout"] = min(kwargs["timeout"], self._handshake_seconds)
        return super().create_connection(*args, **kwargs)

    def shaken(self) -> None:
        """The handshake is over."""
        self._handshake_ends = None

    def select(self, rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None) -> tuple[list[Any], ...]:
        """As select.select, for files of whatever number. kazoo asks before each of its reads and writes, and makes and
        closes an epoll each time if it is left to itself."""
        if self._handshake_ends is not None:
            left = max(self._handshake_ends - time.monotonic(), 0)
            timeout = left if timeout is None else min(timeout, left)
        poller = select.poll()
        masks: dict[int, int] = {}
        for files, mask in ((rlist, select.POLLIN), (wlist, select.POLLOUT)):
            for file in files:
                number = file if isinstance(file, int) else file.fileno()
                if number < 0:
                    raise ValueError(f"Invalid file descriptor: {number}")
                masks[number] = masks.get(number, 0) | mask
        for number, mask in masks.items():
            poller.register(number, mask)
        ready = dict(poller.poll(None if timeout is None else math.ceil(timeout * 1000)))

        def among(files: Any, mask: int) -> list[Any]:
            # Errors and hang-ups are both: the read or write says what is the matter.
            other = ~(select.POLLIN | select.POLLOUT) | mask
            return [file for file in files if ready.get(file if isinstance(file, int) else file.fileno(), 0) & other]

        return among(rlist, select.POLLIN), among(wlist, select.POLLOUT), []

    def dispatch_callback(self, callback: Callback) -> None:
        (event,) = callback.args
        # The event that only says "your connection changed": listeners are told of that.
        if event.type != EventType.NONE:
            self._mailbox.put(callback.func, event)


class _Multi:
    """Stands where kazoo has its Transaction, which makes two objects and five byte arrays of each operation: a multi
    of commits has a hundred."""

    type = jute.Transaction.type
    _CREATE, _DELETE, _SET, _CHECK = (
        wire.MULTI_HEADER.pack(kind, False, -1)
        for kind in (wire.Op.CREATE, wire.Op.DELETE, wire.Op.SET_DATA, wire.Op.CHECK)
    )
    _OPEN_ACL = wire.acls(wire.OPEN_ACL)

    def __init__(self, real: Callable[[str], str], operations: Iterable[Op]) -> None:
        parts: list[bytes] = []
        for op in operations:
            path = wire.string(real(op.path))
            if isinstance(op, Set):
                parts += self._SET, path, wire.buffer(op.data), wire.INT.pack(op.version)
            elif isinstance(op, Create):
                flags = wire.INT.pack((1 if op.ephemeral else 0) | (2 if op.sequence else 0))
                parts += self._CREATE, path, wire.buffer(op.data), self._OPEN_ACL, flags
            else:
                parts += self._DELETE if isinstance(op, Delete) else self._CHECK, path, wire.INT.pack(op.version)
        parts.append(wire.MULTI_END)
        self._record = b"".join(parts)

    def serialize(self) -> bytes:
        return self._record

    @staticmethod
    def deserialize(reply: bytes, position: int) -> list[Any]:
        """A result for each operation, with its chroot; where one could not be done, an error for each."""
        results: list[Any] = []
        while True:
            kind, done, _ = wire.MULTI_HEADER.unpack_from(reply, position)
            position += wire.MULTI_HEADER.size
            if done:
                return results
            if kind == wire.Op.SET_DATA:
                results.append(Stat._make(wire.STAT.unpack_from(reply, position)))
                position += wire.STAT.size
            elif kind == wire.Op.CREATE:
                path, position = wire.read_string(reply, position)
                results.append(path)
            elif kind == wire.Op.ERROR:
                code, position = wire.read_int(reply, position)
                results.append(EXCEPTIONS[code]())
            else:
                results.append(True)


def _multi_result(results: list[Any]) -> list[Any]:
    for index, result in enumerate(results):
        if isinstance(result, KazooException) and not isinstance(result, RolledBackError | RuntimeInconsistency):
            result.index = index
            raise result
    for result in results:
        if isinstance(result, KazooException):
            raise result
    return results
