"""How the product is put on the simulated machines: what is replaced in its modules while a run is under way.

Everything here is an edge: threads, sockets, kazoo, files. No decision of the product is replaced. The time and random
numbers are handed to each broker (machine.py).
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet import defer, task, threads
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.logger import globalLogPublisher

from kafkalike.cluster import membership
from kafkalike.net.listener import Listener
from kafkalike.net.peer import Peer
from kafkalike.net.server import Server
from kafkalike.protocol.batch import read_header, read_producer
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.meta_properties import read_broker_id
from tests.simulation import disk, network, zookeeper
from tests.simulation.world import World
from zk.client import ZkClient


class Files:
    """The module `os`, as far as the broker's membership writes small files: onto the machine's disk."""

    def __init__(self, world: World) -> None:
        self._world = world

    def open(self, path: Any, flags: int, mode: int = 0) -> Any:
        return path

    def fdopen(self, path: Any, mode: str) -> Any:
        return _File(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


class _File(io.StringIO):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            self._path.write_text(self.getvalue())
        super().close()


class Path:
    """pathlib.Path, of a file on the disk of the machine that is running."""

    world: World

    def __init__(self, name: Any) -> None:
        self._name = str(name)
        machine: Any = self.world.current
        self._machine = machine
        self._files = machine.disk.files
        self._life = machine.life

    def read_text(self) -> str:
        try:
            text: str = self._files[self._name]
        except KeyError:
            raise FileNotFoundError(self._name) from None
        return text

    def write_text(self, text: str) -> None:
        if self._life == self._machine.life:
            self._files[self._name] = text

    def unlink(self, missing_ok: bool = False) -> None:
        if self._life == self._machine.life:
            self._files.pop(self._name, None)

    def __str__(self) -> str:
        return self._name


@contextlib.contextmanager
def applied(world: World, net: network.Network, watcher: Any, thread_delay_s: float) -> Iterator[None]:
    """The product runs in this world, until the end of the block."""
    undo: list[tuple[Any, str, Any]] = []

    def put(owner: Any, name: str, value: Any) -> None:
        undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def everywhere(original: Any, replacement: Any) -> None:
        """Replaces a name in every module of the product that imports it."""
        for name, module in sorted(sys.modules.items()):
            if name.partition(".")[0] in ("kafkalike", "zk") and name != original.__module__:
                for attribute in [key for key, value in vars(module).items() if value is original]:
                    put(module, attribute, replacement)

    files = Files(world)
    put(membership, "os", files)
    Path.world = world
    put(membership, "Path", Path)
    everywhere(ZkClient, zookeeper.SimZkClient)
    everywhere(Peer, network.SimPeer)
    everywhere(HostnameEndpoint, network.SimEndpoint)
    everywhere(connectProtocol, network.connect_protocol)
    everywhere(Server, network.SimServer)
    everywhere(Listener, network.SimListener)
    everywhere(LogDirectory, disk.ModelDirectory)
    everywhere(read_header, disk.Head.of)
    everywhere(read_producer, disk.producer_of)
    everywhere(read_broker_id, lambda path: None)
    put(threads, "deferToThreadPool", functools.partial(_defer_to_thread, world, thread_delay_s))
    put(task, "coiterate", functools.partial(_coiterate, world))
    world.product_random.seed(world.random.getrandbits(64))
    network.NETWORK.append(net)
    disk.WATCHED.append(watcher)
    try:
        yield
    finally:
        network.NETWORK.clear()
        disk.WATCHED.clear()
        for owner, name, value in reversed(undo):
            setattr(owner, name, value)


def _defer_to_thread(
    world: World, delay_s: float, reactor: Any, pool: Any, work: Callable[..., Any], *args: Any, **kwargs: Any
) -> Deferred[Any]:
    """The work happens some time later, all at once; its end is heard later still."""
    answer: Deferred[Any] = Deferred()

    def run() -> None:
        outcome = defer.maybeDeferred(work, *args, **kwargs)
        reactor.callLater(delay_s * world.random.random(), outcome.chainDeferred, answer)

    reactor.callLater(delay_s * world.random.random(), run)
    return answer


def _coiterate(world: World, steps: Iterator[Any]) -> Deferred[Any]:
    for _ in steps:
        pass
    return defer.succeed(None)


class Complaints(logging.Handler):
    """Collects what the product logs about itself having failed; everything goes to the trace."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.DEBUG if world.trace else logging.WARNING)
        self._world = world
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if self._world.trace is not None:
            self._world.note("  %s: %s", record.name.rpartition(".")[2], text)
        if record.exc_info or record.levelno >= logging.CRITICAL or "Traceback" in text:
            if record.exc_info and isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
                text += f" ({record.exc_info[1]!r})"
                text += logging.Formatter().formatException(record.exc_info)
            self.found.append(text)


@contextlib.contextmanager
def listening(world: World) -> Iterator[Complaints]:
    """Hears what the product logs, and keeps it from being printed."""
    complaints = Complaints(world)

    def observe(event: dict[str, Any]) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            complaints.found.append(f"unhandled error in a Deferred: {failure.getTraceback()}")

    globalLogPublisher.addObserver(observe)
    loggers = [logging.getLogger(name) for name in ("kafka", "kafkalike", "zk")]
    before = [(each.level, each.propagate, list(each.handlers)) for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG if world.trace else logging.WARNING)
        each.propagate = False
        each.handlers = [complaints]
    try:
        yield complaints
    finally:
        globalLogPublisher.removeObserver(observe)
        for each, (level, propagate, handlers) in zip(loggers, before, strict=True):
            each.setLevel(level)
            each.propagate = propagate
            each.handlers = handlers
