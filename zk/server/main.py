"""The command behind bin/zookeeper-server-start.sh: read the properties, recover, listen, until SIGTERM.

Whatever an operator can get wrong ends with one line on standard error and exit code 1. With -daemon the command
returns when the server listens, or has failed; what the server prints goes to zookeeper.out in $LOG_DIR (logs).
"""

import gc
import logging
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from zk.command_name import typed
from zk.daemon import Background, Foreground, detach
from zk.descriptors import raise_limit
from zk.packaged_files import locate, packaged_hint
from zk.server.config import Config, ConfigError, override, parse, read
from zk.server.journal import JournalError
from zk.signals import ServerSignals

# File descriptors that are not for clients: the journal, snapshots, what the process itself has open.
RESERVE = 32
USAGE = f"""\
USAGE: {typed("zookeeper-server-start.sh")} [-daemon] zookeeper.properties [--override property=value]*"""
HELP = f"""\
{USAGE}
Runs the ZooKeeper server for development: one, in Python, speaking ZooKeeper's protocol. A file without directory that
is not here is the one that is shipped: zookeeper.properties. With -daemon the command returns when the server listens,
or has failed; what the server prints goes to zookeeper.out in $LOG_DIR (logs)."""

log = logging.getLogger("zk.server")


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal; the exit code."""
    signals = ServerSignals()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in (["--help"], ["-h"]):
        print(HELP)
        return 0
    waiting = Foreground()
    try:
        config = configure([argument for argument in arguments if argument != "-daemon"])
        if "-daemon" in arguments:
            waiting = _detach()
    except ConfigError as error:
        return _refuse(str(error))
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format="[%(asctime)s] %(levelname)s %(message)s (%(name)s)"
    )
    for key in config.unknown:
        log.warning("Unknown configuration key %s", key)
    reason = _serve(config, signals, waiting)
    if reason:
        waiting.fails(reason)
        return 1
    log.info("Stopped")
    return 0


def configure(arguments: Sequence[str]) -> Config:
    """The configuration that the arguments name."""
    files, overrides = [], []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--override":
            overrides.append(next(rest, ""))
        elif argument.startswith("-"):
            raise ConfigError(USAGE)
        else:
            files.append(argument)
    if len(files) != 1:
        raise ConfigError(USAGE)
    try:
        with open(locate(files[0], __file__), encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError(f"Cannot read {files[0]}: {error.strerror}{packaged_hint(files[0], __file__)}") from None
    return read(override(parse(text), overrides))


def _serve(config: Config, signals: ServerSignals, waiting: Foreground) -> str:
    """Until a signal; or why it could not."""
    _leave_out()
    # Late, so that a mistake in the arguments is told at once.
    from twisted.internet import reactor as installed
    from twisted.internet.error import CannotListenError
    from twisted.python.log import PythonLoggingObserver

    from zk.server.acceptor import Acceptor
    from zk.server.listener import Server

    reactor: Any = installed
    failures: list[str] = []
    stopping = False

    def end(failure: str = "") -> None:
        nonlocal stopping
        if failure:
            failures.append(failure)
        if not stopping:
            stopping = True
            reactor.stop()

    PythonLoggingObserver().start()
    logging.getLogger("twisted").setLevel(logging.WARNING)
    server = Server(reactor, config, end)
    server.most_clients = max(raise_limit() - RESERVE, 1)
    try:
        server.recover()
    except JournalError as error:
        return str(error)
    except OSError as error:
        return f"Cannot use the data directory {config.data_dir}: {error.strerror}"
    if server.journal.cut:
        log.warning("%s", server.journal.cut)
    try:
        backlog = config.backlog if config.backlog > 0 else 50
        port = Acceptor(config.port, server, backlog, config.address, reactor)
        port.startListening()
    except (CannotListenError, OSError) as error:
        reason = getattr(error, "socketError", error)
        return f"Cannot listen on {config.address}:{config.port}: {getattr(reason, 'strerror', reason)}"
    # From here on what is under way is finished first.
    signals.stop_by(reactor.callFromThread, lambda name: end())
    server.start()
    address = port.getHost()
    server.port = address.port
    # What has been loaded so far stays; there is nothing in it for the collector.
    gc.freeze()

    def announce() -> None:
        tree = server.standalone.tree
        log.info("%d znodes, last zxid 0x%x, in %s", len(tree.nodes), server.standalone.zxid, config.data_dir)
        log.info("Listening on %s:%d", address.host, address.port)
        waiting.serves()

    reactor.callWhenRunning(announce)

    from twisted.internet.defer import Deferred

    def stop() -> "Deferred[None]":
        stopped: Deferred[None] = Deferred()
        port.stopListening()
        if failures:
            stopped.callback(None)
        else:
            server.stop(lambda: stopped.callback(None))
        return stopped

    reactor.addSystemEventTrigger("before", "shutdown", stop)
    reactor.run(installSignalHandlers=False)
    signals.ended()
    return failures[0] if failures else ""


def _detach() -> Background:
    """Goes into the background; ConfigError when there is no place for its output."""
    directory = os.environ.get("LOG_DIR") or _logs(os.path.join(os.path.dirname(__file__), "..", ".."))
    path = os.path.realpath(os.path.join(directory, "zookeeper.out"))
    try:
        os.makedirs(directory, exist_ok=True)
        out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise ConfigError(f"Cannot write {path}: {error.strerror}") from None
    return detach(out, path)


def _logs(root: str) -> str:
    """The directory `logs` beside bin/, or, where there are only packages, that in the working directory."""
    return os.path.join(root if os.path.isfile(os.path.join(root, "bin", "zookeeper-server-start.sh")) else "", "logs")


def _leave_out() -> None:
    """Keep out of the process what Twisted would load and this server has no use for: a third of memory and start.

    Without ssl and _hashlib (OpenSSL) the standard library takes its own hashes and no TLS; Twisted only passes the
    name of the cookie module on.
    """
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
    sys.modules.setdefault("_hashlib", None)  # type: ignore[arg-type]
    sys.modules.setdefault("http.cookiejar", ModuleType("http.cookiejar"))


def _refuse(line: str) -> int:
    sys.stdout.flush()
    print(line, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
