"""This broker's place in the cluster: the top-level znodes, the cluster's id, its own id, and its registration.

The order at start is `prepare` (nothing of the cluster is claimed yet), `generate_broker_id` for a broker without one,
and, when logs are loaded and sockets bound, `register`. From then on a new ZooKeeper session means a new registration,
made without being asked for; its czxid is the broker epoch that every control request is measured against.

A broker that was killed leaves its registration behind until its session times out. Its successor ends that session
itself when it finds the session's id and password in `session_file` (and it holds the lock of the log directory, so
nobody else is using them), else it waits for the time-out. A registration at other addresses is somebody else's: that
is refused at once.
"""

from __future__ import annotations

import json
import logging
import os
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from kafkalike.clock import Clock
from kafkalike.cluster import zookeeper
from kafkalike.cluster.znodes.brokers import BROKER_SEQUENCE, BrokerNode, Endpoint
from kafkalike.cluster.znodes.cluster import TOP_LEVEL, ClusterId
from kafkalike.cluster.znodes.encoding import Garbage, decode_or_none, encode_uuid, numbers
from kafkalike.config import Endpoint as Listener
from zk import recipes
from zk.client import CONNECTED, LOST, ConnectionLoss, Event, NoNode, SessionExpired, Stat, ZkClient, gather
from zk.paths import parents

log = logging.getLogger(__name__)


class MembershipError(Exception):
    """This broker cannot be a member: one line for the operator."""


class Membership:
    """One broker's registration, kept alive for as long as its ZooKeeper client is."""

    def __init__(
        self,
        zk: ZkClient,
        config: Mapping[str, Any],
        clock: Clock,
        rng: random.Random,
        endpoints: Sequence[Listener] = (),
        session_file: Path | str | None = None,
        extra: Mapping[str, Any] | None = None,
        reactor: Any = None,
    ) -> None:
        """`endpoints` are the advertised ones, with bound ports; settable until `register`. `extra` are keys of ours
        in the registration."""
        if reactor is None:
            from twisted.internet import reactor
        self._zk = zk
        self._config = config
        self._clock = clock
        self._rng = rng
        self._reactor = reactor
        self._session_file = Path(session_file) if session_file is not None else None
        self.endpoints = list(endpoints)
        self.extra = dict(extra or {})
        self.cluster_id = ""
        self.broker_id = -1
        self.broker_epoch = -1
        self._session: int | None = None
        self._registering = False
        self._stopped = False
        self._waiting: list[Deferred[int]] = []
        self._callbacks: list[Callable[[int], object]] = []
        self._own_node: recipes.DataWatch | None = None
        # Called just before a registration at which nobody else's stands in the way.
        self.about_to_register: Callable[[], object] = lambda: None

    # Called before the registration.

    def prepare(self) -> Deferred[str]:
        """Makes the top-level znodes and finds or makes the cluster's id."""
        return ensureDeferred(self._prepare())

    async def _prepare(self) -> str:
        # ZooKeeper keeps the order of one session's requests, so a child need not wait for its parent.
        paths = dict.fromkeys(path for leaf in TOP_LEVEL for path in parents(leaf))
        await gather(recipes.ensure(self._zk, path) for path in paths)
        while True:
            try:
                self.cluster_id, _ = await zookeeper.get(self._zk, ClusterId)
            except NoNode:
                await zookeeper.create(self._zk, ClusterId, encode_uuid(random_uuid(self._rng)))
            except Garbage as error:
                raise MembershipError(f"{error}; the cluster has no id") from None
            else:
                return self.cluster_id

    def generate_broker_id(self) -> Deferred[int]:
        """A number nobody has had: above reserved.broker.max.id, counted in /brokers/seqid."""

        async def generate() -> int:
            # A number that was counted but never heard of is lost, which harms nobody.
            stat = await recipes.insist(lambda: self._zk.set(BROKER_SEQUENCE, b""))
            highest: int = self._config["reserved.broker.max.id"]
            return stat.version + highest

        return ensureDeferred(generate())

    # The registration.

    def register(self, broker_id: int) -> Deferred[int]:
        """The broker epoch. MembershipError when the id or an advertised address is another live broker's."""
        assert self.broker_id == -1, "registered once; afterwards it looks after itself"
        self.broker_id = broker_id
        self._zk.add_listener(self._state_changed)
        return ensureDeferred(self._first_registration())

    def registered(self) -> Deferred[int]:
        """The broker epoch, as soon as there is one that belongs to the present session."""
        answer: Deferred[int] = Deferred()
        if self.broker_epoch >= 0 and self._session == self._zk.session_id:
            answer.callback(self.broker_epoch)
        else:
            self._waiting.append(answer)
        return answer

    def on_registered(self, callback: Callable[[int], object]) -> None:
        """Calls `callback(broker_epoch)` after each registration."""
        self._callbacks.append(callback)

    def stop(self) -> None:
        """No registration any more; closing the session removes the present one."""
        self._stopped = True
        if self._own_node is not None:
            self._own_node.stop()
        self._zk.remove_listener(self._state_changed)
        # What is kept of an earlier run, or of a session that cannot be closed now, the next start needs.
        if self._session_file is not None and self._session is not None and self._zk.state == CONNECTED:
            self._session_file.unlink(missing_ok=True)

    async def _first_registration(self) -> int:
        await self._end_previous_session()
        await self._zk.sync()
        announced = self.broker_id not in await self._refuse_taken_addresses()
        if announced:
            self.about_to_register()
        patience_ms = 2 * self._config["zookeeper.session.timeout.ms"] + 5000
        deadline = self._reactor.seconds() + patience_ms / 1000
        told = False
        while True:
            try:
                epoch = await self._claim()
                if not announced:
                    # What stood in the way has gone since the look.
                    self.about_to_register()
                return epoch
            except recipes.Taken as taken:
                if not self._is_ours(taken.data):
                    raise MembershipError(
                        f"broker id {self.broker_id} is taken: {taken.path} belongs to a live broker at "
                        f"{_addresses(self.broker_id, taken.data)}"
                    ) from None
                if self._reactor.seconds() >= deadline:
                    raise MembershipError(
                        f"broker id {self.broker_id} is taken: {taken.path} still belongs to ZooKeeper session "
                        f"0x{taken.owner:x} after {patience_ms} ms; is this broker running twice?"
                    ) from None
                if not told:
                    log.warning(
                        "%s is left from an earlier run of this broker (session 0x%x): waiting for ZooKeeper to end it",
                        taken.path,
                        taken.owner,
                    )
                    told = True
                while not await self._gone(taken.path) and self._reactor.seconds() < deadline:
                    pass
                announced = True
                self.about_to_register()

    async def _claim(self) -> int:
        node = BrokerNode(
            endpoints=self._advertised(),
            rack=self._config["broker.rack"],
            timestamp_ms=self._clock.wall_ms(),
            extra=self.extra,
        )
        previous, self._session = self._session, None
        session = self._zk.session_id
        try:
            stat = await recipes.claim(self._zk, BrokerNode.path(self.broker_id), node.encode(), previous)
        except BaseException:
            self._session = previous
            raise
        self._session = session
        self.broker_epoch = stat.czxid
        if self._own_node is None and self.extra.get(BrokerNode.UNCLEAN):
            self._own_node = zookeeper.watch(self._zk, BrokerNode, self._own_node_changed, self.broker_id)
            self._own_node.start()
        self._remember_session()
        log.info("registered broker %d at %s: epoch %d", self.broker_id, _join(node.endpoints), self.broker_epoch)
        waiting, self._waiting = self._waiting, []
        for callback in list(self._callbacks):
            try:
                callback(self.broker_epoch)
            except Exception:
                log.exception("listener of this broker's registration")
        for answer in waiting:
            answer.callback(self.broker_epoch)
        return self.broker_epoch

    def _own_node_changed(self, node: BrokerNode | None, stat: Stat | None) -> None:
        """The controller takes the mark of an unclean stop away; a registration after that is of the same life."""
        if node is None or stat is None or stat.ephemeralOwner != self._session:
            return
        if not node.unclean and self._own_node is not None:
            self.extra.pop(BrokerNode.UNCLEAN, None)
            self._own_node.stop()

    def _advertised(self) -> tuple[Endpoint, ...]:
        """The endpoints as others see them: an empty host is this machine's name."""
        return tuple(
            Endpoint(e.listener, e.security_protocol, e.host or socket.getfqdn(), e.port) for e in self.endpoints
        )

    def _state_changed(self, state: str) -> None:
        if state == LOST and not self._stopped:
            log.warning("the ZooKeeper session of broker %d has expired", self.broker_id)
        if state == CONNECTED and self.broker_epoch >= 0 and self._zk.session_id != self._session:
            self._register_again()

    def _register_again(self) -> None:
        if self._registering or self._stopped:
            return
        self._registering = True

        def done(result: object) -> None:
            self._registering = False
            if not isinstance(result, Failure):
                return
            if result.check(SessionExpired, ConnectionLoss):
                log.warning("registration of broker %d: %s", self.broker_id, result.getErrorMessage() or "interrupted")
            else:
                # Another broker took this broker's id while it had no session. This broker asks again in a while.
                log.error("cannot register broker %d again: %s", self.broker_id, result.getErrorMessage())
            if not self._stopped and self._zk.state == CONNECTED:
                deferLater(self._reactor, 1.0, self._retry)

        ensureDeferred(self._claim()).addBoth(done)

    def _retry(self) -> None:
        if self._zk.state == CONNECTED and self._zk.session_id != self._session:
            self._register_again()

    async def _refuse_taken_addresses(self) -> dict[int, BrokerNode]:
        """Every registered broker; MembershipError when another has one of our addresses."""
        ours = {(e.host, e.port) for e in self._advertised()}
        brokers = await live_brokers(self._zk)
        for broker_id, node in brokers.items():
            taken = [f"{e.host}:{e.port}" for e in node.endpoints if (e.host, e.port) in ours]
            if broker_id != self.broker_id and taken:
                raise MembershipError(
                    f"Configured end points {','.join(taken)} in advertised listeners are already registered by broker "
                    f"{broker_id}"
                )
        return brokers

    def _is_ours(self, data: bytes | None) -> bool:
        node = decode_or_none(BrokerNode, data, self.broker_id)
        if node is None:
            return True
        ours = {(e.host, e.port) for e in self._advertised()}
        return any((e.host, e.port) in ours for e in node.endpoints)

    async def _gone(self, path: str) -> bool:
        """Whether the node is deleted; if not, waits for a change, but not longer than a second."""
        deleted: Deferred[None] = Deferred()

        def event(_: Event) -> None:
            if not deleted.called:
                deleted.callback(None)

        if await self._zk.exists(path, event) is None:
            return True
        deleted.addTimeout(1.0, self._reactor, onTimeoutCancel=lambda *_: None)
        await deleted
        return False

    # The session of an earlier run.

    def _remember_session(self) -> None:
        if self._session_file is None or self._zk.session is None:
            return
        number, password = self._zk.session
        text = json.dumps({"session": number, "password": password.hex(), "connect": str(self._zk.ensemble)})
        try:
            handle = os.open(self._session_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(text)
        except OSError as error:
            log.warning("cannot keep the ZooKeeper session in %s: %s", self._session_file, error)

    async def _end_previous_session(self) -> None:
        """Attaches to the session that this broker left and closes it: exactly its own ephemerals vanish."""
        try:
            kept = json.loads(self._session_file.read_text()) if self._session_file is not None else None
            session = (kept["session"], bytes.fromhex(kept["password"])) if kept else None
            connect = kept["connect"] if kept else ""
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError):
            log.warning("%s is ignored: it holds no session", self._session_file)
            return
        if session is None or connect != str(self._zk.ensemble):
            return
        left = await recipes.get_or_none(self._zk, BrokerNode.path(self.broker_id))
        # A registration of another broker is left alone, even with this broker's id: a log directory may have been
        # copied.
        if left is None or left[1].ephemeralOwner != session[0] or not self._is_ours(left[0]):
            return
        previous = ZkClient(connect, self._config["zookeeper.session.timeout.ms"], self._reactor, session=session)
        try:
            await previous.start(self._config["zookeeper.connection.timeout.ms"])
            if previous.session_id == session[0]:
                log.info("ended the ZooKeeper session 0x%x of an earlier run", session[0])
        except Exception as error:
            log.warning("cannot end the ZooKeeper session of an earlier run: %s", error)
        await previous.stop()


async def live_brokers(zk: ZkClient) -> dict[int, BrokerNode]:
    """Every registered broker; one whose registration is garbage is left out, with a line in the log."""
    return await zookeeper.read_each(zk, BrokerNode, numbers(await zookeeper.children(zk, BrokerNode)))


def random_uuid(rng: random.Random) -> bytes:
    """A version 4 UUID that is neither reserved nor printed with a leading dash, which option parsers trip over."""
    while True:
        uuid = bytearray(rng.randbytes(16))
        uuid[6] = uuid[6] & 0x0F | 0x40
        uuid[8] = uuid[8] & 0x3F | 0x80
        if not encode_uuid(bytes(uuid)).startswith("-"):
            return bytes(uuid)


def _addresses(broker_id: int, data: bytes | None) -> str:
    node = decode_or_none(BrokerNode, data, broker_id)
    return _join(node.endpoints) if node is not None else "an address that cannot be read"


def _join(endpoints: Sequence[Listener | Endpoint]) -> str:
    return ",".join(f"{e.listener}://{e.host}:{e.port}" for e in endpoints)


__all__ = ["Membership", "MembershipError", "live_brokers", "random_uuid"]
