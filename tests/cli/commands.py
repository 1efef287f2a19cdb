"""Runs the commands as a user does: by their scripts, as processes."""

from __future__ import annotations

import contextlib
import io
import subprocess
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from tests.servers import JAVA, kafka_home

BIN = Path(__file__).resolve().parents[2] / "bin"


# The classes of Apache's own commands.
CLASSES = {
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-replica-verification": "org.apache.kafka.tools.ReplicaVerificationTool",
}


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output that say something, without blanks at their ends."""
        return [line.rstrip() for line in self.out.splitlines() if line.strip()]


def command(script: str, apache: bool = False) -> list[str]:
    """How bin/<script>.sh is called, or what Apache has in its place."""
    if not apache:
        return [str(BIN / f"{script}.sh")]
    logging = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    return [*JAVA, "-Xmx128m", logging, "-cp", f"{kafka_home()}/lib/*", CLASSES[script]]


def run(
    script: str,
    *arguments: object,
    stdin: str | None = "",
    cwd: Path | None = None,
    timeout: float = 60,
    apache: bool = False,
) -> Done:
    """Runs bin/<script>.sh, or Apache's, to its end."""
    done = subprocess.run(
        [*command(script, apache), *map(str, arguments)],
        input=None if stdin is None else stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        cwd=cwd,
        timeout=timeout,
    )
    return Done(done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode())


def start(script: str, *arguments: object, apache: bool = False) -> subprocess.Popen[bytes]:
    """Starts bin/<script>.sh, or Apache's; to be ended by its id."""
    return subprocess.Popen(
        [*command(script, apache), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def refusal(command: click.Command, *arguments: str) -> str:
    """What a command that ends with code 1 says on standard error; run in this process, which is quicker."""
    said, silent = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(silent),
        pytest.raises(SystemExit) as end,
    ):
        command.main(list(arguments))
    assert (1, "") == (end.value.code, silent.getvalue())
    return said.getvalue().strip()
