"""kafka-server-stop.sh: ends this user's brokers of this installation, all or one of them (KIP-979), and names each."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

import click

from kafkalike.cli.options import Command, fail, version
from zk import processes
from zk.packaged_files import locate
from zk.processes import Process

MODULE = "kafkalike.cli.server_start"
SCRIPT = "kafka-server-start"


class Server(NamedTuple):
    """A broker that runs."""

    node_id: int | None  # None when it cannot be found out
    process: Process

    def __str__(self) -> str:
        number = "?" if self.node_id is None else self.node_id
        return f"broker {number} (process {self.process.pid}: {' '.join(self.process.arguments)})"


@click.command(
    "kafka-server-stop.sh",
    cls=Command,
    bare=True,
    help="""Stop the Kafka brokers that you have started from this installation; each is named.

    The signal that is sent is $SIGNAL, or TERM.""",
)
@click.option("--node-id", type=int, metavar="N", help="Stop only the broker with this broker.id.")
@click.option(
    "--process-role",
    metavar="ROLE",
    help="Stop only servers of this role: broker, which all are that work with ZooKeeper. --node-id takes precedence.",
)
@version
def main(node_id: int | None, process_role: str | None) -> int:
    """Sends the signal."""
    if node_id is not None and process_role is not None:
        click.echo("When both node-id and process-role are provided, the value for node-id will take precedence")
        process_role = None
    try:
        number = processes.signal_of(os.environ.get("SIGNAL"))
    except ValueError as problem:
        fail(f"SIGNAL: {problem}")
    with processes.running(MODULE, SCRIPT) as found:
        servers = [Server(_node_id(process), process) for process in found]
        chosen = [
            server
            for server in servers
            if server.process.python == sys.executable
            and (node_id is None or server.node_id == node_id)
            and process_role in (None, "broker")
        ]
        stopped = 0
        for server in chosen:
            if server.process.send(number):
                stopped += 1
                click.echo(f"Stopping {server}")
    if stopped:
        return 0
    click.echo("No kafka server to stop" + (f" with node.id {node_id}" if node_id is not None else ""))
    for server in servers:
        elsewhere = "" if server.process.python == sys.executable else "from another installation: "
        click.echo(f"Running {elsewhere}{server}")
    return 1


def _node_id(process: Process) -> int | None:
    """The process's broker.id as configured, else the one that its log directory belongs to."""
    from kafkalike.cli import server_start
    from kafkalike.cli.server_start import settings_of
    from kafkalike.config import ConfigException
    from kafkalike.storage.meta_properties import read_broker_id

    files, overrides, rest = [], [], iter(process.arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if name == "--override":
            overrides.append(value if equals else next(rest, ""))
        elif not word.startswith("-"):
            files.append(word)
    try:
        settings = settings_of(locate(files[0], server_start.__file__, process.path("")), overrides)
        number = int(settings.get("broker.id") or settings.get("node.id") or -1)
        directories = (settings.get("log.dirs") or settings.get("log.dir") or "/tmp/kafka-logs").split(",")
        return number if number >= 0 else read_broker_id(process.path(directories[0].strip()))
    except (OSError, ValueError, IndexError, ConfigException):
        return None


if __name__ == "__main__":
    sys.exit(main())
