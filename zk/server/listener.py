"""Sockets to standalone and back, with the journal between.

Effects are performed in order. An Append joins the batch that the journal's thread writes next; whatever follows it
is held until that batch is durable. While one batch is being synced the next one gathers: that is the group commit.
An error of the journal ends the server, since what is on disk is then unknown.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from queue import SimpleQueue
from typing import Any

from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from zk.server import four_letter_words
from zk.server.config import Config
from zk.server.journal import Journal, Snapshot
from zk.server.standalone import Append, Close, Effect, Effects, Send, Standalone
from zk.wire import INT

log = logging.getLogger("zk.server")

# A connection that has asked for no session by then is closed.
SESSIONLESS_TIMEOUT_MS = 10_000
# Beyond so many bytes of replies held for the journal, connections that send more are not read.
MAX_HELD = 32 << 20
# A client that does not read its answers is cut off at so many unsent bytes.
MAX_UNSENT = 32 << 20
# The journal is replaced by a snapshot after snapCount entries or so many bytes; earlier when the tree is small, so
# that reading back takes about as long as the tree is large: 10,000 entries are a tenth of a second.
SNAPSHOT_ENTRIES = 10_000
SNAPSHOT_BYTES = 64 << 20
# What is left to read after a stall is read within this.
CATCH_UP_MS = 50
# Records of a snapshot that are taken in one turn of the reactor.
SNAPSHOT_STEP = 1000


class Client(Protocol):
    """One connection."""

    server: "Server"
    transport: Any

    def connectionMade(self) -> None:
        """Count it, or turn it away."""
        self.id = 0
        self.received = self.sent = 0
        self._chunks: list[bytes] = []
        self._have = 0
        self._need = 4
        self._paused = False
        self._unsent = 0
        peer = self.transport.getPeer()
        self.address, self.port = peer.host, peer.port
        self.opened_ms = self.server.now_ms()
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        if self.server.admit(self):
            self.server.standalone.connected(self.id, self.address)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The session, if any, outlives it."""
        if self.id:
            self.server.forget(self)

    def dataReceived(self, data: bytes) -> None:
        """Take whole frames out of what has come."""
        if not self.id:
            return
        self._chunks.append(data)
        self._have += len(data)
        if self._have < self._need:
            return
        buf = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        server = self.server
        now_ms, wall_ms = server.now_ms(), server.wall_ms()
        receive = server.standalone.receive
        effects: Effects = []
        pos, end = 0, len(buf)
        while end - pos >= 4:
            (length,) = INT.unpack_from(buf, pos)
            if not 0 <= length <= server.max_frame:
                if not self.received and buf[pos : pos + 4] in four_letter_words.WORDS:
                    self._answer(buf[pos : pos + 4])
                else:
                    known = "" if self.received else ", which no ZooKeeper client sends first"
                    log.info("Closed /%s:%d: a frame of %d bytes%s", self.address, self.port, length, known)
                    self._cut()
                break
            after = pos + 4 + length
            if after > end:
                self._need = 4 + length
                break
            self.received += 1
            try:
                effects += receive(self.id, buf[pos + 4 : after], now_ms, wall_ms)
            except Exception as error:
                # The state in memory may be half a change ahead of the journal: what is on disk is right.
                log.exception("Failed on a request of /%s:%d", self.address, self.port)
                server.fail(f"Internal error, stopped before anything wrong is written: {error!r}")
                return
            pos = after
        else:
            self._need = 4
        self._chunks = [buf[pos:]] if pos < end else []
        self._have = end - pos
        if effects:
            server.perform(effects)
            if server.held > MAX_HELD:
                server.hold_back(self)

    def _answer(self, word: bytes) -> None:
        self.transport.write(self.server.word(word).encode())
        self._cut(flush=True)

    def _cut(self, flush: bool = False) -> None:
        """Close; nothing more is read."""
        self.server.forget(self)
        self.id = 0
        self.transport.unregisterProducer()
        if flush:
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()

    def send(self, data: bytes) -> None:
        """One frame, or several."""
        self.transport.write(data)
        if self._paused:
            self._unsent += len(data)
            if self._unsent > MAX_UNSENT:
                log.warning("Closed /%s:%d: it does not read its answers", self.address, self.port)
                self._cut()

    def finish(self) -> None:
        """Close when everything is out."""
        self._cut(flush=True)

    # The transport calls these when its buffer is full, and when it is empty again.

    def pauseProducing(self) -> None:
        """The client reads slower than it asks: read no more of its requests."""
        self._paused = True
        self._unsent = 0
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is lost."""


class Server(Factory):
    """All connections of a server, its journal and its clock."""

    noisy = False

    def __init__(self, reactor: Any, config: Config, failed: Callable[[str], None]) -> None:
        self.reactor = reactor
        self.config = config
        self.port = config.port
        self.max_frame = config.limits.max_frame
        self.most_clients = 1 << 30  # by the number of file descriptors; the journal needs some too
        self._full = False
        self.clients: dict[int, Client] = {}
        self.held = 0
        self.sent_total = self.received_total = 0
        self.fail = failed
        self._last_id = 0
        self._per_address: dict[str, int] = {}
        self._batch: list[bytes] = []
        self._after_batch: Effects = []
        self._after_sync: Effects = []
        self._syncing = False
        self._held_back: list[Client] = []
        self._snapshotting = False
        self._stopped = False
        self._idle: Callable[[], None] | None = None
        self.latency = Latency()
        self._began_ms = 0
        self.standalone: Standalone
        self.journal = Journal(config.data_dir, config.log_dir, config.retain)
        self._writer: Writer | None = None
        self._tick: Any = None
        self._due_ms = 0

    def now_ms(self) -> int:
        """A clock that never goes back."""
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        """The clock that dates znodes."""
        return time.time_ns() // 1_000_000

    def recover(self) -> None:
        """Open the data directory and read everything back; JournalError if that cannot be done."""
        self.journal.open()
        self.standalone = Standalone(self.config.limits, self.journal.secret(), self.wall_ms())
        self.journal.recover(self.standalone.load, self.standalone.replay)

    def start(self) -> None:
        """Begin to answer."""
        self.standalone.started(self.now_ms())
        self._writer = Writer(self.reactor)
        self._schedule()

    def stop(self, done: Callable[[], None]) -> None:
        """End: what was received is finished and answered, then `done` is called."""
        self._stopped = True
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._idle = done
        if not self._syncing and not self._batch:
            self._finish_stop()

    def _finish_stop(self) -> None:
        done, self._idle = self._idle, None
        assert done is not None
        for client in list(self.clients.values()):
            client.finish()
        if self._writer is not None:
            self._writer.stop()
        self.journal.close()
        done()

    def buildProtocol(self, addr: object) -> Client | None:
        """A connection's protocol; None, which closes it, when there are no file descriptors for more."""
        if len(self.clients) >= self.most_clients:
            if not self._full:
                log.warning("No file descriptors for more than %d clients: others are turned away", self.most_clients)
            self._full = True
            return None
        client = Client()
        client.server = self
        return client

    def admit(self, client: Client) -> bool:
        """Give a connection its number, unless its address has too many."""
        count = self._per_address.get(client.address, 0)
        if self._stopped or 0 < self.config.max_connections <= count:
            log.warning("Too many connections from /%s - max is %d", client.address, self.config.max_connections)
            client.transport.unregisterProducer()
            client.transport.abortConnection()
            return False
        self._per_address[client.address] = count + 1
        self._last_id += 1
        client.id = self._last_id
        self.clients[client.id] = client
        return True

    def forget(self, client: Client) -> None:
        """A connection is gone."""
        if self.clients.pop(client.id, None) is None:
            return
        if self._full and len(self.clients) < self.most_clients - self.most_clients // 8:
            self._full = False
            log.info("There are file descriptors for clients again")
        self.received_total += client.received
        self.sent_total += client.sent
        self.standalone.disconnected(client.id)
        count = self._per_address[client.address] - 1
        if count:
            self._per_address[client.address] = count
        else:
            del self._per_address[client.address]

    def hold_back(self, client: Client) -> None:
        """Read no more of this connection until the journal has caught up."""
        client.transport.pauseProducing()
        self._held_back.append(client)

    # Effects.

    def perform(self, effects: Effects) -> None:
        """Do what standalone decided, in order."""
        batch = self._batch
        at_once: Effects = []
        for effect in effects:
            if type(effect) is Append:
                batch.append(effect.entry)
            elif batch:
                self._after_batch.append(effect)
                self._hold(effect)
            elif self._syncing:
                self._after_sync.append(effect)
                self._hold(effect)
            else:
                at_once.append(effect)
        if at_once:
            self._release(at_once)
        if batch and not self._syncing:
            self._sync()

    def _hold(self, effect: Effect) -> None:
        if type(effect) is Send:
            self.held += len(effect.data)

    def _sync(self) -> None:
        batch, self._batch = self._batch, []
        self._after_sync, self._after_batch = self._after_batch, []
        self._syncing = True
        self._began_ms = self.now_ms()
        assert self._writer is not None
        journal = self.journal
        self._writer.do(lambda: journal.append(batch), self._synced)
        enough = min(self.config.snap_count, max(SNAPSHOT_ENTRIES, 4 * len(self.standalone.tree.nodes)))
        due = journal.entries_since_snapshot >= enough or journal.bytes_since_snapshot >= SNAPSHOT_BYTES
        if due and not self._snapshotting and not self._stopped:
            self._begin_snapshot()

    def _synced(self, result: object, error: BaseException | None) -> None:
        if error is not None:
            self.fail(f"Cannot write the transaction log in {self.config.data_dir}: {error}")
            return
        self._syncing = False
        self.latency.add(self.now_ms() - self._began_ms)
        effects, self._after_sync = self._after_sync, []
        if self._batch:
            self._sync()
        self.held -= sum(len(effect.data) for effect in effects if type(effect) is Send)
        self._release(effects)
        if self._held_back and self.held < MAX_HELD // 2:
            held_back, self._held_back = self._held_back, []
            for client in held_back:
                if client.id and not client._paused:
                    client.transport.resumeProducing()
        if self._stopped and self._idle is not None and not self._syncing:
            self._finish_stop()

    def _release(self, effects: Effects) -> None:
        clients = self.clients
        frames: dict[int, list[bytes]] = {}
        for effect in effects:
            if type(effect) is Send:
                waiting = frames.get(effect.connection)
                if waiting is None:
                    frames[effect.connection] = [effect.data]
                else:
                    waiting.append(effect.data)
            elif type(effect) is Close:
                self._flush(effect.connection, frames.pop(effect.connection, None))
                client = clients.get(effect.connection)
                if client is not None:
                    client.finish()
        for connection, waiting in frames.items():
            self._flush(connection, waiting)

    def _flush(self, connection: int, frames: list[bytes] | None) -> None:
        client = self.clients.get(connection)
        if client is not None and frames:
            client.sent += len(frames)
            client.send(frames[0] if len(frames) == 1 else b"".join(frames))

    # Time.

    def _schedule(self) -> None:
        tick = self.config.limits.tick_ms
        now_ms = self.now_ms()
        self._due_ms = now_ms + min(tick - now_ms % tick, 1000) + 1
        self._tick = self.reactor.callLater((self._due_ms - now_ms) / 1000, self._on_tick)

    def _on_tick(self) -> None:
        now_ms = self.now_ms()
        if now_ms - self._due_ms > self.config.limits.tick_ms // 2:
            # This process was stopped or starved. Signs of life wait in the sockets: read those first.
            self._due_ms = now_ms + CATCH_UP_MS
            self._tick = self.reactor.callLater(CATCH_UP_MS / 1000, self._on_tick)
            return
        effects = self.standalone.tick(now_ms, self.wall_ms())
        if effects:
            self.perform(effects)
        for client in list(self.clients.values()):
            conn = self.standalone.connections.get(client.id)
            if conn is not None and conn.session is None and now_ms - client.opened_ms > SESSIONLESS_TIMEOUT_MS:
                client.finish()
        self._schedule()

    # Snapshots.

    def _begin_snapshot(self) -> None:
        """The batch just handed to the journal ends a log file; the state as of now becomes a snapshot."""
        self._snapshotting = True
        zxid = self.standalone.zxid
        records = self.standalone.snapshot()
        journal = self.journal
        assert self._writer is not None

        def begin() -> Snapshot:
            journal.rotate(zxid)
            return journal.begin_snapshot(zxid)

        self._writer.do(begin, lambda snapshot, error: self._snapshot_step(records, snapshot, error))

    def _snapshot_step(self, records: Iterator[bytes], snapshot: Any, error: BaseException | None) -> None:
        if error is not None:
            self.fail(f"Cannot write a snapshot in {self.config.data_dir}: {error}")
            return
        if self._writer is None or self._idle is not None:
            return
        step = list(islice(records, SNAPSHOT_STEP))
        if step:
            self._writer.do(
                lambda: snapshot.write(step), lambda _, error: self._snapshot_step(records, snapshot, error)
            )
            return
        journal = self.journal

        def finish() -> None:
            snapshot.finish()
            journal.purge()

        self._writer.do(finish, self._snapshot_done)

    def _snapshot_done(self, result: object, error: BaseException | None) -> None:
        self._snapshotting = False
        if error is not None:
            self.fail(f"Cannot write a snapshot in {self.config.data_dir}: {error}")

    # Four-letter words.

    def word(self, word: bytes) -> str:
        """The answer to a four-letter word."""
        name = word.decode()
        if self.config.words is not None and name not in self.config.words:
            return f"{name} is not executed because it is not in the whitelist.\n"
        return four_letter_words.WORDS[word](self.status())

    def status(self) -> four_letter_words.Status:
        """What the words tell."""
        standalone = self.standalone
        clients = []
        for client in self.clients.values():
            conn = standalone.connections.get(client.id)
            session = conn.session if conn is not None else None
            clients.append(
                four_letter_words.Client(
                    client.address,
                    client.port,
                    session.id if session else 0,
                    session.timeout_ms if session else 0,
                    client.received,
                    client.sent,
                )  # fmt: skip
            )
        tree = standalone.tree
        limits = self.config.limits
        return four_letter_words.Status(
            zxid=standalone.zxid,
            nodes=len(tree.nodes),
            ephemerals=sum(map(len, tree.ephemerals.values())),
            watches=standalone.watches.count(),
            data_size=tree.data_size,
            received=self.received_total + sum(client.received for client in self.clients.values()),
            sent=self.sent_total + sum(client.sent for client in self.clients.values()),
            outstanding=len(self._after_batch) + len(self._after_sync),
            latency_ms=self.latency.summary(),
            clients=clients,
            sessions={number: list(tree.ephemerals.get(number, ())) for number in standalone.sessions.by_id},
            settings={
                "clientPort": self.port,
                "dataDir": self.config.data_dir,
                "dataLogDir": self.config.log_dir or self.config.data_dir,
                "tickTime": limits.tick_ms,
                "maxClientCnxns": self.config.max_connections,
                "minSessionTimeout": standalone.sessions.min_timeout_ms,
                "maxSessionTimeout": standalone.sessions.max_timeout_ms,
                "clientPortListenBacklog": self.config.backlog,
                "serverId": 0,
            },
            environment={
                "host.name": os.uname().nodename,
                "python.version": sys.version.split()[0],
                "os.name": os.uname().sysname,
                "os.arch": os.uname().machine,
                "os.version": os.uname().release,
                "user.dir": os.getcwd(),
            },
            files=(*self.journal.sizes(), len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0),
        )


class Latency:
    """How long changes waited for the disk, batch by batch."""

    def __init__(self) -> None:
        self._count = self._total = self._low = self._high = 0

    def add(self, elapsed_ms: int) -> None:
        """One batch."""
        self._low = min(self._low, elapsed_ms) if self._count else elapsed_ms
        self._high = max(self._high, elapsed_ms)
        self._count += 1
        self._total += elapsed_ms

    def summary(self) -> tuple[int, float, int]:
        """Lowest, average, highest."""
        return self._low, self._total / max(self._count, 1), self._high


class Writer:
    """The journal's thread: one job after the other, each reported on the reactor's thread."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._jobs: SimpleQueue[tuple[Callable[[], object], Callable[..., None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], object], done: Callable[..., None]) -> None:
        """Run `job` in the thread, then done(result, error) here."""
        self._jobs.put((job, done))

    def stop(self) -> None:
        """Finish the jobs and end."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (task := self._jobs.get()) is not None:
            job, done = task
            try:
                result, error = job(), None
            except Exception as failure:
                result, error = None, failure
            self._reactor.callFromThread(done, result, error)
