"""Recipes, with the losses that they are there for."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from tests.reactor import on_reactor, until
from tests.zookeeper import Clients
from zk import recipes
from zk.client import BadVersion, ConnectionLoss, Create, Set, ZkClient


class Lossy:
    """A client that does a write and then loses its answer, as often as told."""

    def __init__(self, zk: ZkClient, **losses: int) -> None:
        self._zk = zk
        self._losses = losses

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._zk, name)
        if self._losses.get(name, 0) <= 0:
            return verb

        def lose(*args: Any, **kwargs: Any) -> Deferred[Any]:
            self._losses[name] -= 1

            def lost(_: Any) -> None:
                raise ConnectionLoss

            return verb(*args, **kwargs).addBoth(lost)

        return lose


@pytest.mark.real_zookeeper
@on_reactor
async def test_a_claim_is_made_with_version_1(clients: Clients) -> None:
    zk = await clients.open()
    stat = await recipes.claim(zk, "/mine", b"x")
    assert (1, zk.session_id) == (stat.version, stat.ephemeralOwner)
    assert stat.czxid == (await zk.exists("/mine")).czxid
    assert stat.czxid == (await recipes.claim(zk, "/mine", b"x")).czxid


@on_reactor
async def test_B4_a_claim_whose_answer_was_lost_is_a_claim(clients: Clients) -> None:
    zk = await clients.open()
    stat = await recipes.claim(Lossy(zk, multi=1), "/mine", b"x")
    assert (1, zk.session_id) == (stat.version, stat.ephemeralOwner)


@on_reactor
async def test_a_claim_on_somebody_elses_node_is_refused(clients: Clients) -> None:
    zk, other = await clients.open(), await clients.open()
    await recipes.claim(other, "/mine", b"x")
    with pytest.raises(recipes.Taken) as caught:
        await recipes.claim(zk, "/mine", b"y")
    assert ("/mine", other.session_id, b"x") == (caught.value.path, caught.value.owner, caught.value.data)


@on_reactor
async def test_what_our_previous_session_left_is_replaced(clients: Clients) -> None:
    zk, before = await clients.open(), await clients.open()
    left = await recipes.claim(before, "/mine", b"x")
    stat = await recipes.claim(zk, "/mine", b"y", previous_session=before.session_id)
    assert stat.czxid > left.czxid
    assert zk.session_id == stat.ephemeralOwner


@pytest.mark.real_zookeeper
@on_reactor
async def test_one_of_two_is_elected_and_the_counter_counts_elections(clients: Clients) -> None:
    one, two = await clients.open(), await clients.open()
    first = await recipes.elect(one, "/boss", b"one", "/epoch", lambda data: int(data or b"0"))
    assert recipes.Term(1, 1, "/epoch") == first
    assert await recipes.elect(two, "/boss", b"two", "/epoch", lambda data: int(data or b"0")) is None
    assert b"1" == (await one.get("/epoch"))[0]
    await recipes.resign(one, "/boss", first)
    second = await recipes.elect(two, "/boss", b"two", "/epoch", lambda data: int(data or b"0"))
    assert recipes.Term(2, 2, "/epoch") == second
    with pytest.raises(BadVersion):
        await one.multi(first.guarded(Create("/late")))
    await two.multi(second.guarded(Create("/timely")))
    await recipes.resign(one, "/boss", first)
    assert await two.exists("/boss") is not None


@on_reactor
async def test_a_winner_who_never_heard_of_it_finds_out(clients: Clients) -> None:
    zk = await clients.open()
    term = await recipes.elect(Lossy(zk, multi=1), "/boss", b"me", "/epoch", lambda data: int(data or b"0"))
    assert recipes.Term(1, 1, "/epoch") == term


@on_reactor
async def test_an_update_is_done_once_for_each_call(clients: Clients) -> None:
    zk = await clients.open()
    await zk.create("/n", b"0")

    def increment(data: bytes | None) -> bytes:
        return b"%d" % (int(data or b"0") + 1)

    assert (b"1", 1) == await recipes.update(zk, "/n", increment)
    assert (b"2", 2) == await recipes.update(Lossy(zk, set=1), "/n", increment)
    meddled: list[Any] = []

    def meddled_with(data: bytes | None) -> bytes:
        if not meddled:
            meddled.append(zk.set("/n", b"10"))
        return increment(data)

    assert (b"11", 4) == await recipes.update(zk, "/n", meddled_with)


@on_reactor
async def test_put_and_ensure_make_what_is_missing(clients: Clients) -> None:
    zk = await clients.open()
    await recipes.put(zk, "/a/b", b"1")
    await recipes.put(zk, "/a/b", b"2")
    assert b"2" == (await zk.get("/a/b"))[0]
    assert await recipes.ensure(zk, "/c/d")
    assert not await recipes.ensure(zk, "/c/d", b"other")
    assert (await zk.get("/c/d"))[0] is None
    assert await recipes.get_or_none(zk, "/none") is None


@pytest.mark.real_zookeeper
@on_reactor
async def test_a_data_watch_sees_every_last_value(clients: Clients) -> None:
    zk = await clients.open()
    seen: list[Any] = []
    watch = recipes.DataWatch(zk, "/a", lambda data, stat: seen.append(data if stat else "absent"))
    await watch.start()
    assert ["absent"] == seen
    await zk.create("/a", b"1")
    await until(lambda: seen[-1] == b"1")
    zk.drop_connection()
    await until(lambda: zk.state == "CONNECTED")
    await recipes.insist(lambda: zk.set("/a", b"2"))
    await until(lambda: seen[-1] == b"2")
    await zk.delete("/a")
    await until(lambda: seen[-1] == "absent")
    watch.stop()
    await zk.create("/a", b"3")
    await zk.sync()
    assert ["absent", b"1", b"2", "absent"] == seen


@on_reactor
async def test_what_changed_while_the_connection_was_away_is_seen(clients: Clients) -> None:
    zk, other = await clients.open(), await clients.open()
    await zk.create("/a", b"1")
    seen: list[Any] = []
    await recipes.DataWatch(zk, "/a", lambda data, stat: seen.append(data)).start()
    zk.drop_connection()
    await other.set("/a", b"2")
    await until(lambda: seen == [b"1", b"2"])


@on_reactor
async def test_a_children_watch_goes_on(clients: Clients) -> None:
    zk = await clients.open()
    await zk.create("/d")
    seen: list[list[str]] = []
    await recipes.ChildrenWatch(zk, "/d", lambda names: seen.append(sorted(names))).start()
    await zk.create("/d/1")
    await until(lambda: seen[-1] == ["1"])
    await clients.expire(zk)
    await until(lambda: zk.state == "CONNECTED")
    await recipes.insist(lambda: zk.create("/d/2"))
    await until(lambda: seen[-1] == ["1", "2"])


@on_reactor
async def test_a_change_watch_calls_for_events_and_reconnections_until_it_is_stopped(clients: Clients) -> None:
    zk = await clients.open()
    await zk.create("/d")
    changes: list[str] = []
    watch = recipes.ChangeWatch(zk, "/d", lambda: changes.append("children"), children=True)
    recipes.ChangeWatch(zk, "/d/x", lambda: changes.append("node"))
    await zk.create("/d/x")
    await until(lambda: sorted(changes) == ["children", "node"])
    changes.clear()
    zk.drop_connection()
    await until(lambda: sorted(changes) == ["children", "node"])
    changes.clear()
    watch.stop()
    await zk.multi([Set("/d/x", b"1"), Create("/d/y")])
    await until(lambda: changes)
    assert ["node"] == changes
