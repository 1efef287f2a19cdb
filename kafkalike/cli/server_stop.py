"""kafka-server-stop.sh: ends the brokers of this project on this machine, by SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click

MODULE = b"kafkalike.cli.server_start"


def running() -> list[int]:
    """Process ids of our user's brokers, found by their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            if MODULE in arguments and (os.geteuid() == 0 or entry.stat().st_uid == os.geteuid()):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@click.command(context_settings={"help_option_names": ["--help"]})
def main() -> None:
    """Stop the Kafka brokers on this machine."""
    brokers = running()
    if not brokers:
        click.echo("No kafka server to stop")
        sys.exit(1)
    for pid in brokers:
        os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    main(prog_name="kafka-server-stop.sh")
