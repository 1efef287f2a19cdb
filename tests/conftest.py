"""`pytest` tests ours; `pytest --on apache tests/clients` runs the same client tests against Apache Kafka."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import examples, servers
from tests.names import identity, own_name
from tests.servers import ApacheBroker, Broker, DebianZooKeeper, EmbeddedZooKeeper, Kafka, Server, ZooKeeper

pytest_plugins = ["tests.zoo"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--on", choices=["kafkalike", "apache"], default="kafkalike", help="whose broker the clients use")
    parser.addoption("--mixed", action="store_true", help="also the tests with Apache's brokers that take long")
    parser.addoption("--faults", action="store_true", help="also the fault tests that take long; LEDGER.md gets a line")
    parser.addoption("--mutants", action="store_true", help="all mutants of the simulation: about an hour")
    parser.addoption(
        "--zookeeper", choices=["embedded", "debian"], default="embedded", help="whose ZooKeeper the fault tests use"
    )
    parser.addoption(
        "--hunt",
        nargs="?",
        type=int,
        const=20,
        default=0,
        metavar="TIMES",
        help="only what hypothesis checks, with so many times (20) the examples, and fresh ones; HUNTS.md gets a line",
    )

    parser.addoption("--fast", action="store_true", help="only what is quick and starts no program that is not ours")


def pytest_configure(config: pytest.Config) -> None:
    servers.only_ours = config.getoption("--fast")
    times = config.getoption("--hunt")
    examples.begin(max(times, 1))
    if times and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Hunt(times))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what was not asked for, and says which tests one worker runs together."""

    def left_out(item: pytest.Item) -> bool:
        if config.getoption("--hunt"):
            return item.get_closest_marker("hypothesis") is None
        return config.getoption("--fast") and (_folder(item) in SLOW or _is_slow(item))

    others = [item for item in items if left_out(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    # Those that start first take longest, so that no worker is left alone with them at the end.
    items.sort(key=lambda item: _folder(item) not in CLUSTERS)
    for item in items:
        together = "clusters" if _folder(item) in CLUSTERS else item.location[0]
        item.add_marker(pytest.mark.xdist_group(together))
        if config.getoption("--hunt"):
            item.add_marker(pytest.mark.timeout(7200))


# Folders whose tests start whole clusters: one after the other, for a fault is timed by what the cluster does then.
CLUSTERS = {"faults", "mixed", "docker"}
# Folders that --fast leaves out, besides what is marked slow.
SLOW = CLUSTERS | {"benchmarks", "clients", "simulation", "walkthrough"}


def _folder(item: pytest.Item) -> str:
    return Path(item.location[0]).parts[1]


def _is_slow(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    foreign = callspec is not None and bool(
        {"apache", "debian"} & {p for p in callspec.params.values() if isinstance(p, str)}
    )
    return foreign or item.get_closest_marker("slow") is not None


class Hunt:
    """Adds up what a hunt did, for HUNTS.md."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.properties = 0
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.properties += report.when == "call"
        if report.failed:
            self.failed.append(report.nodeid.rpartition("/")[2])

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            with examples.LEDGER.open("a") as ledger:
                ledger.write(examples.line(self.times, self.properties, self.failed, datetime.now(UTC)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kafka" in metafunc.fixturenames:
        if metafunc.config.getoption("--on") == "apache":
            kinds = ["apache"]
        elif metafunc.definition.get_closest_marker("real_zookeeper"):
            kinds = ["embedded", "debian"]
        else:
            kinds = ["embedded"]
        metafunc.parametrize("kafka", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker and its ZooKeeper for all client tests."""
    home = tmp_path_factory.mktemp(request.param)
    zookeeper: ZooKeeper = (EmbeddedZooKeeper if request.param == "embedded" else DebianZooKeeper)(home / "zookeeper")
    with (
        zookeeper,
        (ApacheBroker if request.param == "apache" else Broker)(home / "broker", zookeeper.connect) as broker,
    ):
        yield Kafka(broker, zookeeper)
    for server in (broker, zookeeper):
        at = server.output().find("Traceback")
        assert at < 0, f"{server.log}: {server.output()[max(at - 300, 0) : at + 3000]}"


@pytest.fixture
def started() -> Iterator[Callable[[Server], Server]]:
    """Starts a server that this test owns; it is stopped with the test."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture(autouse=True)
def the_same_chance(request: pytest.FixtureRequest) -> None:
    """What a test leaves to chance comes out the same each time."""
    random.seed(identity(request))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses, for topics and groups."""
    return own_name(request)


@pytest.fixture
def topic(kafka: Kafka, name: str) -> str:
    """A topic of two partitions."""
    return kafka.create_topic(name, 2)
