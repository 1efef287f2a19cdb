"""kafka-server-start.sh: runs a broker until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from kafkalike.cli.options import Command, version
from zk.daemon import Background, Foreground, detach
from zk.packaged_files import locate, packaged_hint
from zk.signals import ServerSignals

# What thousands of requests under way hold at once is looked at for garbage no oftener than so many objects come to be.
YOUNG_OBJECTS = 10_000


@click.command("kafka-server-start.sh", cls=Command)
@click.option(
    "-daemon",
    "daemon",
    is_flag=True,
    help="Run in the background: return when the broker serves, or with the reason why not. Its output is in "
    "server.log, in $LOG_DIR or the first of log.dirs.",
)
@click.argument("properties", metavar="server.properties", type=click.Path(dir_okay=False))
@click.option("--override", "overrides", multiple=True, metavar="property=value", help="Replace a property.")
@version
def main(daemon: bool, properties: str, overrides: tuple[str, ...]) -> None:
    """Start a Kafka broker with the given configuration. A file without directory that is not here is the one that is
    shipped: server.properties."""
    from kafkalike.config import ConfigException, broker_config

    signals = ServerSignals()
    waiting = Foreground()
    try:
        config, unknown = broker_config(settings_of(properties, overrides))
        if daemon:
            waiting = _detach(config.log_dirs[0])
    except OSError as problem:
        sys.exit(f"Error: {properties} cannot be read: {problem.strerror}{packaged_hint(properties, __file__)}")
    except UnicodeDecodeError:
        sys.exit(f"Error: {properties} is not a text file")
    except ConfigException as problem:
        sys.exit(f"Error: {problem}")
    sys.exit(_run(config, unknown, signals, waiting))


def settings_of(properties: str, overrides: Sequence[str]) -> dict[str, str]:
    """A broker's settings from its file and what overrides that."""
    from kafkalike.config import ConfigException, read_properties

    with open(locate(properties, __file__), encoding="utf-8") as file:
        settings = read_properties(file.read())
    for override in overrides:
        name, separator, value = override.partition("=")
        if not separator:
            raise ConfigException(f"--override wants property=value, not {override}")
        settings[name.strip()] = value.strip()
    return settings


def _detach(log_dir: str) -> Background:
    """Goes into the background. A log directory that another broker uses is left alone."""
    from kafkalike.storage.directory import LogDirectory
    from kafkalike.storage.files import StorageError

    directory = os.environ.get("LOG_DIR") or log_dir
    path = os.path.join(directory, "server.log")
    try:
        first = LogDirectory(log_dir)
        first.lock()
        first.abandon()
        os.makedirs(directory, exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except StorageError as problem:
        sys.exit(f"Error: {problem}")
    except OSError as problem:
        sys.exit(f"Error: {path} cannot be written: {problem.strerror}")
    return detach(log, path)


def _run(config: Any, unknown: list[str], signals: ServerSignals, waiting: Foreground) -> int:
    import gc
    import logging

    from kafkalike.net.reactor import install

    gc.disable()  # of what is made until the broker has started, little is ever let go
    install()
    from twisted.internet import reactor as installed
    from twisted.internet.defer import Deferred

    from kafkalike.broker.kafka_server import KafkaServer, StartupError
    from kafkalike.config import without_effect

    reactor: Any = installed
    _log_to_stdout()
    log = logging.getLogger("kafka.Kafka")
    for name in unknown:
        log.warning("The configuration '%s' was supplied but isn't a known config.", name)
    for line in without_effect(config, config.originals):
        log.warning("No effect here: %s", line)
    server = KafkaServer(config, reactor, halt=lambda: os._exit(1))
    refusal = ""
    status = 0
    ending = False

    async def begin() -> None:
        nonlocal status, refusal
        try:
            await server.start()
            # What lives until the end need not be looked at by every collection.
            gc.collect()
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
            gc.enable()
            waiting.serves()
        except BaseException as problem:
            if ending:
                return  # it was told to stop
            status = 1
            if isinstance(problem, StartupError):
                refusal = f"Error: {problem}"
            else:
                log.exception("Fatal error during startup. Prepare to shutdown")
            end()

    async def finish() -> None:
        try:
            await server.stop()
        except BaseException:
            log.exception("Fatal error during shutdown.")
        reactor.stop()

    def end() -> None:
        nonlocal ending
        if not ending:
            ending = True
            Deferred.fromCoroutine(finish())

    def stop(signal_name: str) -> None:
        log.info("Terminating process due to signal %s", signal_name)
        end()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(begin()))
    signals.stop_by(reactor.callFromThread, stop)
    reactor.run(installSignalHandlers=False)
    signals.ended()
    if refusal:
        waiting.fails(refusal)
    return status


def _log_to_stdout() -> None:
    import logging

    from twisted.python.log import PythonLoggingObserver

    from kafkalike.cluster.znodes import encoding

    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="[%(asctime)s] %(levelname)s %(message)s (%(name)s)"
    )
    encoding.log.addFilter(encoding.OncePerContent())
    PythonLoggingObserver("kafkalike.twisted").start()
    logging.getLogger("kafkalike.twisted").setLevel(logging.ERROR)


if __name__ == "__main__":
    main()
