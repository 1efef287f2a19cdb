"""bin/kafka-run-class.sh: commands by the names that old scripts call them by."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import command, run


def test_what_is_no_command_is_refused_in_one_line() -> None:
    done = run("kafka-run-class", "kafka.tools.MirrorMaker", "--help")
    assert (1, "") == (done.code, done.out)
    assert done.err.startswith("kafka.tools.MirrorMaker is not a command here; ")
    assert 1 == len(done.err.splitlines())


def test_usage() -> None:
    assert (1, "USAGE: kafka-run-class.sh class|module [options]\n") == (
        run("kafka-run-class").code,
        run("kafka-run-class").err,
    )
    helped = run("kafka-run-class", "--help")
    assert (0, "USAGE: kafka-run-class.sh class|module [options]") == (helped.code, helped.lines[0])


@pytest.mark.parametrize("script", ["kafka-topics", "walkthrough", "kafka-server-start", "zookeeper-shell"])
def test_ctrl_c_while_the_interpreter_starts_makes_no_traceback(script: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    path = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command(script), env=path, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (-signal.SIGINT, "", "") == (done.returncode, done.stdout, done.stderr)


def test_by_class_and_by_module() -> None:
    by_class = run("kafka-run-class", "org.apache.kafka.tools.TopicCommand", "--version")
    by_module = run("kafka-run-class", "kafkalike.cli.topics", "--version")
    assert 0 == by_class.code
    assert by_class == by_module
