"""`pytest` tests ours; `pytest --on apache tests/clients` runs the same client tests against Apache Kafka."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test
from xdist.scheduler import LoadScopeScheduling

from tests import hypothesis_examples, servers
from tests.servers import ApacheBroker, Broker, DebianZooKeeper, EmbeddedZooKeeper, Kafka, Server, ZooKeeper
from tests.unique_names import identity, own_name

pytest_plugins = ["tests.zookeeper"]


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
    # A shell starts what runs behind it with SIGINT ignored, and all that the tests start would ignore it too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    servers.only_ours = config.getoption("--fast")
    times = config.getoption("--hunt")
    hypothesis_examples.begin(max(times, 1))
    if times and not config.option.collectonly and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Hunt(times))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what was not asked for, and puts the longest first."""

    def left_out(item: pytest.Item) -> bool:
        if config.getoption("--hunt"):
            # Hypothesis marks its tests only after this.
            return not is_hypothesis_test(getattr(item, "obj", None)) and item.get_closest_marker("hypothesis") is None
        return config.getoption("--fast") and (_folder(item.location[0]) in SLOW or _is_slow(item))

    others = [item for item in items if left_out(item)]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    # What takes longest begins first, so that no worker is left alone with it at the end.
    items.sort(key=lambda item: LONGEST.get(_folder(item.location[0]), len(LONGEST)))
    if config.getoption("--hunt"):
        for item in items:
            item.add_marker(pytest.mark.timeout(7200))


class TogetherScheduling(LoadScopeScheduling):
    """Each worker takes whole files, for their tests share what they start; and one worker all that starts clusters."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "clusters" if _folder(file) in CLUSTERS else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TogetherScheduling:
    return TogetherScheduling(config, log)


# Folders whose tests start whole clusters: one after the other, for a fault is timed by what the cluster does then.
CLUSTERS = {"faults", "mixed", "docker"}
# Folders that take longest, and in which order they begin.
LONGEST = {"simulation": 0} | dict.fromkeys(CLUSTERS, 1)
# Folders that --fast leaves out, besides what is marked slow.
SLOW = CLUSTERS | {"benchmarks", "bin", "clients", "simulation", "walkthrough"}


def _folder(file: str) -> str:
    """tests/faults/test_kill.py: faults."""
    return Path(file).parts[1]


def _is_slow(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    of_others = callspec is not None and any(value in ("apache", "debian") for value in callspec.params.values())
    return of_others or item.get_closest_marker("slow") is not None


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
            with hypothesis_examples.LEDGER.open("a") as ledger:
                ledger.write(hypothesis_examples.line(self.times, self.properties, self.failed, datetime.now(UTC)))


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
    """A broker and its ZooKeeper for all client tests."""
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
