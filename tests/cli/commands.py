"""Runs the commands as a user does: by their scripts, as processes."""

from __future__ import annotations

import contextlib
import io
import subprocess
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

BIN = Path(__file__).resolve().parents[2] / "bin"


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


def run(script: str, *arguments: object, stdin: str | None = "", cwd: Path | None = None, timeout: float = 60) -> Done:
    """Runs bin/<script>.sh to its end."""
    done = subprocess.run(
        [str(BIN / f"{script}.sh"), *map(str, arguments)],
        input=None if stdin is None else stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        cwd=cwd,
        timeout=timeout,
    )
    return Done(done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode())


def start(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Starts bin/<script>.sh; to be ended by its id."""
    return subprocess.Popen(
        [str(BIN / f"{script}.sh"), *map(str, arguments)],
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
