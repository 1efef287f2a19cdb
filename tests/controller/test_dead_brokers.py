"""Brokers whose connection ends and whose port is closed are presumed dead; such a controller is deposed."""

from __future__ import annotations

import pytest
from twisted.internet.defer import ensureDeferred

from kafkalike.cluster.znodes.controller import ControllerNode
from kafkalike.controller import dead_brokers
from kafkalike.controller.context import Context
from kafkalike.controller.effects import Read, Steps
from tests.controller.cluster import Cluster
from tests.controller.test_controller import has, write_topic_znode
from tests.reactor import on_reactor, until
from tests.zookeeper import Clients


@on_reactor
async def test_a_broker_whose_connection_ends_and_whose_port_is_closed_is_dead_until_it_answers(
    clients: Clients,
) -> None:
    cluster = Cluster(clients)
    one, two = await cluster.add(1), await cluster.add(2)
    await write_topic_znode(one.zk, "t", {0: (2, 1)})
    assert await one.metadata.wait(has("t", 1), 10000)
    # The broker still listens: its connection may have ended for any reason.
    one.controller.connection_lost(2, True)
    cluster.refusing.add(2)
    two.controller.connection_lost(2, True)
    await one.controller.submit(_nothing)
    assert one.controller.context is not None and 2 in one.controller.context.brokers
    one.controller.connection_lost(2, True)
    assert await one.metadata.wait(lambda image: image.partition("t", 0).leader == 1, 10000)  # type: ignore[union-attr]
    # The metadata show the broker while it is registered: clients do not forget it while they go over to the new
    # leader.
    assert [1, 2] == list(one.metadata.image.brokers)
    assert [2] == list(one.metadata.image.partition("t", 0).offline_replicas)  # type: ignore[union-attr]
    cluster.refusing.clear()
    assert await one.metadata.wait(
        lambda image: not image.partition("t", 0).offline_replicas,  # type: ignore[union-attr]
        10000,
    )
    assert (1, (1,)) == (one.metadata.image.partition("t", 0).leader, one.metadata.image.partition("t", 0).isr)  # type: ignore[union-attr]


@pytest.mark.real_zookeeper
@on_reactor
async def test_a_controller_that_is_dead_is_deposed_and_that_one_only(clients: Clients) -> None:
    cluster = Cluster(clients)
    one, two = await cluster.add(1), await cluster.add(2)
    await until(lambda: two.controller.controller_id == 1)
    elected_at = two.controller.elected_at
    # Nothing happens when the port is open, when there was no connection, or when it is another broker.
    two.controller.connection_lost(1, True)
    cluster.refusing.add(1)
    two.controller.connection_lost(1, False)
    two.controller.connection_lost(7, True)
    await two.zk.sync()
    assert one.controller.active and 1 == one.controller.epoch
    one.controller.stop()
    two.controller.connection_lost(1, True)
    await until(lambda: two.controller.active)
    assert 2 == two.controller.epoch
    await until(lambda: two.controller.context is not None and [1] == list(two.controller.context.presumed_dead))
    # What was known of the dead controller harms none of its successors.
    await dead_brokers.depose(two.zk, 1, elected_at)
    await dead_brokers.depose(two.zk, 2, elected_at)
    assert two.controller.active and 2 == two.controller.epoch
    assert b"2" == (await two.zk.get("/controller_epoch"))[0]


@on_reactor
async def test_a_persistent_controller_is_nobodys_to_delete(clients: Clients) -> None:
    zk = await clients.open()
    await zk.create("/controller_epoch", b"4")
    await zk.create("/controller", ControllerNode(3000, 0, 7).encode())
    cluster = Cluster(clients)
    waiting = ensureDeferred(cluster.add(1))
    await until(lambda: 1 in cluster.members and cluster.members[1].controller.controller_id == 3000)
    cluster.refusing.add(3000)
    cluster.members[1].controller.connection_lost(3000, True)
    await cluster.members[1].zk.sync()
    assert await zk.exists("/controller") is not None
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    await cluster.members[1].stop()


def _nothing(context: Context) -> Steps[None]:
    yield Read([])
