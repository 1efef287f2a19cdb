"""Commits and reads through a real session: what the fake in fakes.py promises, held by both servers."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.cluster.znodes.topics import PartitionNode, TopicNode
from kafkalike.coordinator.offsets.commit_timeout import CommitTimeout
from kafkalike.coordinator.offsets.znode_commits import Fence, ZnodeCommits
from kafkalike.coordinator.offsets.znode_offsets import Committed, ZnodeOffsets
from kafkalike.errors import Error, KafkaError
from tests.reactor import on_reactor
from tests.zookeeper import Clients
from zk.client import ZkClient

STATE = PartitionNode.path(GROUP_METADATA, 0)


class Coordinator:
    """Broker 1, coordinator of partition 0."""

    def __init__(self, zk: ZkClient) -> None:
        self.zk = zk
        timeout = CommitTimeout(zk, 20_000, reactor)
        self.commits = ZnodeCommits(zk, 1, timeout, reactor)
        self.offsets = ZnodeOffsets(zk, self.commits, timeout, reactor)
        self.commits.start()
        self.fence: Fence = self.commits.fences.add(0, 0)

    async def start(self) -> Coordinator:
        await self.zk.ensure_path("/consumers")
        for topic in ("t", "u"):
            await self.zk.ensure_path(TopicNode.path(topic))
        await self.zk.create(STATE, PartitionNode(1, 0, (1,), 1).encode(), makepath=True)
        assert await self.commits.fences.confirm(self.fence)
        return self

    def commit(self, group: str, *offsets: tuple[str, int, int, int, str]) -> Deferred[list[Error]]:
        answer: Deferred[list[Error]] = Deferred()
        self.commits.commit(self.fence, group, offsets, answer.callback)
        return answer


@pytest.mark.real_zookeeper
@on_reactor
async def test_commits_are_read_back(clients: Clients) -> None:
    zk = await clients.open()
    here = await Coordinator(zk).start()
    groups = ["g", "a/b", "", ".", "%41", "ü😀\n"]
    for group in groups:
        offsets = [("t", 0, 5, -1, ""), ("t", 1, 6, 3, "note ü"), ("u", 0, 0, -1, "")]
        assert await here.commit(group, *offsets) == [Error.NONE] * 3
        assert await here.offsets.keys(group) == [("t", 0), ("t", 1), ("u", 0)]
        found = await here.offsets.read(group, [("t", 0), ("t", 1), ("u", 0), ("v", 0)])
        assert found == [Committed(5), Committed(6, 3, "note ü"), Committed(0), Committed()]
    assert sorted(await here.offsets.groups()) == sorted(groups)
    assert await here.commit("g", ("t", 1, 7, -1, "")) == [Error.NONE]
    assert (await zk.get("/consumers/g/offsets/t/1"))[0] == b"7"
    assert await zk.exists("/consumers/g/offsets-extra/t/1") is None


@pytest.mark.real_zookeeper
@on_reactor
async def test_what_others_do_to_the_nodes_stops_no_commit(clients: Clients) -> None:
    zk, other = await clients.open(), await clients.open()
    here = await Coordinator(zk).start()
    assert await here.commit("g", ("t", 0, 1, -1, ""), ("t", 1, 1, -1, "")) == [Error.NONE] * 2
    await other.delete("/consumers/g/offsets/t/0")
    await other.set(STATE, PartitionNode(1, 0, (1, 2), 1).encode())
    assert await here.commit("g", ("t", 0, 2, -1, ""), ("t", 1, 2, -1, "")) == [Error.NONE] * 2
    await other.delete("/consumers/g/offsets/t/0")
    await other.delete("/consumers/g/offsets/t/1")
    await other.delete("/consumers/g/offsets/t")
    assert await here.commit("g", ("t", 0, 3, 1, "")) == [Error.NONE]
    assert await here.offsets.read("g", [("t", 0), ("t", 1)]) == [Committed(3, 1), Committed()]


@pytest.mark.real_zookeeper
@on_reactor
async def test_another_leader_ends_it(clients: Clients) -> None:
    zk, other = await clients.open(), await clients.open()
    here = await Coordinator(zk).start()
    assert await here.commit("g", ("t", 0, 1, -1, "")) == [Error.NONE]
    await other.set(STATE, PartitionNode(2, 1, (2,), 1).encode())
    assert await here.commit("g", ("t", 0, 2, -1, "")) == [Error.NOT_COORDINATOR]
    with pytest.raises(KafkaError) as raised:
        await here.offsets.remove_group(here.fence, "g")
    assert raised.value.error is Error.NOT_COORDINATOR
    assert (await zk.get("/consumers/g/offsets/t/0"))[0] == b"1"


@pytest.mark.real_zookeeper
@on_reactor
async def test_connections_that_break_lose_and_double_nothing(clients: Clients) -> None:
    zk = await clients.open()
    here = await Coordinator(zk).start()
    waiting: list[Deferred[list[Error]]] = []
    newest: dict[tuple[str, int], int] = {}
    for turn in range(30):
        for partition in range(10):
            newest["t", partition] = turn
            waiting.append(here.commit("g", ("t", partition, turn, turn, "x")))
        if turn in (5, 15, 25):
            zk.drop_connection()
        pause: Deferred[Any] = Deferred()
        reactor.callLater(0.002, pause.callback, None)
        await pause
    for answer in waiting:
        assert await answer == [Error.NONE]
    found = await here.offsets.read("g", list(newest))
    assert found == [Committed(offset, offset, "x") for offset in newest.values()]


@on_reactor
async def test_an_expired_session_loses_nothing(clients: Clients) -> None:
    zk = await clients.open()
    here = await Coordinator(zk).start()
    assert await here.commit("g", ("t", 0, 1, -1, "")) == [Error.NONE]
    answer = here.commit("g", ("t", 0, 2, -1, ""))
    await clients.expire(zk)
    later = here.commit("g", ("t", 0, 3, -1, ""))
    assert (await answer, await later) == ([Error.NONE], [Error.NONE])
    assert (await zk.get("/consumers/g/offsets/t/0"))[0] == b"3"


@pytest.mark.real_zookeeper
@on_reactor
async def test_groups_are_removed_unless_classic_consumers_live(clients: Clients) -> None:
    zk, classic = await clients.open(), await clients.open()
    here = await Coordinator(zk).start()
    assert await here.commit("g", ("t", 0, 1, 1, ""), ("u", 3, 1, -1, "")) == [Error.NONE] * 2
    await classic.create("/consumers/g/ids/c", b"{}", ephemeral=True)
    with pytest.raises(KafkaError) as raised:
        await here.offsets.remove_group(here.fence, "g")
    assert raised.value.error is Error.NON_EMPTY_GROUP
    await classic.stop()
    assert await here.offsets.remove(here.fence, "g", [("u", 3), ("t", 7)]) == 1
    assert await zk.children("/consumers/g/offsets") == ["t"]
    await here.offsets.remove_group(here.fence, "g")
    assert await zk.children("/consumers") == []
    assert await here.commit("g", ("t", 0, 9, -1, "")) == [Error.NONE]
