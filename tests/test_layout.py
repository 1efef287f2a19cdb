"""The shape of the tree, as assertions: which way imports point, what is free of I/O, which test belongs to which file.

7                            cli
6  broker                                              web
5  coordinator, controller                             streams, connect
4  replication                                         client
3  storage, cluster (-> zk)  net
2                            protocol, security
1                            errors, clock, config, metrics
"""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ROWS = {
    "cli": 7,
    "broker": 6,
    "web": 6,
    "coordinator": 5,
    "controller": 5,
    "streams": 5,
    "connect": 5,
    "replication": 4,
    "client": 4,
    "storage": 3,
    "cluster": 3,
    "net": 3,
    "protocol": 2,
    "security": 2,
    "errors": 1,
    "clock": 1,
    "config": 1,
    "metrics": 1,
}
LEFT = {"broker", "coordinator", "controller", "replication", "storage", "cluster"}
RIGHT = {"web", "streams", "connect", "client"}

# These decide: plain values in, plain values out. They are what simulation can run and what mypy checks strictly.
PURE = [
    "kafkalike.errors",
    "kafkalike.config.*",
    "kafkalike.metrics",
    "kafkalike.protocol.*",
    "kafkalike.storage.producer_state",
    "kafkalike.storage.leader_epochs",
    "kafkalike.storage.checkpoints",
    "kafkalike.storage.config",
    "kafkalike.storage.open_files",
    "kafkalike.cluster.znodes.*",
    "kafkalike.cluster.metadata",
    "kafkalike.cluster.topic_names",
    "kafkalike.cluster.znode_sizes",
    "kafkalike.replication.partition",
    "kafkalike.replication.purgatory",
    "kafkalike.replication.refused_batches",
    "kafkalike.replication.fetch_plan",
    "kafkalike.replication.replication_quota",
    "kafkalike.replication.topic_configs",
    "kafkalike.net.file_descriptors",
    "kafkalike.controller.admin_znodes",
    "kafkalike.controller.assignment",
    "kafkalike.controller.broker_changes",
    "kafkalike.controller.context",
    "kafkalike.controller.control_requests",
    "kafkalike.controller.control_responses",
    "kafkalike.controller.effects",
    "kafkalike.controller.election_strategies",
    "kafkalike.controller.failover",
    "kafkalike.controller.isr",
    "kafkalike.controller.leader_election",
    "kafkalike.controller.notifications",
    "kafkalike.controller.partition_state_machine",
    "kafkalike.controller.partition_znodes",
    "kafkalike.controller.reassignment",
    "kafkalike.controller.replica_state_machine",
    "kafkalike.controller.topic_creation",
    "kafkalike.controller.topic_deletion",
    "kafkalike.controller.unclean_recovery",
    "kafkalike.controller.unclean_shutdown",
    "kafkalike.coordinator.group_effects",
    "kafkalike.coordinator.group_members",
    "kafkalike.coordinator.group",
    "kafkalike.coordinator.group_records",
    "kafkalike.client.cluster",
    "kafkalike.client.errors",
    "kafkalike.client.effects",
    "kafkalike.client.connection",
    "kafkalike.client.engine",
    "kafkalike.client.routing",
    "kafkalike.client.admin.*",
    "kafkalike.client.consumer_protocol",
    "kafkalike.client.producer",
    "kafkalike.client.properties",
    "kafkalike.client.consumer",
    "kafkalike.client.fetcher",
    "kafkalike.client.accumulator",
    "kafkalike.client.assigned_partitions",
    "kafkalike.client.membership",
    "kafkalike.client.assignors",
    "kafkalike.client.partitioners",
    "kafkalike.client.fetched_records",
    "kafkalike.cli.planning.iso8601",
    "kafkalike.cli.planning.partition_json",
    "kafkalike.cli.planning.reassignment",
    "kafkalike.cli.planning.replica_comparison",
    "zk.ensemble",
    "zk.paths",
    "zk.wire",
    "zk.server.config",
    "zk.server.journal_entries",
    "zk.server.tree",
    "zk.server.sessions",
    "zk.server.watches",
    "zk.server.standalone",
    "zk.server.four_letter_words",
]
# fmt: off
IMPURE = {
    "asyncio", "kazoo", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "selectors", "shutil",
    "signal", "socket", "subprocess", "tempfile", "threading", "time", "twisted", "uuid",
}
# fmt: on


def modules() -> dict[str, Path]:
    """Every source file by its module's name."""
    files = sorted([*ROOT.glob("kafkalike/**/*.py"), *ROOT.glob("zk/**/*.py")])
    names = {f: ".".join(f.relative_to(ROOT).with_suffix("").parts) for f in files}
    return {name.removesuffix(".__init__"): f for f, name in names.items()}


MODULES = modules()


@cache
def imported(name: str) -> frozenset[str]:
    """What a module imports, each as the longest module name that it is known by."""
    return frozenset(_imported(name))


def _imported(name: str) -> Iterator[str]:
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in MODULES else base


def is_pure(name: str) -> bool:
    return any(fnmatch(name, pattern) or name == pattern.removesuffix(".*") for pattern in PURE)


def part(name: str) -> str:
    """kafkalike.storage.log -> storage."""
    return name.split(".")[1] if "." in name else ""


def complaint(importer: str, target: str) -> str | None:
    """Why this import goes the wrong way."""
    if importer.startswith("zk"):
        return "zk knows nothing of Kafka" if target.startswith("kafkalike") else None
    here, there = part(importer), part(target)
    if target == "zk.address_check":
        return None  # It tells a broker's address from ZooKeeper's, for who speaks to either.
    if target.split(".")[0] == "zk":
        return None if here in LEFT | {"cli"} else "only what is on the side of the brokers knows ZooKeeper"
    if not target.startswith("kafkalike") or here == there or not there:
        return None
    if here == "net" and target.startswith("kafkalike.protocol.messages"):
        return "net/ knows nothing of single APIs"
    if ROWS[there] >= ROWS[here]:
        return "not from a lower row"
    if (here in LEFT and there in RIGHT) or (here in RIGHT and there in LEFT):
        return "across the columns"
    return None


def test_imports_point_downward() -> None:
    unknown = {part(name) for name in MODULES if name.startswith("kafkalike.")} - set(ROWS)
    assert set() == unknown, "say in which row they are"
    wrong = [
        f"{name} imports {target}: {why}"
        for name in MODULES
        for target in sorted(imported(name))
        if (why := complaint(name, target))
    ]
    assert [] == wrong


def circles() -> list[set[str]]:
    """Groups of modules each of which imports every other one, if only by way of the others. An import counts that
    only the type checker follows, or one that is made in a function: who reads the file follows it too."""
    imports = {name: {t for t in imported(name) if t in MODULES and t != name} for name in MODULES}
    reached: dict[str, set[str]] = {}
    for name in MODULES:
        found: set[str] = set()
        pending = [name]
        while pending:
            new = imports[pending.pop()] - found
            found |= new
            pending += new
        reached[name] = found
    groups = {frozenset(t for t in reached[name] if name in reached[t]) for name in MODULES if name in reached[name]}
    return sorted((set(group) for group in groups), key=sorted)


def test_no_file_imports_itself_by_way_of_others() -> None:
    assert [] == circles()


def test_kazoo_is_in_one_file() -> None:
    """Nor does anybody get from zk.client what is kazoo's: only the names that it declares."""
    users = [name for name, file in MODULES.items() if re.search(r"\bkazoo\b", code_of(file))]
    assert ["zk.client"] == users
    declared = set(ast.literal_eval(assigned(MODULES["zk.client"], "__all__")))
    assert set() == {
        f"{name} imports zk.client.{alias.name}"
        for name, file in MODULES.items()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "zk.client"
        for alias in node.names
        if alias.name not in declared
    }


def assigned(file: Path, name: str) -> ast.expr:
    """What a module assigns to a name at its top level."""
    assignments = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.Assign)]
    return next(a.value for a in assignments if ast.unparse(a.targets[0]) == name)


def code_of(file: Path) -> str:
    """A file without comments and docstrings."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@pytest.mark.parametrize("name", [name for name in MODULES if is_pure(name)])
def test_what_decides_does_no_io(name: str) -> None:
    for target in imported(name):
        assert target.split(".")[0] not in IMPURE, f"{name} imports {target}"
        if target.split(".")[0] in ("kafkalike", "zk") and "." in target:
            # A clock is handed down: its type may be named.
            assert is_pure(target) or target == "kafkalike.clock", f"{name} imports {target}, which does I/O"
    calls = [n.func for n in ast.walk(ast.parse(MODULES[name].read_text())) if isinstance(n, ast.Call)]
    assert not any(isinstance(f, ast.Name) and f.id in ("open", "print", "input") for f in calls)


def test_what_decides_is_type_checked_strictly() -> None:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    assert PURE == next(t["module"] for t in tables if t.get("disallow_untyped_defs"))


# Declarations without behaviour of their own; a test that goes over all of them is named instead.
TESTED_TOGETHER = {
    "kafkalike/protocol/messages/*.py": "tests/protocol/test_messages.py",
    "kafkalike/broker/apis/*.py": "tests/clients",
    "kafkalike/cli/*.py": "tests/cli",
    "kafkalike/config/*.py": "tests/config",
    "kafkalike/cluster/znodes/*.py": "tests/cluster/test_znodes.py",
    "kafkalike/coordinator/group_effects.py": "tests/coordinator/test_group.py",
    "kafkalike/replication/cluster_view.py": "tests/replication",
    "kafkalike/coordinator/offsets/offset_commit.py": "tests/coordinator/offsets/test_znode_commits.py",
}


def test_each_source_file_has_its_test_file() -> None:
    missing = []
    for file in MODULES.values():
        source = file.relative_to(ROOT)
        together = next((t for pattern, t in TESTED_TOGETHER.items() if fnmatch(str(source), pattern)), None)
        parts = source.parts[1:] if source.parts[0] == "kafkalike" else source.parts
        test = Path(together) if together else Path("tests", *parts[:-1], f"test_{source.name}")
        if source.name not in ("__init__.py", "__main__.py") and not (ROOT / test).exists():
            missing.append(f"{source}: {test}")
    assert [] == missing


def test_each_command_is_a_file_a_script_and_an_entry_point() -> None:
    """bin/kafka-x-y.sh runs kafkalike/cli/x_y.py, and so does the command kafka-x-y that pip installs."""
    files = {f"kafkalike.cli.{p.stem}" for p in ROOT.glob("kafkalike/cli/*.py")}
    files -= {"kafkalike.cli.__init__", "kafkalike.cli.options"}
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options.entry_points"]["console_scripts"].split("\n")
    entry_points = dict(line.removesuffix(":main").split(" = ") for line in lines if line)
    assert files == {module for name, module in entry_points.items() if name.startswith("kafka-")}
    runs = re.compile(r'/kafka-run-class\.sh" ([\w.]+) "\$@"$', re.MULTILINE)
    scripts = {p.stem: found[1] for p in ROOT.glob("bin/*.sh") if (found := runs.search(p.read_text()))}
    scripts["kafkalike-walkthrough"] = scripts.pop("walkthrough") + ".__main__"
    assert entry_points == scripts


def test_each_class_of_apaches_commands_is_named_by_one_script() -> None:
    """bin/kafka-run-class.sh finds the command by it."""
    classes = [c for p in ROOT.glob("bin/*.sh") for c in re.findall(r"^# Apache's class: (\S+)$", p.read_text(), re.M)]
    assert sorted(set(classes)) == sorted(classes)
    assert {"kafka.Kafka", "kafka.admin.ConfigCommand", "org.apache.kafka.tools.TopicCommand"} <= set(classes)


# Their files are the registry of APIs: adding one edits no other file.
REGISTRIES = {"kafkalike/protocol/messages", "kafkalike/broker/apis"}


PACKAGES = sorted(str(file.parent.relative_to(ROOT)) for file in MODULES.values() if file.name == "__init__.py")


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_has_a_line_for_each_of_its_files(package: str) -> None:
    """kafkalike/__init__.py is the map of the packages, each package's docstring that of its files."""
    if package in REGISTRIES:
        return
    folder = ROOT / package
    files = {file.name for file in folder.glob("*.py")} - {"__init__.py", "__main__.py"}
    packages = {f"{file.parent.name}/" for file in folder.glob("*/__init__.py")}
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    lines = re.findall(r"^ *([\w.]+(?:\.py|/)) +\S", docstring, re.MULTILINE)
    assert sorted(files | packages) == sorted(set(lines) - {"__main__.py"})


# These measure how long requests take, for the metrics; nothing is decided by it.
MEASURING = {"kafkalike.broker.request", "kafkalike.broker.request_metrics", "kafkalike.broker.produce_fast_path"}


def test_time_and_random_numbers_are_handed_to_whoever_needs_them() -> None:
    """By a Clock and a random.Random, so that the simulation decides what they are."""
    wrong = []
    for name, file in MODULES.items():
        if part(name) not in ("replication", "coordinator", "controller", "cluster", "broker"):
            continue
        if "time" in imported(name) and name not in MEASURING:
            wrong.append(f"{name} imports time")
        attributes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)]
        used = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "random"}
        wrong += [f"{name} calls random.{each}" for each in sorted(used - {"Random", "SystemRandom"})]
    assert [] == wrong
