"""The shell: elections, terms, and the znodes of a running controller, compared with what Apache Kafka writes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred

from kafkalike.cluster.metadata import Image
from kafkalike.cluster.znodes.admin import DeleteTopicNode
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.controller import ControllerNode
from kafkalike.cluster.znodes.topics import Assignment, PartitionNode, TopicNode
from kafkalike.controller import failover, topic_deletion
from kafkalike.controller.context import Context
from kafkalike.controller.effects import Steps
from kafkalike.errors import Error, KafkaError
from tests.controller.cluster import Cluster, whole_tree
from tests.oracle import znodes_golden as golden
from tests.reactor import on_reactor, until
from tests.zookeeper import Clients
from zk.client import Create, Delete, NoNode, ZkClient


async def write_topic_znode(zk: ZkClient, name: str, assignment: dict[int, tuple[int, ...]]) -> None:
    node = TopicNode({p: Assignment(replicas) for p, replicas in assignment.items()}, b"0123456789abcdef")
    await zk.multi(
        [
            Create(EntityConfig.path("topics", name), EntityConfig.encode({})),
            Create(TopicNode.path(name), node.encode()),
        ]
    )


async def state(zk: ZkClient, topic: str, partition: int) -> dict[str, Any]:
    try:
        data, stat = await zk.get(PartitionNode.path(topic, partition))
    except NoNode:
        return {}
    return dict(json.loads(data or b"{}"), zk=stat.version)


def has(topic: str, partitions: int) -> Callable[[Image], bool]:
    return lambda image: topic in image.topics and len(image.topics[topic].partitions) == partitions


def forms(tree: dict[str, Any]) -> dict[str, Any]:
    return {path: golden.form(data, bool(stat.ephemeralOwner), stat.version) for path, (data, stat) in tree.items()}


@pytest.mark.real_zookeeper
@on_reactor
async def test_the_first_broker_leaves_the_tree_that_kafka_leaves(clients: Clients) -> None:
    """Goldens 30 and 31."""
    cluster = Cluster(clients)
    member = await cluster.add(11, broker_rack="r11")
    tree = await whole_tree(member.zk)
    dump = golden.dump("31")["znodes"]
    assert golden.tree(dump) == forms(tree)
    dumped = sorted((node["czxid"], node["path"]) for node in dump)
    assert [path for _, path in dumped] == sorted(tree, key=lambda path: (tree[path][1].czxid, path))
    assert (True, 1, 11) == (member.controller.active, member.controller.epoch, member.controller.controller_id)


@pytest.mark.real_zookeeper
@on_reactor
async def test_a_topic_is_created_extended_and_deleted_with_kafkas_znodes(clients: Clients) -> None:
    """Goldens 33, 04 and 23."""
    cluster = Cluster(clients)
    one = await cluster.add(11)
    two = await cluster.add(12)
    before = await whole_tree(one.zk)
    await write_topic_znode(two.zk, "gold-d", {0: (11, 12), 1: (12, 11)})
    for member in (one, two):
        await member.metadata.wait(has("gold-d", 2), 10000)
    created = {path: node for path, node in (await whole_tree(one.zk)).items() if path not in before}
    assert golden.tree(golden.dump("33")["created"]) == forms(created)

    node = TopicNode.decode((await one.zk.get(TopicNode.path("gold-d")))[0], "gold-d")
    more = TopicNode({**node.partitions, 2: Assignment((12,))}, node.topic_id)
    await two.zk.set(TopicNode.path("gold-d"), more.encode())
    assert await two.metadata.wait(lambda image: 2 in image.topics["gold-d"].partitions, 10000)
    expected = {"leader": 12, "leader_epoch": 0, "isr": [12], "version": 1, "controller_epoch": 1, "zk": 0}
    assert expected == await state(one.zk, "gold-d", 2)

    await two.zk.create(DeleteTopicNode.path("gold-d"))
    assert await two.metadata.wait(lambda image: "gold-d" not in image.topics, 10000)

    async def gone() -> bool:
        return await one.zk.exists(DeleteTopicNode.path("gold-d")) is None

    await until(gone)
    # What is left of it all are the watches' traces in the parents' child versions.
    assert forms(before) == forms(await whole_tree(one.zk))


@pytest.mark.real_zookeeper
@on_reactor
async def test_when_the_controller_goes_another_one_takes_over(clients: Clients) -> None:
    cluster = Cluster(clients)
    one, two = await cluster.add(1), await cluster.add(2)
    assert one is cluster.controller and not two.controller.active
    assert 1 == two.controller.controller_id
    await write_topic_znode(one.zk, "t", {0: (1, 2)})
    assert await two.metadata.wait(lambda image: image.partition("t", 0) is not None, 10000)
    await one.stop()
    await until(lambda: two.controller.active)
    assert (2, 2, 2) == (two.controller.epoch, two.controller._term.version, two.controller.controller_id)
    assert b"2" == (await two.zk.get("/controller_epoch"))[0]
    assert await two.metadata.wait(lambda image: image.partition("t", 0).leader == 2, 10000)
    assert {"leader": 2, "isr": [2], "controller_epoch": 2}.items() <= (await state(two.zk, "t", 0)).items()
    assert [2] == list(two.metadata.image.brokers)


@pytest.mark.real_zookeeper
@on_reactor
async def test_a_controller_whose_session_expires_is_one_no_longer_and_comes_back(clients: Clients) -> None:
    """Golden 47."""
    cluster = Cluster(clients)
    one, two = await cluster.add(1), await cluster.add(2)
    epoch = one.membership.broker_epoch
    await clients.expire(one.zk)
    await until(lambda: two.controller.active or one.controller.epoch > 1)
    await until(lambda: one.membership.broker_epoch > epoch)
    boss = cluster.controller
    assert boss is not None and 2 == boss.controller.epoch
    for member in (one, two):
        await until(lambda member=member: sorted(member.metadata.image.brokers) == [1, 2])  # type: ignore[misc]
    context = boss.controller.context
    assert context is not None
    await until(lambda: 1 in context.brokers and one.membership.broker_epoch == context.brokers[1].epoch)
    assert 1 == len([m for m in cluster.members.values() if m.controller.active])


@on_reactor
async def test_B1_a_controller_that_was_replaced_unawares_writes_nothing(clients: Clients) -> None:
    cluster = Cluster(clients)
    one = await cluster.add(1)
    await write_topic_znode(one.zk, "t", {0: (1,)})
    assert await one.metadata.wait(lambda image: "t" in image.topics, 10000)
    term = one.controller._term
    # Another controller was elected and has gone again, and this one has not heard of it.
    await one.zk.set("/controller_epoch", b"7")
    await write_topic_znode(one.zk, "u", {0: (1,)})
    await until(lambda: one.controller._term is not term)
    await until(lambda: one.controller.active)
    assert 8 == one.controller.epoch
    assert await one.metadata.wait(lambda image: "u" in image.topics, 10000)
    assert 8 == (await state(one.zk, "u", 0))["controller_epoch"]
    assert 1 == (await state(one.zk, "t", 0))["controller_epoch"]


@on_reactor
async def test_a_deleted_or_rewritten_controller_node_starts_an_election(clients: Clients) -> None:
    cluster = Cluster(clients)
    one = await cluster.add(1)
    await one.zk.delete("/controller")
    await until(lambda: one.controller.epoch == 2)
    other = await clients.open()
    await other.multi([Delete("/controller"), Create("/controller", ControllerNode(9).encode(), ephemeral=True)])
    await until(lambda: not one.controller.active and one.controller.controller_id == 9)
    await other.stop()
    await until(lambda: one.controller.active)


@on_reactor
async def test_a_lost_connection_ends_no_term_and_hides_no_change(clients: Clients) -> None:
    cluster = Cluster(clients)
    one = await cluster.add(1)
    other = await clients.open()
    one.zk.drop_connection()
    await write_topic_znode(other, "t", {0: (1,)})
    assert await one.metadata.wait(lambda image: "t" in image.topics, 10000)
    assert 1 == one.controller.epoch
    for number in range(5):
        one.zk.drop_connection()
        await write_topic_znode(other, f"t{number}", {p: (1,) for p in range(40)})
        assert await one.metadata.wait(
            lambda image, name=f"t{number}": (
                len(image.topics[name].partitions) == 40 if name in image.topics else False
            ),
            10000,
        )  # type: ignore[misc]
    assert 1 == one.controller.epoch


@on_reactor
async def test_garbage_in_the_epoch_elects_nobody(clients: Clients, caplog: pytest.LogCaptureFixture) -> None:
    zk = await clients.open()
    await zk.create("/controller_epoch", b"many")
    cluster = Cluster(clients)
    adding = cluster.add(1)
    waiting = ensureDeferred(adding)
    await until(lambda: "nobody can be elected" in caplog.text)
    assert await zk.exists("/controller") is None
    assert b"many" == (await zk.get("/controller_epoch"))[0]
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    await cluster.members[1].stop()


@on_reactor
async def test_a_controller_node_that_is_no_ephemeral_is_left_alone(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    zk = await clients.open()
    await zk.create("/controller", ControllerNode(3000, 0, 5).encode())
    from twisted.internet.defer import ensureDeferred

    cluster = Cluster(clients)
    waiting = ensureDeferred(cluster.add(1))
    await until(lambda: 1 in cluster.members and cluster.members[1].controller.controller_id == 3000)
    assert not cluster.members[1].controller.active
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    await cluster.members[1].stop()


@on_reactor
async def test_steps_can_be_submitted_to_the_controller_only(clients: Clients) -> None:
    cluster = Cluster(clients)
    one, two = await cluster.add(1), await cluster.add(2)

    def steps(context: Any) -> Any:
        yield from topic_deletion.resume_deletions(context)
        return sorted(context.brokers)

    assert [1, 2] == await one.controller.submit(steps)
    with pytest.raises(KafkaError) as caught:
        await two.controller.submit(steps)
    assert Error.NOT_CONTROLLER == caught.value.error

    def broken(context: Any) -> Any:
        yield from topic_deletion.resume_deletions(context)
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        await one.controller.submit(broken)
    assert one.controller.active


@on_reactor
async def test_a_replica_that_cannot_be_deleted_is_asked_again_when_its_broker_is_back(clients: Clients) -> None:
    cluster = Cluster(clients)
    one, two = await cluster.add(1), await cluster.add(2)
    await write_topic_znode(one.zk, "t", {0: (1, 2)})
    assert await one.metadata.wait(lambda image: "t" in image.topics, 10000)
    two.replication.broken = True
    await one.zk.create(DeleteTopicNode.path("t"))
    context = one.controller.context
    assert context is not None
    await until(lambda: context.deletion_ineligible == {"t"})
    two.replication.broken = False
    await clients.expire(two.zk)

    async def gone() -> bool:
        return await one.zk.exists(DeleteTopicNode.path("t")) is None

    await until(gone)
    assert [] == await one.zk.children("/brokers/topics")


@on_reactor
async def test_a_thousand_partitions_are_not_made_one_by_one(clients: Clients) -> None:
    cluster = Cluster(clients)
    one = await cluster.add(1)
    multis: list[int] = []
    verb = one.zk.multi
    one.zk.multi = lambda operations: (multis.append(len(operations)), verb(operations))[1]  # type: ignore[method-assign]
    await write_topic_znode(one.zk, "t", {p: (1,) for p in range(1000)})
    assert await one.metadata.wait(has("t", 1000), 20000)
    assert 70 > len(multis)


@on_reactor
async def test_a_controller_that_leaves_makes_room_at_once_and_does_not_stand_again(clients: Clients) -> None:
    cluster = Cluster(clients)
    one, two = await cluster.add(1), await cluster.add(2)
    await one.controller.leave()
    await until(lambda: two.controller.active)
    assert 2 == two.controller.epoch and not one.controller.active
    await two.controller.leave()
    await two.zk.sync()
    assert await one.zk.exists("/controller") is None
    assert one.zk.state == two.zk.state == "CONNECTED"


@on_reactor
async def test_a_term_that_cannot_begin_is_not_tried_again_at_once(
    clients: Clients, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A controller that sees its own znode go does not stand again at once; it once did, a thousand times a minute."""
    tried: list[float] = []
    take_over = failover.take_over

    def fails_twice(context: Context, new_id: failover.NewId) -> Steps[None]:
        tried.append(time.monotonic())
        if len(tried) <= 2:
            raise ZeroDivisionError("a mistake of ours")
        return take_over(context, new_id)

    monkeypatch.setattr(failover, "take_over", fails_twice)
    monkeypatch.setattr("kafkalike.controller.controller.RETRY_SECONDS", 0.3)
    member = await Cluster(clients).add(11)
    assert (member.controller.active, len(tried)) == (True, 3)
    assert min(after - before for before, after in zip(tried, tried[1:], strict=False)) >= 0.3
    assert "the controller cannot begin its term" in caplog.text
