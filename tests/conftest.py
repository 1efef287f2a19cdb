"""`pytest` tests ours; `pytest --on apache tests/clients` runs the same client tests against Apache Kafka."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

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


@pytest.fixture
def name() -> str:
    """A name that no other test uses, for topics and groups."""
    return f"t-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def topic(kafka: Kafka, name: str) -> str:
    """A topic of two partitions."""
    return kafka.create_topic(name, 2)
