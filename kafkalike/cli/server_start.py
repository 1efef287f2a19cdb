"""kafka-server-start.sh: runs a broker until SIGTERM or SIGINT."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from zk.shipped import shipped

# What thousands of requests under way hold at once is looked at for garbage no oftener than so many objects come to be.
YOUNG_OBJECTS = 10_000


@click.command(context_settings={"help_option_names": ["--help"]})
@click.option("-daemon", "daemon", is_flag=True, help="Run in the background; log to server.log beside the logs.")
@click.argument("properties", metavar="server.properties", type=click.Path(dir_okay=False))
@click.option("--override", "overrides", multiple=True, metavar="property=value", help="Replace a property.")
def main(daemon: bool, properties: str, overrides: tuple[str, ...]) -> None:
    """Start a Kafka broker with the given configuration."""
    from kafkalike.config import ConfigException, broker_config, read_properties

    try:
        with open(shipped(properties, __file__), encoding="utf-8") as file:
            settings = read_properties(file.read())
        for override in overrides:
            name, separator, value = override.partition("=")
            if not separator:
                raise ConfigException(f"--override wants property=value, not {override}")
            settings[name.strip()] = value.strip()
        config, unknown = broker_config(settings)
    except OSError as problem:
        sys.exit(f"Error: {properties} cannot be read: {problem.strerror}")
    except UnicodeDecodeError:
        sys.exit(f"Error: {properties} is not a text file")
    except ConfigException as problem:
        sys.exit(f"Error: {problem}")
    if daemon:
        _detach(config.log_dirs[0])
    sys.exit(_run(config, unknown))


def _detach(log_dir: str) -> None:
    """Goes into the background, with the log in `server.log` of the first log directory."""
    try:
        os.makedirs(log_dir, exist_ok=True)
        log = os.open(os.path.join(log_dir, "server.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as problem:
        sys.exit(f"Error: {log_dir} cannot be written: {problem.strerror}")
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _run(config: Any, unknown: list[str]) -> int:
    import gc
    import logging
    import signal

    from kafkalike.net.reactor import install

    gc.disable()  # of what is made until the broker has started, little is ever let go
    install()
    from twisted.internet import reactor as installed
    from twisted.internet.defer import Deferred

    from kafkalike.broker.broker import Broker, StartupError
    from kafkalike.config import without_effect

    reactor: Any = installed
    _log_to_stdout()
    log = logging.getLogger("kafka.Kafka")
    for name in unknown:
        log.warning("The configuration '%s' was supplied but isn't a known config.", name)
    for reason, names in without_effect(config).items():
        log.warning("No effect here: %s (%s)", ", ".join(names), reason.rstrip("."))
    broker = Broker(config, reactor, halt=lambda: os._exit(1))
    status = 0
    ending: list[Any] = []

    async def begin() -> None:
        nonlocal status
        try:
            await broker.start()
            # What lives until the end need not be looked at by every collection.
            gc.collect()
            gc.freeze()
            gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
            gc.enable()
        except StartupError as problem:
            log.error("%s", problem)
            sys.stderr.write(f"Error: {problem}\n")
            status = 1
            end()
        except BaseException:
            log.exception("Fatal error during startup. Prepare to shutdown")
            status = 1
            end()

    async def finish() -> None:
        try:
            await broker.stop()
        except BaseException:
            log.exception("Fatal error during shutdown.")
        reactor.stop()

    def end(*_: Any) -> None:
        if not ending:
            ending.append(Deferred.fromCoroutine(finish()))

    def on_signal(number: int, _: Any) -> None:
        log.info("Terminating process due to signal %s", signal.Signals(number).name)
        reactor.callFromThread(end)

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(begin()))
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    reactor.run(installSignalHandlers=False)
    return status


def _log_to_stdout() -> None:
    import logging

    from twisted.python.log import PythonLoggingObserver

    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="[%(asctime)s] %(levelname)s %(message)s (%(name)s)"
    )
    logging.getLogger("kazoo").setLevel(logging.WARNING)
    PythonLoggingObserver("kafkalike.twisted").start()
    logging.getLogger("kafkalike.twisted").setLevel(logging.ERROR)


if __name__ == "__main__":
    main(prog_name="kafka-server-start.sh")
