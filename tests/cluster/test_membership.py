"""A broker's start, its registration, and what happens to both, compared with what Apache Kafka writes."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest

from kafkalike.clock import Clock
from kafkalike.cluster.membership import Membership, MembershipError, live_brokers, random_uuid
from kafkalike.cluster.znodes.brokers import BROKER_SEQUENCE, BrokerNode
from kafkalike.cluster.znodes.encoding import encode_uuid
from kafkalike.config import Config, Endpoint, broker_config
from tests.oracle import znodes_golden as golden
from tests.reactor import on_reactor, until
from tests.zookeeper import Clients
from zk.client import Stat, ZkClient


def config(**keys: Any) -> Config:
    properties = {key.replace("_", "."): str(value) for key, value in keys.items()}
    return broker_config({"zookeeper.connect": "-", "zookeeper.session.timeout.ms": "10000"} | properties)[0]


def at(port: int, host: str = "127.0.0.1") -> list[Endpoint]:
    return [Endpoint("PLAINTEXT", "PLAINTEXT", host, port)]


def registration(zk: ZkClient, *arguments: Any, **options: Any) -> Membership:
    keys, *others = arguments
    return Membership(zk, keys, Clock(), random.Random(7), *others, **options)


async def whole_tree(zk: ZkClient, path: str = "/") -> dict[str, tuple[bytes | None, Stat]]:
    found = {path: await zk.get(path)}
    for name in await zk.children(path):
        found |= await whole_tree(zk, f"{path.rstrip('/')}/{name}")
    return found


@pytest.mark.real_zookeeper
@on_reactor
async def test_the_first_broker_leaves_the_tree_that_kafka_leaves(clients: Clients) -> None:
    zk = await clients.open()
    member = registration(zk, config(broker_rack="r11"), at(29111))
    cluster_id = await member.prepare()
    epoch = await member.register(11)
    expected = golden.tree(golden.dump("31")["znodes"])
    for path in ("/controller", "/controller_epoch", "/feature"):
        del expected[path]
    tree = await whole_tree(zk)
    actual = {path: golden.form(data, bool(stat.ephemeralOwner), stat.version) for path, (data, stat) in tree.items()}
    assert expected == actual
    assert 22 == len(cluster_id)
    assert epoch == tree["/brokers/ids/11"][1].czxid == member.broker_epoch
    created = sorted(tree, key=lambda path: tree[path][1].czxid)
    dumped = sorted(expected, key={n["path"]: n["czxid"] for n in golden.dump("31")["znodes"]}.__getitem__)
    assert dumped == created, "made in the same order"


@on_reactor
async def test_a_second_broker_adds_its_registration_and_nothing_else(clients: Clients) -> None:
    zk, other = await clients.open(), await clients.open()
    first = registration(zk, config(broker_rack="r11"), at(29111))
    await first.prepare()
    await first.register(11)
    before = await whole_tree(zk)
    second = registration(other, config(broker_rack="r12"), at(29112))
    assert first.cluster_id == await second.prepare()
    await second.register(12)
    after = await whole_tree(zk)
    added = {
        path: golden.form(data, bool(stat.ephemeralOwner), stat.version)
        for path, (data, stat) in after.items()
        if path not in before
    }
    assert golden.tree(golden.dump("32")["created"]) == added
    assert [11, 12] == list(await live_brokers(zk))


@on_reactor
async def test_brokers_that_start_at_once_agree_on_the_clusters_id(clients: Clients) -> None:
    members = [registration(await clients.open(), config(), at(1)) for _ in range(3)]
    starting = [member.prepare() for member in members]
    assert 1 == len({await cluster_id for cluster_id in starting})


@on_reactor
async def test_who_registers_listens_though_an_earlier_run_was_in_the_way_a_moment_ago(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulation, seed 930312: the earlier registration went between the look and the claim."""
    member = registration(await clients.open(), config(), at(1))
    await member.prepare()
    said: list[str] = []
    member.about_to_register = lambda: said.append("listen")

    async def look() -> list[int]:
        return [7]

    monkeypatch.setattr(member, "_refuse_taken_addresses", look)
    await member.register(7)
    assert ["listen"] == said


@on_reactor
async def test_generated_ids_are_above_the_reserved_ones(clients: Clients) -> None:
    zk = await clients.open()
    member = registration(zk, config(reserved_broker_max_id=2000), at(1))
    await member.prepare()
    assert [2001, 2002] == [await member.generate_broker_id(), await member.generate_broker_id()]
    assert b"" == (await zk.get(BROKER_SEQUENCE))[0]


@on_reactor
async def test_B15_an_id_that_a_live_broker_elsewhere_has_is_refused_at_once(clients: Clients) -> None:
    first = registration(await clients.open(), config(), at(9092, "here"))
    await first.prepare()
    await first.register(1)
    second = registration(await clients.open(), config(), at(9092, "there"))
    with pytest.raises(MembershipError) as caught:
        await second.register(1)
    expected = "broker id 1 is taken: /brokers/ids/1 belongs to a live broker at PLAINTEXT://here:9092"
    assert expected == str(caught.value)


@on_reactor
async def test_an_address_that_another_broker_advertises_is_refused(clients: Clients) -> None:
    first = registration(await clients.open(), config(), at(9092))
    await first.prepare()
    await first.register(1)
    second = registration(await clients.open(), config(), at(9092))
    with pytest.raises(MembershipError) as caught:
        await second.register(2)
    assert "Configured end points 127.0.0.1:9092 in advertised listeners are already registered by broker 1" == str(
        caught.value
    )


@on_reactor
async def test_B5_the_registration_of_an_earlier_run_is_waited_for(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    left = await clients.open()
    first = registration(left, config(), at(9092))
    await first.prepare()
    old = await first.register(1)
    zk = await clients.open()
    second = registration(zk, config(), at(9092))
    registering = second.register(1)
    with caplog.at_level(logging.WARNING):
        await until(lambda: any("left from an earlier run" in r.message for r in caplog.records))
    assert not registering.called
    first.stop()
    await left.stop()
    assert old < await registering


@pytest.mark.real_zookeeper
@on_reactor
async def test_the_session_of_an_earlier_run_is_ended_when_it_is_known(clients: Clients, tmp_path: Path) -> None:
    kept = tmp_path / "session"
    first = registration(await clients.open(), config(), at(9092), session_file=kept)
    await first.prepare()
    old = await first.register(1)
    assert 0o600 == kept.stat().st_mode & 0o777
    # The first one is killed here: it neither unregisters nor closes its session.
    first._zk.remove_listener(first._state_changed)
    second = registration(await clients.open(), config(), at(9092), session_file=kept)
    assert old < await second.register(1)
    second.stop()
    assert not kept.exists()


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"session": "x", "password": "zz", "connect": ""}'])
@on_reactor
async def test_a_damaged_session_file_is_ignored(clients: Clients, tmp_path: Path, text: str) -> None:
    (tmp_path / "session").write_text(text)
    member = registration(await clients.open(), config(), at(9092), session_file=tmp_path / "session")
    await member.prepare()
    assert 0 < await member.register(1)


@on_reactor
async def test_a_copied_session_file_does_not_end_a_live_brokers_session(clients: Clients, tmp_path: Path) -> None:
    first = registration(await clients.open(), config(), at(9092, "here"), session_file=tmp_path / "session")
    await first.prepare()
    await first.register(1)
    twin = registration(await clients.open(), config(), at(9092, "there"), session_file=tmp_path / "session")
    with pytest.raises(MembershipError, match="is taken"):
        await twin.register(1)
    assert [1] == list(await live_brokers(first._zk))


@pytest.mark.real_zookeeper
@on_reactor
async def test_B6_an_expired_broker_registers_again_by_itself(clients: Clients) -> None:
    zk = await clients.open()
    member = registration(zk, config(), at(9092))
    await member.prepare()
    epochs: list[int] = []
    member.on_registered(epochs.append)
    old = await member.register(1)
    await clients.expire(zk)
    await until(lambda: zk.state == "CONNECTED" and zk.session_id is not None and len(epochs) == 2)
    new = await member.registered()
    assert [old, new] == epochs
    assert old < new == (await zk.exists(BrokerNode.path(1))).czxid
    await clients.expire(zk)
    await until(lambda: len(epochs) == 3)


@on_reactor
async def test_B7_a_suspended_connection_changes_nothing(clients: Clients) -> None:
    zk = await clients.open()
    member = registration(zk, config(), at(9092))
    await member.prepare()
    epoch = await member.register(1)
    zk.drop_connection()
    await until(lambda: zk.state == "SUSPENDED")
    await until(lambda: zk.state == "CONNECTED")
    assert epoch == (await zk.exists(BrokerNode.path(1))).czxid == await member.registered()


@on_reactor
async def test_garbage_in_a_registration_hides_that_broker_only(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    zk = await clients.open()
    member = registration(zk, config(), at(9092))
    await member.prepare()
    await zk.create("/brokers/ids/7", b"\xff garbage")
    await zk.create("/brokers/ids/x", b"")
    await member.register(1)
    assert [1] == list(await live_brokers(zk))
    assert 1 <= len([r for r in caplog.records if "/brokers/ids/7" in r.message])


@on_reactor
async def test_garbage_in_the_clusters_id_stops_the_start(clients: Clients) -> None:
    zk = await clients.open()
    await zk.create("/cluster/id", b"nonsense", makepath=True)
    with pytest.raises(MembershipError, match="/cluster/id is ignored: no JSON"):
        await registration(zk, config(), at(9092)).prepare()


@on_reactor
async def test_an_empty_host_is_advertised_as_this_machines_name(clients: Clients) -> None:
    zk = await clients.open()
    member = registration(zk, config(), at(9092, ""))
    await member.prepare()
    await member.register(1)
    assert "" != (await live_brokers(zk))[1].endpoints[0].host


def test_random_uuids_are_printed_without_a_leading_dash() -> None:
    rng = random.Random(5)
    for _ in range(500):
        uuid = random_uuid(rng)
        assert (4, 2) == (uuid[6] >> 4, uuid[8] >> 6)
        assert not encode_uuid(uuid).startswith("-")
