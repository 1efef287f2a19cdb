"""The server under test: ours, and for what is marked real_zookeeper Debian's Apache ZooKeeper as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from kazoo.client import KazooClient

from tests.servers import DebianZooKeeper, EmbeddedZooKeeper, ZooKeeper
from tests.unique_names import own_name

# Short, so that sessions expire quickly.
SETTINGS = {"tickTime": 200, "minSessionTimeout": 400, "maxSessionTimeout": 60000, "maxClientCnxns": 0}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("real_zookeeper")
        metafunc.parametrize("server", ["embedded", "apache"] if both else ["embedded"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A running server for all tests of a file."""
    kind = EmbeddedZooKeeper if request.param == "embedded" else DebianZooKeeper
    with kind(tmp_path_factory.mktemp(request.param), **SETTINGS) as running:
        yield running
    assert "Traceback" not in running.output(), running.output()[-3000:]


@pytest.fixture
def connect(server: ZooKeeper) -> Iterator[Callable[..., KazooClient]]:
    """Makes clients, which are closed with the test."""
    with ExitStack() as stack:

        def start(**options: object) -> KazooClient:
            client = KazooClient(server.connect, **options)
            client.start(10)
            stack.callback(_close, client)
            return client

        yield start


def _close(client: KazooClient) -> None:
    client.stop()
    client.close()


@pytest.fixture(scope="module")
def shared(server: ZooKeeper) -> Iterator[KazooClient]:
    """One client for all tests that need no more than that."""
    client = KazooClient(server.connect)
    client.start(10)
    yield client
    _close(client)


@pytest.fixture
def zk(shared: KazooClient) -> KazooClient:
    """A client without identities."""
    return shared


@pytest.fixture
def path(shared: KazooClient, request: pytest.FixtureRequest) -> str:
    """An empty znode of this test's own."""
    return str(shared.create(f"/{own_name(request)}", b""))
