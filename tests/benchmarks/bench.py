"""What bin/bench.sh runs: options.py says what it measures and how it is called."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.benchmarks import loads  # noqa: E402
from tests.benchmarks.loads import ONE, THREE, Goal, Load, less  # noqa: E402
from tests.benchmarks.measured_clusters import Missing, One, Sample, Subject, Three, command  # noqa: E402
from tests.benchmarks.options import read  # noqa: E402
from tests.servers import Broker, DebianZooKeeper, EmbeddedZooKeeper  # noqa: E402

FILES = 20_000  # descriptors: 2,000 partitions with their indexes, and 1,000 connections
TURN = Goal("<=", 50, False)  # ms
RESERVE = 8  # GB of disk that stay free
MINUTES = {True: 7.5, False: 80.0}  # quick or not: nothing new begins later, so that a slow machine has an end too


class Cell(NamedTuple):
    """A quantity of a row: its values in every run, ours and Apache's."""

    ours: list[float]
    apache: list[float]
    goal: Goal | None

    @property
    def ratio(self) -> float | None:
        """The median of our values divided by that of Apache's."""
        if not self.ours or not self.apache or not statistics.median(self.apache):
            return None
        return statistics.median(self.ours) / statistics.median(self.apache)

    @property
    def met(self) -> bool | None:
        """None when there is no goal, or nothing to compare with."""
        if self.goal is None or not self.ours:
            return None
        value = self.ratio if self.goal.of_apache else statistics.median(self.ours)
        return None if value is None else self.goal.met(value)


class Row(NamedTuple):
    """One line of the table."""

    key: str
    title: str
    unit: str
    rate: Cell
    cpu_unit: str = ""
    cpu: Cell | None = None
    latency: tuple[Cell, Cell, Cell] | None = None
    turn: Cell | None = None
    memory: Cell | None = None
    remark: str = ""


class Plan(NamedTuple):
    """What was asked for."""

    home: Path
    load: Path
    apache: bool
    quick: bool
    only: list[str]
    scale: float  # how large the loads are
    repeat: int
    deadline: float  # time.monotonic()
    left_out: list[str]

    @property
    def kinds(self) -> list[str]:
        return ["kafkalike", "apache"] if self.apache else ["kafkalike"]

    def wants(self, key: str) -> bool:
        """Whether it was asked for and there is time for it."""
        if self.only and key not in self.only:
            return False
        if self.late():
            if key not in self.left_out:
                self.left_out.append(key)
            return False
        return True

    def late(self) -> bool:
        return time.monotonic() > self.deadline

    @contextmanager
    def subjects(self, class_: type[Subject], part: str) -> Iterator[list[Any]]:
        """Starts both subjects; removes their files afterwards."""
        home = self.home / part
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, home, True)
            yield [stack.enter_context(class_(kind, home, self.load, self.apache)) for kind in self.kinds]


def say(text: str) -> None:
    """Progress, not part of the table."""
    print(text, file=sys.stderr, flush=True)


# Rows of loads


def row_of(load: Load, samples: dict[str, list[Sample]]) -> Row:
    """The row of one load's samples."""
    bulk = load.unit == "MB/s"

    def cell(value: Callable[[Sample], float], goal: Goal | None = None) -> Cell:
        return Cell([*map(value, samples["kafkalike"])], [*map(value, samples.get("apache", []))], goal)

    rate = cell(lambda s: s.bytes / s.seconds / 1e6 if bulk else s.messages / s.seconds, load.rate)
    cpu = cell(lambda s: s.cpu / (s.bytes / 1e9) if bulk else s.cpu / s.messages * 1e6, load.cpu)
    latency = None
    if all(s.latency_ms for of_kind in samples.values() for s in of_kind):
        p50, p99, p999 = (cell(lambda s, i=i: s.latency_ms[i], load.p99 if i == 1 else None) for i in range(3))
        latency = p50, p99, p999
    each = [s.cpu / s.requests * 1e6 for s in samples["kafkalike"] if s.requests]
    theirs = [s.cpu / s.requests * 1e6 for s in samples.get("apache", []) if s.requests]
    remark = ""
    if bulk and each:
        remark = " / ".join(f"{statistics.median(v):,.0f}" for v in (each, theirs) if v) + " us a request"
    if load.key == "idle-consumers":
        remark = " / ".join(
            f"{statistics.median(100 * s.cpu / s.seconds for s in of_kind):.1f} %" for of_kind in samples.values()
        )
        remark += " of a core"
    turn = None
    if all(s.turn_ms for of_kind in samples.values() for s in of_kind):
        turn = cell(lambda s: s.turn_ms or 0, TURN)
    memory = cell(lambda s: s.memory_mb)
    return Row(load.key, load.title, load.unit, rate, "s/GB" if bulk else "us", cpu, latency, turn, memory, remark)


def run_loads(plan: Plan, of_part: list[Load], class_: type[Subject], part: str) -> list[Row]:
    """Runs all loads on the same brokers, one after the other."""
    wanted = [load for load in of_part if plan.wants(load.key)]
    if not wanted:
        return []
    rows = []
    with plan.subjects(class_, part) as subjects:
        idle = {subject.kind: subject.memory_mb() for subject in subjects}
        for load in wanted:
            if not plan.wants(load.key):
                continue
            samples: dict[str, list[Sample]] = {subject.kind: [] for subject in subjects}
            began = time.monotonic()
            for number in range(plan.repeat):
                if number and plan.late():
                    break
                for subject in subjects[:: -1 if number % 2 else 1]:
                    loads.settle()
                    samples[subject.kind].append(load.run(subject, plan.scale))
            rows.append(row_of(load, samples))
            say(f"{time.monotonic() - began:5.0f} s  {line(rows[-1])}")
        last = {subject.kind: subject.memory_mb() for subject in subjects}
    if part == "one" and not plan.only:
        for title, key, found, bound in (
            ("resident memory, idle", "memory-idle", idle, 60),
            ("resident memory, after the loads", "memory-after", last, 90),
        ):
            cell = Cell([found["kafkalike"]], [found["apache"]] if plan.apache else [], Goal("<=", bound, False))
            rows.append(Row(key, title, "MB", cell))
    return rows


# The row of ten minutes

SOAK = "soak"
SOAK_S, SOAK_RATE, SOAK_SIZE = 600, 10_000, 200


def run_soak(plan: Plan) -> list[Row]:
    """A producer and a consumer for ten minutes on both brokers at once: does memory stay? Only in the full run."""
    if not ((plan.only or not plan.quick) and plan.wants(SOAK)):
        return []
    seconds = SOAK_S * min(1, plan.scale)
    growth: dict[str, float] = {}
    samples: dict[str, Sample] = {}
    with plan.subjects(One, SOAK) as subjects, ExitStack() as stack:
        load = (SOAK_SIZE, int(SOAK_RATE * seconds), SOAK_RATE, "acks=all", *loads.PACED)
        before = {subject.kind: subject.cpu() for subject in subjects}
        running = []
        for subject in subjects:
            words = subject.words("head", subject.bootstrap, subject.topic(), *load)
            process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            running.append(process)
        memory: dict[str, list[float]] = {subject.kind: [] for subject in subjects}
        while any(process.poll() is None for process in running):
            for subject in subjects:
                memory[subject.kind].append(subject.memory_mb())
            time.sleep(seconds / 200)
        for subject, process in zip(subjects, running, strict=True):
            if process.returncode:
                raise SystemExit("bench: the load of ten minutes failed")
            found, spent, values = json.loads(process.communicate()[0]), subject.cpu(), memory[subject.kind]
            samples[subject.kind] = subject.sample(found, spent - before[subject.kind])
            fifth = len(values) // 5
            growth[subject.kind] = statistics.median(values[-fifth:]) / statistics.median(values[fifth : 2 * fifth])
    row = row_of(Load(SOAK, "", loads.both), {kind: [sample] for kind, sample in samples.items()})
    title = f"{seconds / 60:.0f} minutes, {SOAK_RATE:,} messages/s: memory in the last fifth, by that in the second"
    kept = Cell([growth["kafkalike"]], [growth["apache"]] if plan.apache else [], Goal("<=", 1.05, False))
    return [row._replace(title=title, unit="of 1", rate=kept)]


# Rows of starts and stops

STARTS = ["start", "stop", "killed", "start-1gb", "start-20gb", "start-2000", "stored"]


def run_starts(plan: Plan) -> list[Row]:
    """Starts and stops, empty and full; each kind by itself, as the disk is shared."""
    wanted = {key for key in STARTS if plan.wants(key)}
    if plan.quick and not plan.only:
        wanted -= {"stored", "start-20gb"}
    if not wanted:
        return []
    found: dict[str, dict[str, list[float]]] = {}
    stored = max(2, stored_gb(plan.home) * min(1, plan.scale))
    for kind in plan.kinds:
        found[kind] = {}
        for of_part in (starts, starts_of_many):
            home = plan.home / f"starts-{kind}"
            try:
                with One(kind, home, plan.load, plan.apache) as subject:
                    of_part(plan, wanted, subject, stored, found[kind])
            finally:
                shutil.rmtree(home, True)
        say(f"{kind}: " + ", ".join(f"{key} {statistics.median(v):.2f}" for key, v in found[kind].items()))

    def cell(key: str, goal: Goal | None) -> Cell:
        return Cell(found["kafkalike"].get(key, []), found.get("apache", {}).get(key, []), goal)

    titles = {
        "start": ("start to first Metadata answer", Goal("<=", 0.6, False)),
        "stop": ("stop", None),
        "killed": ("kill -9 and restart at once, to first answer", Goal("<=", 2, False)),
        "start-1gb": ("start with 1 GB of log", less(1)),
        "stop-1gb": ("stop with 1 GB of log", less(1)),
        "start-2000": ("start with 2,000 partitions", less(1)),
        "stop-2000": ("stop with 2,000 partitions", less(1)),
        "start-20gb": (f"start with {min(20, stored):.0f} GB of log", less(1)),
        "stop-20gb": (f"stop with {min(20, stored):.0f} GB of log", less(1)),
    }
    rows = []
    for key, (title, goal) in titles.items():
        if found["kafkalike"].get(key):
            rows.append(Row(key, title, "s", cell(key, goal), "s", cell(f"{key}, CPU", None)))
    if found["kafkalike"].get("exits"):
        exits = " / ".join(f"{statistics.median(found[kind]['exits']):.0f}" for kind in plan.kinds)
        index = next(i for i, row in enumerate(rows) if row.key == "killed")
        rows[index] = rows[index]._replace(remark=f"ended {exits} times meanwhile")
    if found["kafkalike"].get("many"):
        few, many = cell("few", None), cell("many", None)
        kept = Cell(
            [statistics.median(many.ours) / statistics.median(few.ours)],
            [statistics.median(many.apache) / statistics.median(few.apache)] if many.apache else [],
            Goal(">=", 0.9, False),
        )
        rows.append(Row("stored-few", "produce 1,000 B, acks=all, 1 GB stored", "MB/s", few))
        rows.append(Row("stored", f"the same, {stored:.0f} GB stored", "MB/s", many))
        rows.append(Row("stored-kept", f"what is left of it with {stored:.0f} GB", "of 1", kept))
    return rows


def note(found: dict[str, list[float]], key: str, value: float) -> None:
    found.setdefault(key, []).append(value)


def restarts(subject: One, found: dict[str, list[float]], suffix: str, times: int) -> None:
    """Notes how long it takes to stop and to start, `times` times."""
    for _ in range(times):
        loads.settle()
        for key, phase in zip(("stop", "start"), subject.restart(), strict=True):
            note(found, f"{key}{suffix}", phase.seconds)
            note(found, f"{key}{suffix}, CPU", phase.cpu)


def starts(plan: Plan, wanted: set[str], subject: One, stored: float, found: dict[str, list[float]]) -> None:
    """Every value of one kind: empty, killed, with more and more stored."""

    def throughput(key: str) -> None:
        for _ in range(plan.repeat):
            sample = loads.produce_again(subject, 1)
            note(found, key, sample.bytes / sample.seconds / 1e6)

    if wanted & {"start", "stop"}:
        restarts(subject, found, "", 3)
    if "killed" in wanted:
        for _ in range(1 if plan.quick else 2):
            seconds, exits = subject.restart_after_kill()
            note(found, "killed", seconds)
            note(found, "exits", exits)
    if wanted & {"start-1gb", "stored"}:
        loads.fill(subject, 1)
        restarts(subject, found, "-1gb", plan.repeat)
    if "stored" in wanted:
        throughput("few")
    if wanted & {"start-20gb", "stored"}:
        loads.fill(subject, min(20, stored))
        restarts(subject, found, "-20gb", 1)
    if "stored" in wanted:
        loads.fill(subject, stored)
        throughput("many")


def starts_of_many(plan: Plan, wanted: set[str], subject: One, _: float, found: dict[str, list[float]]) -> None:
    """Measures starts with 2,000 partitions, each with a message."""
    if "start-2000" in wanted:
        loads.one_in_each(subject, 2000)
        restarts(subject, found, "-2000", plan.repeat)


def stored_gb(home: Path) -> float:
    """How much can be stored: 40 GB, or what the disk has room for."""
    return min(40, shutil.disk_usage(home).free // 10**9 - RESERVE)


# Rows of faults and of many partitions, which have programs of their own

FAULTS = {
    "leader-killed": ("leader killed (kill -9): longest gap in acknowledgements", Goal("<=", 1, False)),
    "leader-stopped": ("leader stopped (SIGTERM): longest gap in acknowledgements", Goal("<=", 0.1, False)),
}


def run_faults(plan: Plan) -> list[Row]:
    """Gaps when a leader dies; only in the full run."""
    wanted = [key for key in FAULTS if (plan.only or not plan.quick) and plan.wants(key)]
    if not wanted:
        return []
    from tests.benchmarks import gaps
    from tests.benchmarks.measured_clusters import Apache
    from tests.faults.cluster import Cluster

    found: dict[tuple[str, str], list[float]] = {}
    remarks: dict[str, str] = {}
    for kind in plan.kinds:
        zookeeper = DebianZooKeeper if plan.apache else EmbeddedZooKeeper
        home = plan.home / f"faults-{kind}"
        broker = {"kafkalike": Broker, "apache": Apache}[kind]
        with Cluster(home, broker, zookeeper, session_ms=18000, lag_ms=30000) as cluster:  # type: ignore[arg-type]
            for key in wanted:
                for number in range(plan.repeat):
                    gap, _, problem = gaps.measure(cluster, key, number)
                    found.setdefault((key, kind), []).append(gap)
                    if problem:
                        remarks[key] = f"{kind}: {problem}"
                say(f"{kind}: {key} {found[key, kind]}")
        shutil.rmtree(home, True)
    return [
        Row(
            key,
            FAULTS[key][0],
            "s",
            Cell(found[key, "kafkalike"], found.get((key, "apache"), []), FAULTS[key][1]),
            remark=remarks.get(key, ""),
        )
        for key in wanted
    ]


def run_partitions(plan: Plan) -> list[Row]:
    """1,000 partitions on three brokers; only in the full run."""
    if not ((plan.only or not plan.quick) and plan.wants("many-partitions")):
        return []
    if not (shutil.which("java") and DebianZooKeeper.JAR.exists()):
        say("1,000 partitions are not measured: needs apt install default-jre-headless zookeeper")
        return []
    from tests.benchmarks import partitions

    rows = []
    for found in partitions.rows(1000, 1, plan.apache):
        cell = Cell(found.ours, found.apache, less(found.goal))
        rows.append(Row("many-partitions", f"1,000 partitions, RF 3: {found.what}", found.unit, cell))
    return rows


# The table


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def median_and_spread(values: list[float], unit: str = "") -> str:
    if not values:
        return ""
    middle = number(statistics.median(values)) + (f" {unit}" if unit else "")
    return f"{middle} ({number(min(values))}-{number(max(values))})" if len(values) > 1 else middle


def verdict(cell: Cell) -> str:
    """`2.41x, goal >= 2x: met`."""
    parts = []
    if cell.ratio is not None:
        parts.append(f"{cell.ratio:.2f}x")
    if cell.goal is not None:
        word = {True: ": met", False: ": **short**", None: ""}[cell.met]
        parts.append(f"goal {cell.goal}{word}")
    return ", ".join(parts)


def latencies(cells: tuple[Cell, Cell, Cell] | None, apache: bool) -> str:
    values = [cell.apache if apache else cell.ours for cell in cells or ()]
    return " / ".join(number(statistics.median(v)) for v in values) if values and values[0] else ""


def both(cell: Cell, text: Callable[[float], str]) -> str:
    """The medians of ours and Apache's."""
    return " / ".join(text(statistics.median(values)) for values in (cell.ours, cell.apache) if values)


def columns(row: Row) -> list[str]:
    """The cells of one line."""
    cpu = row.cpu or Cell([], [], None)
    p99 = verdict(row.latency[1]) if row.latency and row.latency[1].goal else ""
    turn = row.turn or Cell([], [], None)
    memory = row.memory or Cell([], [], None)
    return [
        row.title,
        median_and_spread(row.rate.ours, row.unit),
        median_and_spread(row.rate.apache, row.unit),
        verdict(row.rate),
        median_and_spread(cpu.ours, row.cpu_unit if cpu.ours else ""),
        median_and_spread(cpu.apache, row.cpu_unit if cpu.apache else ""),
        verdict(cpu),
        latencies(row.latency, False),
        latencies(row.latency, True),
        p99,
        both(turn, number) + (" **short**" if turn.met is False else ""),
        both(memory, "{:.0f}".format),
        row.remark,
    ]


HEADINGS = [
    "load",
    "kafkalike",
    "Apache",
    "ratio, goal",
    "CPU: kafkalike",
    "CPU: Apache",
    "ratio, goal",
    "p50 / p99 / p99.9 ms: kafkalike",
    "Apache",
    "p99: ratio, goal",
    "turn: p99.9 ms",
    "memory MB",
    "remark",
]


def line(row: Row) -> str:
    return "| " + " | ".join(columns(row)) + " |"


def table(rows: list[Row]) -> str:
    """Markdown."""
    head = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    return "\n".join(head + [line(row) for row in rows])


SHORT = ["load", "kafkalike", "Apache Kafka", "ratio", "CPU: kafkalike / Apache", "p99 ms", "turn ms"]


def short_table(rows: list[Row]) -> str:
    """The medians, for people: what is short of its goal is bold."""

    def pair(cell: Cell | None, unit: str = "") -> str:
        text = both(cell, number) if cell else ""
        text += f" {unit}" if text and unit else ""
        return f"**{text}**" if cell and cell.met is False else text

    lines = ["| " + " | ".join(SHORT) + " |", "|" + " --- |" * len(SHORT)]
    for row in rows:
        ratio = "" if row.rate.ratio is None else number(row.rate.ratio)
        cells = [
            row.title,
            f"{number(statistics.median(row.rate.ours))} {row.unit}",
            number(statistics.median(row.rate.apache)) if row.rate.apache else "",
            f"**{ratio or 'short'}**" if row.rate.met is False else ratio,
            pair(row.cpu, row.cpu_unit),
            pair(row.latency[1] if row.latency else None),
            pair(row.turn),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shortfalls(rows: list[Row]) -> list[str]:
    """The rows that miss a goal."""
    cells = [(row, what, cell) for row in rows for what, cell in named_cells(row)]
    return [f"{row.title}: {what} {verdict(cell).replace('**', '')}" for row, what, cell in cells if cell.met is False]


def named_cells(row: Row) -> Iterator[tuple[str, Cell]]:
    yield row.unit, row.rate
    if row.cpu:
        yield "CPU", row.cpu
    if row.latency:
        yield "p99", row.latency[1]
    if row.turn:
        yield "turn", row.turn


def machine() -> str:
    """Describes the machine in words."""
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 2**20
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = next((text.partition(":")[2].strip() for text in file if text.startswith("model name")), "unknown")
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return (
        f"{time.strftime('%d %B %Y, %H:%M')}; {os.cpu_count()} cores ({model}), {memory:.0f} GB of memory; {system}, "
        f"Linux {platform.release()}, Python {platform.python_version()}"
    )


# Before the start


def build(home: Path) -> Path:
    """Compiles the load generator."""
    if not shutil.which("cc"):
        raise Missing("needs a C compiler: apt install gcc libc6-dev")
    load = home / "load"
    source = str(Path(__file__).with_name("load.c"))
    words = ["cc", "-O2", "-o", str(load), source, "-lrdkafka", "-lpthread"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        if "rdkafka" in done.stderr:
            raise Missing("needs librdkafka's headers: apt install librdkafka-dev")
        raise Missing(f"cannot compile the load generator: {done.stderr.strip()[:300]}")
    return load


def check(apache: bool, directory: Path) -> None:
    """Says what is missing before anything runs for an hour."""
    needed = 12 if apache else 8
    free = shutil.disk_usage(directory).free / 1e9
    if free < needed:
        raise Missing(f"needs {needed} GB of disk in {directory}, which has {free:.0f}: free some, or set TMPDIR")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < FILES:
        raise Missing(f"needs {FILES} open files, this shell allows {hard}: ulimit -Hn {FILES}, as root")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if not apache:
        return
    otherwise = ", or measure ours alone with --against none"
    if not shutil.which("java"):
        raise Missing(f"needs Java: apt install default-jre-headless{otherwise}")
    if not DebianZooKeeper.JAR.exists():
        raise Missing(f"needs Apache ZooKeeper: apt install zookeeper{otherwise}")
    home = Path(os.environ.get("KAFKALIKE_KAFKA_HOME") or Path.home() / ".cache/kafkalike/kafka-3.9.1")
    if not (home / "ok").exists():
        raise Missing(
            f"needs Apache Kafka's jars in {home}: bin/bench.sh fetches them with Maven (apt install maven){otherwise}"
        )


def warm(plan: Plan) -> None:
    """Touches memory once: the host of a virtual machine gives a page when it is first written, which takes time."""
    with open("/proc/meminfo", encoding="ascii") as file:
        available = next(int(text.split()[1]) * 1024 for text in file if text.startswith("MemAvailable"))
    size = int(available * (0.4 if plan.quick else 0.8))
    done = json.loads(command([str(plan.load), "touch", str(size)]))
    say(f"touched {size / 1e9:.0f} GB of memory in {done['seconds']:.0f} s")


def measure(plan: Plan) -> list[Row]:
    """Everything that was asked for."""
    if not plan.only:
        warm(plan)
    rows = run_loads(plan, ONE, One, "one")
    rows += run_loads(plan, THREE, Three, "three")
    rows += run_soak(plan)
    rows += run_starts(plan)
    rows += run_faults(plan)
    rows += run_partitions(plan)
    return rows


def save(rows: list[Row], file: Path) -> None:
    """Every value of every run."""
    found = []
    for row in rows:
        cells = {what: {"ours": c.ours, "apache": c.apache, "met": c.met} for what, c in named_cells(row)}
        found.append({"key": row.key, "title": row.title, "remark": row.remark, "cells": cells})
    file.write_text(json.dumps(found, indent=1))


def main() -> None:
    """Reads the options, measures, prints."""
    options = read()
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's background job begins with it ignored
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kafkalike-bench-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        try:
            check(options.against == "apache", home)
            load = build(home)
        except Missing as missing:
            raise SystemExit(f"bench: {missing}") from None
        try:
            scale = options.scale or (0.35 if options.quick else 1)
            times = options.times or (2 if options.quick else 3)
            deadline = began + 60 * (options.minutes or MINUTES[options.quick])
            apache = options.against == "apache"
            plan = Plan(home, load, apache, options.quick, options.only, scale, times, deadline, [])
            rows = measure(plan)
        except KeyboardInterrupt:
            # What was started is being ended: not to be interrupted again.
            raise SystemExit(130) from None
    if options.json:
        save(rows, options.json)
    kind = "quick" if options.quick else "partial" if options.only else "full"
    print(f"{machine()}; {kind} run of {(time.monotonic() - began) / 60:.0f} minutes.\n")
    print(short_table(rows) if options.short else table(rows))
    if plan.left_out:
        print(f"\nLeft out for want of time: {', '.join(plan.left_out)}.")
    if short := shortfalls(rows):
        print("\nShort of their goals:\n" + "\n".join(f"- {text}" for text in short))


if __name__ == "__main__":
    main()
