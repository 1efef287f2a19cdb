"""Configuration that changes while the broker runs."""

from __future__ import annotations

import pytest

from kafkalike.broker import config_admin
from kafkalike.broker.dynamic_config import KEEP_MS, DynamicConfig
from kafkalike.clock import Clock
from kafkalike.config import broker_config
from tests.reactor import on_reactor, until
from tests.zookeeper import Clients
from zk.client import ZkClient


class Heard:
    """A broker's dynamic configuration, and what it told."""

    def __init__(self, zk: ZkClient, clock: Clock | None = None, **settings: str) -> None:
        self.config, _ = broker_config({"zookeeper.connect": "z", "broker.id": "1"} | settings)
        self.topics: list[tuple[str, dict[str, str]]] = []
        self.names: list[set[str]] = []
        told = self.topics.append
        self.dynamic = DynamicConfig(
            zk, 1, self.config, lambda topic, values: told((topic, values)), self.names.append, clock or Clock()
        )


class Told(Clock):
    """The time that a test says it is."""

    __slots__ = ("now_ms",)

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def wall_ms(self) -> int:
        return self.now_ms


async def prepared(zk: ZkClient) -> None:
    for path in ("/config/topics", "/config/brokers", "/config/changes"):
        await zk.create(path, None, makepath=True)
    await zk.create("/controller", b"{}")


@on_reactor
async def test_a_topics_values_are_told_with_each_notification(clients: Clients) -> None:
    zk = await clients.open()
    await prepared(zk)
    heard = Heard(zk)
    await heard.dynamic.start()
    await config_admin.write(zk, "topics", "t", {"retention.ms": "5"})
    await until(lambda: heard.topics == [("t", {"retention.ms": "5"})])
    await config_admin.write(zk, "topics", "t", {})
    await until(lambda: heard.topics[1:] == [("t", {})])
    heard.dynamic.stop()


@on_reactor
async def test_this_brokers_values_win_over_those_of_all(clients: Clients) -> None:
    zk = await clients.open()
    await prepared(zk)
    await config_admin.write(zk, "brokers", "<default>", {"message.max.bytes": "5000", "log.retention.ms": "7"})
    await config_admin.write(zk, "brokers", "1", {"message.max.bytes": "6000"})
    await config_admin.write(zk, "brokers", "2", {"message.max.bytes": "9"})
    heard = Heard(zk, **{"log.segment.bytes": "1000"})
    await heard.dynamic.load()
    assert (6000, 7, 1000) == tuple(
        heard.config[name] for name in ("message.max.bytes", "log.retention.ms", "log.segment.bytes")
    )
    assert [{"message.max.bytes", "log.retention.ms"}] == heard.names
    await heard.dynamic.start()
    await config_admin.write(zk, "brokers", "1", {})
    await until(lambda: heard.config["message.max.bytes"] == 5000)
    await config_admin.write(zk, "brokers", "<default>", {})
    await until(lambda: heard.config["message.max.bytes"] == 1048588)
    assert heard.config["log.retention.ms"] is None
    heard.dynamic.stop()


@on_reactor
async def test_values_that_cannot_be_used_are_left_out(clients: Clients) -> None:
    zk = await clients.open()
    await prepared(zk)
    await config_admin.write(zk, "brokers", "1", {"message.max.bytes": "many", "log.retention.ms": "7"})
    heard = Heard(zk)
    await heard.dynamic.load()
    assert (1048588, 7) == (heard.config["message.max.bytes"], heard.config["log.retention.ms"])


@on_reactor
async def test_garbage_of_one_broker_does_not_hide_what_holds_for_all(clients: Clients) -> None:
    zk = await clients.open()
    await prepared(zk)
    await zk.create("/config/brokers/1", b"garbage")
    await config_admin.write(zk, "brokers", "<default>", {"message.max.bytes": "5000"})
    heard = Heard(zk)
    await heard.dynamic.load()
    assert 5000 == heard.config["message.max.bytes"]


@on_reactor
async def test_what_is_set_without_effect_is_told(clients: Clients, caplog: pytest.LogCaptureFixture) -> None:
    zk = await clients.open()
    await prepared(zk)
    await config_admin.write(zk, "brokers", "1", {"num.io.threads": "9", "message.max.bytes": "5000"})
    await Heard(zk).dynamic.load()
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "No effect here: num.io.threads (one reactor does this work)" == warning


@on_reactor
async def test_a_fault_is_told_once(clients: Clients, caplog: pytest.LogCaptureFixture) -> None:
    zk = await clients.open()
    await prepared(zk)
    heard = Heard(zk)
    await heard.dynamic.start()
    for size in ("5000", "6000"):
        await config_admin.write(zk, "brokers", "1", {"log.roll.ms": "0", "message.max.bytes": size})
        await until(lambda size=size: heard.config["message.max.bytes"] == int(size))
    assert 1 == sum("log.roll.ms" in record.getMessage() for record in caplog.records if record.levelname == "ERROR")
    heard.dynamic.stop()


@on_reactor
async def test_garbage_changes_nothing_and_does_not_stop_the_rest(clients: Clients) -> None:
    zk = await clients.open()
    await prepared(zk)
    heard = Heard(zk)
    await heard.dynamic.start()
    for data in (b"", b"nonsense", b"[]", b'{"version":2}', b'{"version":2,"entity_path":"topics"}', b"\xff\xfe"):
        await zk.create("/config/changes/config_change_", data, sequence=True)
    await zk.create("/config/changes/else", b"{}")
    await zk.create("/config/topics/g", b"garbage")
    await zk.create("/config/changes/config_change_", b'{"version":2,"entity_path":"topics/g"}', sequence=True)
    old = b'{"version":1,"entity_type":"topics","entity_name":"t"}'
    await zk.create("/config/changes/config_change_", old, sequence=True)
    await until(lambda: heard.topics)
    assert [("t", {})] == heard.topics
    heard.dynamic.stop()


@on_reactor
async def test_a_notification_that_cannot_be_followed_does_not_stop_those_behind_it(clients: Clients) -> None:
    zk = await clients.open()
    await prepared(zk)
    heard = Heard(zk)
    told: list[str] = []

    def follow(topic: str, values: dict[str, str]) -> None:
        told.append(topic)
        if topic == "bad":
            raise ArithmeticError("of somebody's making")

    heard.dynamic._topic_changed = follow
    await heard.dynamic.start()
    await config_admin.write(zk, "topics", "bad", {"retention.ms": "5"})
    await until(lambda: "bad" in told)
    await config_admin.write(zk, "topics", "good", {"retention.ms": "5"})
    await until(lambda: "good" in told)
    assert ["bad", "good"] == told
    heard.dynamic.stop()


@on_reactor
async def test_old_notifications_are_removed_after_they_were_read(clients: Clients) -> None:
    zk = await clients.open()
    await prepared(zk)
    await config_admin.write(zk, "topics", "t", {"retention.ms": "5"})
    ((name,), path) = (await zk.children("/config/changes"), "/config/changes")
    _, stat = await zk.get(f"{path}/{name}")
    clock = Told(stat.ctime + KEEP_MS)
    heard = Heard(zk, clock)
    await heard.dynamic.start()
    await until(lambda: heard.topics)
    assert [name] == await zk.children(path)
    clock.now_ms += 60_000
    await zk.create(f"{path}/config_change_", b'{"version":2,"entity_path":"users/u"}', sequence=True)

    async def gone() -> bool:
        return name not in await zk.children(path)

    await until(gone)
    assert [("t", {"retention.ms": "5"})] == heard.topics
    heard.dynamic.stop()


@on_reactor
async def test_B10_what_was_missed_during_a_lost_session_is_found_afterwards(clients: Clients) -> None:
    zk, other = await clients.open(), await clients.open()
    await prepared(zk)
    heard = Heard(zk)
    await heard.dynamic.start()
    await clients.expire(zk)
    await config_admin.write(other, "topics", "t", {"retention.ms": "5"})
    await until(lambda: ("t", {"retention.ms": "5"}) in heard.topics)
    heard.dynamic.stop()
