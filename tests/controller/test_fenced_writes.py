"""Operations that travel in one multi, and those that are sent alone."""

from __future__ import annotations

from typing import Any

from kafkalike.controller.effects import FAILED, CreateNode, Write
from tests.controller.cluster import Cluster
from tests.reactor import on_reactor
from tests.zookeeper import Clients


@on_reactor
async def test_large_writes_share_a_multi_only_as_far_as_zookeeper_takes_it(clients: Clients) -> None:
    one = await Cluster(clients).add(1)
    multis: list[int] = []
    verb = one.zk.multi
    one.zk.multi = lambda operations: (multis.append(len(operations)), verb(operations))[1]  # type: ignore[method-assign]

    def write(sizes: list[int]) -> Any:
        results = yield Write([CreateNode(f"/brokers/topics/t{at}", bytes(size)) for at, size in enumerate(sizes)])
        return [written.error for written in results]

    sizes = [100_000] * 5 + [900_000] + [10] * 40
    assert [None] * 46 == await one.controller.submit(lambda context: write(sizes))
    assert [3, 3, 2, 2, 33, 9] == multis
    assert [None, FAILED] == await one.controller.submit(lambda context: write2())
    assert one.controller.active


def write2() -> Any:
    results = yield Write([CreateNode("/brokers/topics/u"), CreateNode("/brokers/topics/v", bytes(1 << 20))])
    return [written.error for written in results]
