"""What is commonly wanted of ZooKeeper and easily got wrong: on client.py's verbs, and knowing nothing of Kafka.

The rule behind all of it: after a lost connection nobody knows whether a write was done. So a write is repeated only
where doing it twice is harmless, or after reading back who did it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Literal, NamedTuple, TypeVar, TypeVarTuple, cast

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.python.failure import Failure

from zk.client import (
    CONNECTED,
    BadVersion,
    Check,
    ConnectionLoss,
    Create,
    Delete,
    Event,
    NodeExists,
    NoNode,
    Op,
    SessionExpired,
    Set,
    Stat,
    ZkClient,
    ZooKeeperError,
)

log = logging.getLogger(__name__)
T = TypeVar("T")
Values = TypeVarTuple("Values")


class Taken(Exception):
    """An ephemeral that is wanted belongs to another session."""

    def __init__(self, path: str, owner: int, data: bytes | None) -> None:
        super().__init__(f"{path} belongs to session 0x{owner:x}")
        self.path = path
        self.owner = owner
        self.data = data


class Fenced(Exception):
    """The counter that guards a term has moved on: another one was elected."""


class Term(NamedTuple):
    """A won election: the counter's value and the version of its node, which every later write checks."""

    epoch: int
    version: int
    counter_path: str

    def guarded(self, *operations: Op) -> list[Op]:
        """The operations of a multi that does nothing once another one has been elected."""
        return [Check(self.counter_path, self.version), *operations]


async def insist(operation: Callable[[], Awaitable[T]]) -> T:
    """Repeats an operation for as long as the connection is lost under it. Only where twice is as good as once."""
    while True:
        try:
            return await operation()
        except ConnectionLoss:
            continue


async def ensure(zk: ZkClient, path: str, data: bytes | None = None) -> bool:
    """Creates a node with its parents unless it exists; whether it was (or may have been) this call that did."""
    try:
        await insist(lambda: zk.create(path, data, makepath=True))
    except NodeExists:
        return False
    return True


async def put(zk: ZkClient, path: str, data: bytes | None) -> None:
    """Sets a node's data whatever its version, creating the node and its parents when there is none."""
    while True:
        try:
            await insist(lambda: zk.set(path, data))
            return
        except NoNode:
            try:
                await zk.create(path, data, makepath=True)
                return
            except (NodeExists, ConnectionLoss):
                continue


async def get_or_none(zk: ZkClient, path: str) -> tuple[bytes | None, Stat] | None:
    """Data and Stat, or None when there is no such node."""
    try:
        return await zk.get(path)
    except NoNode:
        return None


async def update(zk: ZkClient, path: str, change: Callable[[bytes | None], bytes | None]) -> tuple[bytes | None, int]:
    """Replaces a node's data by `change(data)` under its version, as often as somebody else was faster.

    Returns the data written and its version. A write whose answer was lost counts as done when the node holds exactly
    these bytes under exactly the version that the write would have made.
    """
    unsure: tuple[bytes | None, int] | None = None
    while True:
        data, stat = await zk.get(path)
        if unsure is not None and unsure == (data, stat.version):
            return unsure
        wanted = change(data)
        try:
            written = await zk.set(path, wanted, stat.version)
            return wanted, written.version
        except BadVersion:
            unsure = None
        except ConnectionLoss:
            unsure = (wanted, stat.version + 1)


async def claim(zk: ZkClient, path: str, data: bytes, previous_session: int | None = None) -> Stat:
    """Makes an ephemeral that is this session's, and gives its Stat; `Taken` when it is somebody else's.

    Created with no data and then set, in one multi, so that a fresh claim has version 1. One that exists is ours when
    its owner is this session (the answer of an earlier try was lost), is deleted and made again when its owner is
    `previous_session` (ours too, and replaced), and is left alone otherwise.
    """
    while True:
        try:
            results = await zk.multi([Create(path, None, ephemeral=True), Set(path, data, 0)])
            return cast(Stat, results[1])
        except ConnectionLoss:
            pass
        except NodeExists:
            found = await get_or_none(zk, path)
            if found is None:
                continue
            there, stat = found
            if stat.ephemeralOwner == zk.session_id:
                return stat
            if previous_session is None or stat.ephemeralOwner != previous_session:
                raise Taken(path, stat.ephemeralOwner, there) from None
            log.info("%s is left over from our session 0x%x: replaced", path, previous_session)
            try:
                await insist(lambda version=stat.version: zk.delete(path, version))  # type: ignore[misc]
            except (NoNode, BadVersion):
                continue


async def elect(
    zk: ZkClient, path: str, data: bytes, counter_path: str, read_counter: Callable[[bytes | None], int]
) -> Term | None:
    """Tries once to become the owner of the ephemeral `path`; None when another one is, or was faster.

    The ephemeral and the next value of the counter are written in one multi, so no two winners share a value and no
    loser moves the counter. The loser of an answer finds out by whose the ephemeral is. After None, try again if nobody
    is elected.
    """
    epoch, version = await _counter(zk, counter_path, read_counter)
    term = Term(epoch + 1, version + 1, counter_path)
    try:
        results = await zk.multi([Create(path, data, ephemeral=True), Set(counter_path, b"%d" % term.epoch, version)])
        return term._replace(version=cast(Stat, results[1]).version)
    except (NodeExists, BadVersion, ConnectionLoss):
        # A multi that was done but whose answer was lost looks like a defeat.
        owner = await zk.exists(path)
        if owner is None or owner.ephemeralOwner == 0 or owner.ephemeralOwner != zk.session_id:
            return None
        if (term.epoch, term.version) == await _counter(zk, counter_path, read_counter):
            return term
        # Ours, but of an election of which nothing is known any more: a term must have a number of its own.
        with contextlib.suppress(NoNode, BadVersion):
            await insist(lambda: zk.delete(path, owner.version))
        return None


async def resign(zk: ZkClient, path: str, term: Term) -> None:
    """Gives the ephemeral of a won election back, unless another one was elected since."""
    with contextlib.suppress(NoNode, BadVersion):
        await insist(lambda: zk.multi(term.guarded(Delete(path))))


async def _counter(zk: ZkClient, path: str, read: Callable[[bytes | None], int]) -> tuple[int, int]:
    while True:
        found = await get_or_none(zk, path)
        if found is not None:
            return read(found[0]), found[1].version
        await ensure(zk, path, b"0")


class _Watch(Generic[*Values]):
    """Reads, arms, and reads again at each event and each reconnection; one read at a time."""

    def __init__(self, zk: ZkClient, path: str, callback: Callable[[*Values], object]) -> None:
        self.path = path
        self._zk = zk
        self._callback = callback
        self._reading = False
        self._again = False
        self._stopped = False
        self._first: Deferred[None] | None = Deferred()
        zk.add_listener(self._state)

    def start(self) -> Deferred[None]:
        """Reads for the first time; fires after the callback had the first value."""
        if self._first is None:
            # A reconnection was faster, and the callback has had the first value.
            return succeed(None)
        first = self._first
        self._read()
        return first

    def stop(self) -> None:
        """No callback any more. (The watch in ZooKeeper stays until it fires once.)"""
        self._stopped = True
        self._zk.remove_listener(self._state)

    def read_again(self) -> None:
        """Reads although nothing was heard."""
        self._read()

    def _event(self, event: Event) -> None:
        self._read()

    def _state(self, state: str) -> None:
        if state == CONNECTED:
            self._read()

    def _read(self) -> None:
        if self._stopped:
            return
        if self._reading:
            self._again = True
            return
        self._reading = True
        self._again = False
        ensureDeferred(self._value()).addCallbacks(self._deliver, self._failed)

    async def _value(self) -> tuple[*Values]:
        raise NotImplementedError

    def _news(self, value: tuple[*Values]) -> bool:
        raise NotImplementedError

    def _deliver(self, value: tuple[*Values]) -> None:
        self._reading = False
        if self._stopped:
            return
        try:
            if self._news(value):
                self._callback(*value)
        except Exception:
            log.exception("callback of the watch on %s", self.path)
        first, self._first = self._first, None
        if first is not None:
            first.callback(None)
        if self._again:
            self._read()

    def _failed(self, failure: Failure) -> None:
        self._reading = False
        if self._again:
            self._read()
        elif not failure.check(SessionExpired, ConnectionLoss):
            # After an expiry CONNECTED follows and reads again; anything else would fail again and again.
            log.error("watch on %s: %s", self.path, failure.getErrorMessage())
            first, self._first = self._first, None
            if first is not None:
                first.errback(failure)


class DataWatch(_Watch[bytes | None, Stat | None]):
    """`callback(data, stat)` with the first value and each later one; `callback(None, None)` when there is no node."""

    _last: tuple[int, int] | None | Literal[False] = False

    async def _value(self) -> tuple[bytes | None, Stat | None]:
        while True:
            try:
                return await self._zk.get(self.path, self._event)
            except NoNode:
                if await self._zk.exists(self.path, self._event) is None:
                    return None, None

    def _news(self, value: tuple[bytes | None, Stat | None]) -> bool:
        data, stat = value
        mark = None if stat is None else (stat.czxid, stat.mzxid)
        seen, self._last = self._last, mark
        return seen is False or seen != mark


class ChildrenWatch(_Watch[list[str]]):
    """`callback(names)` with the first list and after each event or reconnection, though the names be the same: a
    child may have been deleted and made again in between. An absent node has no children."""

    async def _value(self) -> tuple[list[str]]:
        while True:
            try:
                return (await self._zk.children(self.path, self._event),)
            except NoNode:
                if await self._zk.exists(self.path, self._event) is None:
                    return ([],)

    def _news(self, value: tuple[list[str]]) -> bool:
        return True


class ChangeWatch:
    """Calls `changed` when a node's children, or its data or existence, may have changed: at each event and at each
    reconnection.

    The call does not say what has changed: the listener reads. The watch is armed again before the call, so that the
    next call tells of every change after that read.
    """

    def __init__(self, zk: ZkClient, path: str, changed: Callable[[], object], children: bool = False) -> None:
        self._zk = zk
        self._path = path
        self._changed = changed
        self._children = children
        self._stopped = False
        zk.add_listener(self._state)
        self._arm()

    def stop(self) -> None:
        """Ends the watch; `changed` is not called any more."""
        self._stopped = True
        self._zk.remove_listener(self._state)

    def _arm(self) -> None:
        verb: Callable[..., Deferred[Any]] = self._zk.children if self._children else self._zk.exists
        # An expired session is followed by CONNECTED; the children of a directory that is not there cannot be watched.
        verb(self._path, self._event).addErrback(lambda failure: failure.trap(ZooKeeperError))

    def _event(self, event: Event) -> None:
        if not self._stopped:
            self._arm()
            self._changed()

    def _state(self, state: str) -> None:
        if state == CONNECTED and not self._stopped:
            self._arm()
            self._changed()


__all__ = [
    "ChangeWatch",
    "ChildrenWatch",
    "DataWatch",
    "Fenced",
    "Taken",
    "Term",
    "ZooKeeperError",
    "claim",
    "elect",
    "ensure",
    "get_or_none",
    "insist",
    "put",
    "resign",
    "update",
]
