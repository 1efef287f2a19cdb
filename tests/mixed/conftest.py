"""One cluster for the tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mixed.cluster import Mixed, assert_no_traceback


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without --mixed those that take long are left out."""
    if not config.getoption("--mixed"):
        left_out = [item for item in items if item.get_closest_marker("mixed")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    """Brokers 1 and 2 are Apache's, 3 is ours. Apache's were first, so that one of them is the controller."""
    cluster = Mixed(tmp_path_factory.mktemp("mixed"))
    try:
        cluster.zookeeper.start()
        cluster.add(1, "apache"), cluster.add(2, "apache")
        cluster.start(1, 2)
        cluster.add(3, "kafkalike")
        cluster.start(3)
        yield cluster
        assert_no_traceback(cluster.brokers)
    finally:
        cluster.close()


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[Callable[..., Mixed]]:
    """Makes a cluster of this test's own; its ZooKeeper runs."""
    made: list[Mixed] = []

    def make(**settings: object) -> Mixed:
        made.append(Mixed(tmp_path, **settings))
        made[0].zookeeper.start()
        return made[0]

    yield make
    for cluster in made:
        cluster.close()
        assert_no_traceback(cluster.brokers)
