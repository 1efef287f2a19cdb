"""ZooKeeper for tests of what uses it: one server for the whole run, a chroot for each test, clients on the reactor.

A test marked real_zookeeper runs a second time on Debian's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import reactor

from tests.reactor import run
from tests.servers import DebianZooKeeper, EmbeddedZooKeeper, ZooKeeper
from tests.unique_names import own_name
from zk.client import ZkClient

# Short, so that sessions expire quickly.
SETTINGS = {"tickTime": 200, "minSessionTimeout": 400, "maxSessionTimeout": 60000, "maxClientCnxns": 0}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "zookeeper" in metafunc.fixturenames:
        real = metafunc.definition.get_closest_marker("real_zookeeper")
        metafunc.parametrize(
            "zookeeper", ["embedded", "apache"] if real else ["embedded"], indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def zookeeper(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A running server."""
    kind = EmbeddedZooKeeper if request.param == "embedded" else DebianZooKeeper
    with kind(tmp_path_factory.mktemp(request.param), **SETTINGS) as server:
        yield server


class Clients:
    """Makes clients of a chroot that no other test has."""

    def __init__(self, connect_string: str) -> None:
        self.connect_string = connect_string
        self._open: list[ZkClient] = []

    async def open(self, timeout_ms: int = 10000, **options: Any) -> ZkClient:
        """A client that is connected, and closed with the test."""
        client = ZkClient(self.connect_string, timeout_ms, reactor, **options)
        self._open.append(client)
        await client.start(10000)
        return client

    async def expire(self, client: ZkClient) -> None:
        """Ends a client's session behind its back."""
        assert client.session is not None
        other = ZkClient(self.connect_string, 10000, reactor, session=client.session)
        await other.start(10000)
        await other.stop()

    async def close(self) -> None:
        """Stops all of them."""
        for client in self._open:
            await client.stop()


@pytest.fixture
def clients(zookeeper: ZooKeeper, request: pytest.FixtureRequest) -> Iterator[Clients]:
    """Clients of this test."""
    made = Clients(f"{zookeeper.connect}/{own_name(request)}")
    yield made
    run(made.close)
