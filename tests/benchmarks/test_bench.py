"""The bench runs, says what is missing, and leaves nothing behind. What it measures here is worth nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.bench import Cell, Row, columns, short_table, shortfalls
from tests.benchmarks.loads import Goal, less, more
from tests.servers import require, tool, wait_until

BENCH = Path(__file__).with_name("bench.py")


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts the bench with its files under tmp_path."""
    home = tmp_path / "files"
    home.mkdir()

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(BENCH), *arguments],
            env={**os.environ, "TMPDIR": str(home), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def needs_the_load() -> None:
    """What bin/test.sh installs."""
    tool("cc", "gcc libc6-dev")
    require(Path("/usr/include/librdkafka/rdkafka.h").exists(), "librdkafka's headers: apt install librdkafka-dev")


def processes(home: Path) -> list[str]:
    """The command lines that name this directory."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(home) in words:
            found.append(words)
    return found


def test_a_load_is_measured(bench: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    needs_the_load()
    chosen = ["--only", "produce", "--only", "consume", "--only", "commits", "--only", "connections-50"]
    process = bench("--against", "none", "--scale", "0.02", "--times", "1", "--json", str(tmp_path / "rows"), *chosen)
    output, problems = process.communicate(timeout=100)
    assert 0 == process.returncode, problems
    rows = json.loads((tmp_path / "rows").read_text())
    assert ["produce", "consume", "connections-50", "commits"] == [row["key"] for row in rows]
    assert all(row["cells"][unit]["ours"][0] > 0 for row in rows for unit in row["cells"])
    assert "| produce 1,000 B, acks=all | " in output
    assert [] == list((tmp_path / "files").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_no_process_and_no_file(
    bench: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    needs_the_load()
    home = tmp_path / "files"
    process = bench("--against", "none", "--only", "idle-consumers")
    wait_until(lambda: any("waiting" in words for words in processes(home)), 60, "the load")
    assert len(processes(home)) >= 3, "ZooKeeper, the broker, the load"
    process.send_signal(number)
    process.communicate(timeout=30)
    assert 130 == process.returncode
    assert [] == list(home.iterdir())
    assert [] == processes(home)


@pytest.mark.parametrize(
    ("without", "line"),
    [
        ("cc", "bench: needs a C compiler: apt install gcc libc6-dev"),
        ("java", "bench: needs Java: apt install default-jre-headless, or measure ours alone with --against none"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    bench: Callable[..., subprocess.Popen[str]], tmp_path: Path, without: str, line: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in {"cc", "java"} - {without}:
        (programs / name).symlink_to(shutil.which(name) or "/bin/true")
    process = bench("--against", "apache" if without == "java" else "none", PATH=str(programs))
    output, problems = process.communicate(timeout=60)
    assert (1, "", f"{line}\n") == (process.returncode, output, problems)


def test_jars_that_are_missing_are_said_in_one_line(
    bench: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    tool("java", "default-jre-headless")
    require(Path("/usr/share/java/zookeeper.jar").exists(), "Apache ZooKeeper: apt install zookeeper")
    process = bench(KAFKALIKE_KAFKA_HOME=str(tmp_path / "nowhere"))
    _, problems = process.communicate(timeout=60)
    assert 1 == process.returncode
    assert 1 == problems.count("\n") and "needs Apache Kafka's jars" in problems and "apt install maven" in problems


def test_a_row_says_whether_its_goals_are_met() -> None:
    rate = Cell([500.0, 540.0, 520.0], [260.0, 250.0, 240.0], more(2))
    cpu = Cell([1.5], [3.0], less(1 / 3))
    row = Row("produce", "produce", "MB/s", rate, "s/GB", cpu)
    assert columns(row)[:7] == [
        "produce",
        "520 MB/s (500-540)",
        "250 MB/s (240-260)",
        "2.08x, goal >= 2x: met",
        "1.50 s/GB",
        "3.00 s/GB",
        "0.50x, goal <= 0.333x: **short**",
    ]
    assert ["produce: CPU 0.50x, goal <= 0.333x: short"] == shortfalls([row])
    assert "| produce | 520 MB/s | 250 | 2.08 | **1.50 / 3.00 s/GB** |  |  |" == short_table([row]).splitlines()[2]


def test_without_apache_only_goals_of_our_own_are_judged() -> None:
    assert Cell([1.0], [], more(2)).met is None
    assert Cell([0.5], [], Goal("<=", 0.6, False)).met
