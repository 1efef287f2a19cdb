"""The verbs for znodes, on each kind of key."""

from __future__ import annotations

import pytest

from kafkalike.cluster import zookeeper
from kafkalike.cluster.znodes.cluster import ClusterId
from kafkalike.cluster.znodes.configs import ConfigChange, EntityConfig
from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.cluster.znodes.topics import Assignment, TopicNode
from tests.reactor import on_reactor, until
from tests.zookeeper import Clients
from zk.client import BadVersion, NoNode

T = TopicNode({0: Assignment((1, 2))}, bytes(range(16)))


@on_reactor
async def test_a_znode_is_named_by_its_class_and_key(clients: Clients) -> None:
    zk = await clients.open()
    assert await zookeeper.read(zk, TopicNode, "t") is None
    with pytest.raises(NoNode):
        await zookeeper.get(zk, TopicNode, "t")
    assert await zookeeper.create(zk, TopicNode, T, "t") and not await zookeeper.create(zk, TopicNode, T, "t")
    assert T == await zookeeper.read(zk, TopicNode, "t")
    assert 1 == (await zookeeper.write(zk, TopicNode, T, "t", version=0)).version
    with pytest.raises(BadVersion):
        await zookeeper.write(zk, TopicNode, T, "t", version=0)
    found, stat = await zookeeper.get(zk, TopicNode, "t")
    assert (T, 1) == (found, stat.version)
    assert ["t"] == await zookeeper.children(zk, TopicNode)
    await zookeeper.create(zk, EntityConfig, {"a": "b"}, "topics", "t")
    assert {"a": "b"} == await zookeeper.read(zk, EntityConfig, "topics", "t")
    assert ["t"] == await zookeeper.children(zk, EntityConfig, "topics")
    await zookeeper.create(zk, ClusterId, "id")
    assert "id" == await zookeeper.read(zk, ClusterId)


@on_reactor
async def test_garbage_is_an_error_or_nothing(clients: Clients) -> None:
    zk = await clients.open()
    await zk.create(TopicNode.path("good"), T.encode(), makepath=True)
    await zk.create(TopicNode.path("bad"), b"{")
    with pytest.raises(Garbage, match="/brokers/topics/bad is ignored"):
        await zookeeper.get(zk, TopicNode, "bad")
    assert await zookeeper.read(zk, TopicNode, "bad") is None
    assert {"good": T} == await zookeeper.read_each(zk, TopicNode, ["good", "bad", "absent"])


@on_reactor
async def test_watches_tell_of_values_garbage_and_absence(clients: Clients) -> None:
    zk = await clients.open()
    told: list[tuple[int | None, int | None]] = []
    names: list[list[str]] = []
    watch = zookeeper.watch(
        zk, ControllerEpoch, lambda value, stat: told.append((value, stat.version if stat is not None else None))
    )
    await watch.start()
    await zookeeper.create(zk, ControllerEpoch, 5)
    await until(lambda: len(told) == 2)
    await zk.set(ControllerEpoch.path(), b"x")
    await until(lambda: len(told) == 3)
    await zookeeper.write(zk, ControllerEpoch, 6)
    await until(lambda: len(told) == 4)
    assert [(None, None), (5, 0), (None, 1), (6, 2)] == told
    children = zookeeper.watch_children(zk, ConfigChange, names.append)
    await children.start()
    await zk.ensure_path(ConfigChange.directory())
    path = await zookeeper.notify(zk, ConfigChange("topics", "t"))
    await until(lambda: names[-1])
    assert [path] == [ConfigChange.path(name) for name in names[-1]]
    assert ConfigChange("topics", "t") == await zookeeper.read(zk, ConfigChange, names[-1][0])
    watch.stop()
    children.stop()
