"""`start` makes a cluster with clients at work on it; everything it made goes with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cluster import Cluster
from tests.faults.network import Network, require_namespaces
from tests.faults.scenario import Scenario
from tests.servers import ApacheBroker, Broker, DebianZooKeeper, EmbeddedZooKeeper, ZooKeeper

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --faults those that take long are left out."""
    if not config.getoption("--faults"):
        left_out = [item for item in items if item.get_closest_marker("faults")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
    for item in items:
        # Machines with other work to do: what takes 40 s may take two minutes.
        if item.get_closest_marker("timeout") is None and item.path.parent == HERE:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Scenario]]:
    """start(network=False, topic={...}, **settings of the cluster) -> Scenario"""
    apache = request.config.getoption("--on") == "apache"
    broker: type[Broker] = ApacheBroker if apache else Broker
    zookeeper: type[ZooKeeper] = DebianZooKeeper if apache else EmbeddedZooKeeper
    with ExitStack() as stack:

        def begin(network: bool = False, topic: dict[str, Any] | None = None, **settings: Any) -> Scenario:
            if network:
                require_namespaces()
                settings["network"] = stack.enter_context(Network())
            cluster = stack.enter_context(Cluster(tmp_path, broker, zookeeper, **settings))
            return Scenario(cluster, tmp_path, **(topic or {}))

        yield begin
