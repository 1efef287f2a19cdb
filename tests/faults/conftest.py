"""`start` makes a cluster with clients at work on it; everything it made goes with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cluster import Cluster
from tests.faults.history import OK
from tests.faults.ledger import Run, append
from tests.faults.network import Network, require_namespaces
from tests.faults.scenario import Scenario
from tests.servers import ApacheBroker, Broker, DebianZooKeeper, EmbeddedZooKeeper, ZooKeeper

HERE = Path(__file__).parent
FILES = pytest.StashKey[str]()  # what runs whole; empty: nothing


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests that take long, unless --faults is given."""
    asked = config.getoption("--faults")
    if not asked:
        left_out = [item for item in items if item.get_closest_marker("faults")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
    here = [item for item in items if item.path.parent == HERE]
    for item in here:
        # Machines with other work to do: what takes 40 s may take two minutes.
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))
    chosen = config.option.keyword or config.option.markexpr or any("::" in arg for arg in config.args)
    if asked and not chosen and here:
        files = {i.path for i in here}
        all_files = files >= set(HERE.glob("test_*.py"))
        config.stash[FILES] = "all" if all_files else ", ".join(sorted(f.stem.removeprefix("test_") for f in files))


class Recorder:
    """Adds up what a run of whole files did, for the ledger."""

    def __init__(self, config: pytest.Config) -> None:
        self.run = Run(config.getoption("--on"), zookeeper_of(config))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if HERE.name not in Path(report.nodeid.split("::")[0]).parts:
            return
        name = report.nodeid.partition("::")[2]
        if report.failed:
            self.run.failed.append(name)
        elif report.skipped and hasattr(report, "wasxfail"):
            self.run.known += 1
        elif report.skipped:
            self.run.skipped += 1
        elif report.when == "call":
            self.run.passed += 1
        if report.when == "teardown":
            for what, figure in report.user_properties:
                if what in ("sends", "acknowledged", "seconds"):
                    setattr(self.run, what, getattr(self.run, what) + figure)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        files = session.config.stash.get(FILES, "")
        if ended and files and not session.config.option.collectonly:
            self.run.files = files
            append(self.run)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(config))


def zookeeper_of(config: pytest.Config) -> str:
    """Apache's brokers run on Apache's ZooKeeper, as they would."""
    return "debian" if config.getoption("--on") == "apache" else str(config.getoption("--zookeeper"))


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> tuple[type[Broker], type[ZooKeeper]]:
    """Whose brokers and whose ZooKeeper this run is about."""
    kinds: dict[str, type[ZooKeeper]] = {"embedded": EmbeddedZooKeeper, "debian": DebianZooKeeper}
    broker = ApacheBroker if request.config.getoption("--on") == "apache" else Broker
    return broker, kinds[zookeeper_of(request.config)]


@pytest.fixture
def start(
    request: pytest.FixtureRequest, servers: tuple[type[Broker], type[ZooKeeper]], tmp_path: Path
) -> Iterator[Callable[..., Scenario]]:
    """start(network=False, topic={...}, **settings of the cluster) -> Scenario"""
    broker, zookeeper = servers
    made: list[Scenario] = []
    with ExitStack() as stack:

        def begin(network: bool = False, topic: dict[str, Any] | None = None, **settings: Any) -> Scenario:
            if network:
                require_namespaces()
                settings["network"] = stack.enter_context(Network())
            cluster = stack.enter_context(Cluster(tmp_path, broker, zookeeper, **settings))
            made.append(Scenario(cluster, tmp_path, **(topic or {})))
            return made[-1]

        yield begin
        for scenario in made:
            evidence = scenario.history.evidence()
            request.node.user_properties += [
                ("sends", len(evidence.sends)),
                ("acknowledged", sum(s.outcome == OK for s in evidence.sends)),
                ("seconds", sum(f.end - f.begin for f in evidence.faults if f.end < float("inf"))),
            ]
