"""Altering configuration: every refusal in Kafka's words (as 3.9.1 was heard to answer), and what is written."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from kafkalike.broker import config_admin
from kafkalike.config import broker_config
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import alter_configs, incremental_alter_configs
from tests.broker.apis.calls import ask
from tests.oracle import config_golden
from tests.oracle import znodes_golden as golden
from tests.reactor import on_reactor
from tests.zookeeper import Clients
from zk.client import ZkClient

TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = range(4)


async def cluster(zk: ZkClient, controller: bool = True) -> SimpleNamespace:
    """Broker 1 of a cluster that has topic gold-t."""
    for path in ("/config/topics", "/config/brokers", "/config/changes"):
        await zk.create(path, None, makepath=True)
    await zk.create("/config/topics/gold-t", b'{"version":1,"config":{"retention.ms":"86400000"}}')
    if controller:
        await zk.create("/controller", b'{"version":2,"brokerid":1,"timestamp":"1","kraftControllerEpoch":-1}')
    config, _ = broker_config({"zookeeper.connect": "z", "broker.id": "1"})
    metadata = SimpleNamespace(image=SimpleNamespace(topics={"gold-t": None}))
    return SimpleNamespace(zk=zk, config=config, broker_id=1, metadata=metadata)


def asked(kind: int, name: str, *operations: tuple[str, int, str | None], validate_only: bool = False) -> Any:
    api = incremental_alter_configs
    entries = [api.AlterableConfig(name=n, config_operation=o, value=v) for n, o, v in operations]
    resource = api.AlterConfigsResource(resource_type=kind, resource_name=name, configs=entries)
    return api.Request(resources=[resource], validate_only=validate_only)


async def answer(broker: Any, *wanted: Any, **options: Any) -> tuple[int, str | None]:
    response = await ask(broker, "incremental_alter_configs", asked(*wanted, **options))
    (result,) = response.responses
    assert wanted[:2] == (result.resource_type, result.resource_name)
    return result.error_code, result.error_message


async def tree(zk: ZkClient, *paths: str) -> dict[str, golden.Form]:
    found = {}
    for path in paths:
        data, stat = await zk.get(path)
        found[path] = golden.form(data, False, stat.version)
    return found


@pytest.mark.parametrize(
    ("number", "wanted", "entity"),
    [
        ("05", (TOPIC, "gold-t", ("cleanup.policy", SET, "compact")), "/config/topics/gold-t"),
        ("07", (BROKER, "1", ("background.threads", SET, "10")), "/config/brokers/1"),
        ("08", (BROKER, "", ("log.cleaner.backoff.ms", SET, "15000")), "/config/brokers/<default>"),
    ],
)
@on_reactor
async def test_what_is_written_is_what_kafka_writes(clients: Clients, number: str, wanted: Any, entity: str) -> None:
    zk = await clients.open()
    broker = await cluster(zk)
    assert (0, None) == await answer(broker, *wanted)
    expected = golden.dump(number)
    ours = await tree(zk, entity, "/config/changes/config_change_0000000000")
    theirs = golden.tree(expected["created"] + expected["changed"])
    assert list(ours.values()) == [
        theirs[entity],
        next(node for path, node in theirs.items() if path.startswith("/config/changes/")),
    ]


@on_reactor
async def test_a_deletion_leaves_the_rest(clients: Clients) -> None:
    zk = await clients.open()
    broker = await cluster(zk)
    await answer(broker, TOPIC, "gold-t", ("cleanup.policy", SET, "compact"))
    assert (0, None) == await answer(broker, TOPIC, "gold-t", ("cleanup.policy", DELETE, None))
    expected = golden.tree(golden.dump("06")["changed"])
    assert expected == await tree(zk, "/config/topics/gold-t")


@on_reactor
async def test_lists_are_extended_and_shortened(clients: Clients) -> None:
    zk = await clients.open()
    broker = await cluster(zk)

    async def policy() -> str | None:
        data, _ = await zk.get("/config/topics/gold-t")
        return json.loads(data or b"")["config"].get("cleanup.policy")

    await answer(broker, TOPIC, "gold-t", ("cleanup.policy", APPEND, "compact,delete"))
    assert "delete,compact" == await policy()
    await answer(broker, TOPIC, "gold-t", ("cleanup.policy", SUBTRACT, "delete,gone"))
    assert "compact" == await policy()


@on_reactor
async def test_alter_configs_replaces_everything(clients: Clients) -> None:
    zk = await clients.open()
    broker = await cluster(zk)
    api = alter_configs
    entries = [api.AlterableConfig(name="segment.bytes", value="1000000")]
    resource = api.AlterConfigsResource(resource_type=TOPIC, resource_name="gold-t", configs=entries)
    for version in (0, 2):
        response = await ask(broker, "alter_configs", api.Request(resources=[resource]), version)
        assert [0] == [result.error_code for result in response.responses]
    data, _ = await zk.get("/config/topics/gold-t")
    assert {"segment.bytes": "1000000"} == json.loads(data or b"")["config"]


@on_reactor
async def test_only_validated(clients: Clients) -> None:
    zk = await clients.open()
    broker = await cluster(zk)
    assert (0, None) == await answer(broker, BROKER, "1", ("background.threads", SET, "12"), validate_only=True)
    assert [] == await zk.children("/config/brokers")
    assert [] == await zk.children("/config/changes")


FORMAT = (
    "leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: "
    "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
)
INVALID = "Invalid config value for resource ConfigResource(type=TOPIC, name='gold-t'): "
DYNAMIC = (
    "Invalid value org.apache.kafka.common.config.ConfigException: {} for configuration Invalid dynamic configuration"
)
THREADS = "Dynamic thread count update validation failed for num.io.threads={}, value should "


@pytest.mark.parametrize("row", [row[1:5] for row in config_golden.rows("resources.tsv") if row[0] == "alter"])
@on_reactor
async def test_each_type_of_resource_is_answered_as_by_apaches(clients: Clients, row: list[str]) -> None:
    kind, name, code, said = row
    zk = await clients.open()
    broker = await cluster(zk)
    broker.broker_id = 0
    said = said.replace("Expected 0, but received 0", f"Expected 0, but received {name}")  # Apache names its own twice
    assert (int(code), said or None) == await answer(
        broker, int(kind), name, ("interval.ms", SET, "1000"), validate_only=True
    )


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        ((TOPIC, "gold-t", ("bogus", APPEND, "x")), -1, None),
        ((TOPIC, "gold-t", ("retention.ms", 7, "5")), -1, None),
        (
            (TOPIC, "gold-t", ("retention.ms", APPEND, "5")),
            40,
            "Config value append is not allowed for config key: retention.ms",
        ),
        (
            (TOPIC, "gold-t", ("retention.ms", SUBTRACT, "5")),
            40,
            "Config value subtract is not allowed for config key: retention.ms",
        ),
        ((TOPIC, "", ("retention.ms", SET, "5")), 42, "Default topic resources are not allowed."),
        ((TOPIC, "zz", ("retention.ms", SET, "5")), 3, "The topic 'zz' does not exist."),
        ((TOPIC, "gold-t", ("retention.ms", SET, None)), 42, "Null value not supported for : retention.ms"),
        (
            (TOPIC, "gold-t", ("retention.ms", SET, "1"), ("retention.ms", DELETE, "1")),
            42,
            "Error due to duplicate config keys",
        ),
        (
            (TOPIC, "gold-t", ("cleanup.policy", SET, "zip")),
            40,
            INVALID + "Invalid value zip for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            (TOPIC, "gold-t", ("min.compaction.lag.ms", SET, "10"), ("max.compaction.lag.ms", SET, "5")),
            40,
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
        (
            (TOPIC, "gold-t", ("leader.replication.throttled.replicas", SET, "x")),
            40,
            INVALID + "Invalid value [x] for configuration leader.replication.throttled.replicas: " + FORMAT,
        ),
        (
            (TOPIC, "gold-t", ("remote.storage.enable", SET, "true")),
            40,
            INVALID
            + "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log "
            "storage.",
        ),
        ((TOPIC, "gold-t", ("bogus", SET, "x")), 40, "Unknown topic config name: bogus"),
        ((BROKER, "2", ("log.cleaner.threads", SET, "1")), 42, "Unexpected broker id, expected 1, but received 2"),
        ((BROKER, "x", ("log.cleaner.threads", SET, "1")), 42, "Node id must be an integer, but it is: x"),
        (
            (BROKER, "9" * 5000, ("log.cleaner.threads", SET, "1")),
            42,
            "Node id must be an integer, but it is: " + "9" * 5000,
        ),
        (
            (BROKER, "1", ("listeners", SET, "SSL://:²")),
            42,
            "Error creating broker listeners from 'SSL://:²': Unable to parse SSL://:² to a broker endpoint",
        ),
        (
            (BROKER, "1", ("broker.id", SET, "1"), ("log.dirs", SET, "1")),
            42,
            "Cannot update these configs dynamically: Set(broker.id, log.dirs)",
        ),
        (
            (BROKER, "1", ("log.cleaner.threads", SET, "x")),
            42,
            "Invalid value x for configuration log.cleaner.threads: Not a number of type INT",
        ),
        (
            (BROKER, "1", ("log.cleaner.threads", SET, "100")),
            42,
            DYNAMIC.format("Log cleaner threads cannot be increased to more than double the current value 1"),
        ),
        (
            (BROKER, "1", ("num.io.threads", SET, "100")),
            42,
            DYNAMIC.format(THREADS.format(100) + "not be greater than double the current value 8"),
        ),
        (
            (BROKER, "1", ("num.io.threads", SET, "1")),
            42,
            DYNAMIC.format(THREADS.format(1) + "be at least half the current value 8"),
        ),
        (
            (BROKER, "", ("listeners", SET, "PLAINTEXT://:1")),
            42,
            "Cannot update these configs at default cluster level, broker id must be specified: Set(listeners)",
        ),
        (
            (BROKER, "1", ("leader.replication.throttled.rate", SET, "-1")),
            42,
            "Invalid value -1 for configuration leader.replication.throttled.rate: Value must be at least 0",
        ),
        ((BROKER, "1", ("log.cleaner.threads", 9, "b")), 42, "Unknown operations type 9"),
        (
            (BROKER, "1", ("zookeeper.ssl.cipher.suites", 2, "b")),  # a list without a default
            42,
            "Cannot update these configs dynamically: Set(zookeeper.ssl.cipher.suites)",
        ),
        (
            (BROKER, "1", ("log.cleaner.dedupe.buffer.size", SET, "1")),
            42,
            "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
        ),
        ((3, "x", ("a", SET, "b")), 42, "Unknown resource type 3"),
        (
            (16, "x", ("a", SET, "b")),
            42,
            "AlterConfigs is only supported for topics and brokers, but resource type is CLIENT_METRICS",
        ),
    ],
)
@on_reactor
async def test_refusals(clients: Clients, wanted: Any, code: int, said: str | None) -> None:
    zk = await clients.open()
    broker = await cluster(zk)
    assert (code, said) == await answer(broker, *wanted)
    assert [] == await zk.children("/config/changes")


@on_reactor
async def test_nothing_changes_without_a_controller(clients: Clients) -> None:
    zk = await clients.open()
    broker = await cluster(zk, controller=False)
    code, said = await answer(broker, TOPIC, "gold-t", ("retention.ms", SET, "5"))
    assert Error.STALE_CONTROLLER_EPOCH == code
    assert "when there is no controller" in (said or "")
    assert [] == await zk.children("/config/changes")


@on_reactor
async def test_garbage_is_not_overwritten_unseen(clients: Clients) -> None:
    zk = await clients.open()
    broker = await cluster(zk)
    await zk.set("/config/topics/gold-t", b"garbage")
    code, said = await answer(broker, TOPIC, "gold-t", ("retention.ms", SET, "5"))
    assert Error.INVALID_CONFIG == code
    assert "/config/topics/gold-t" in (said or "")
    assert (b"garbage", 1) == ((found := await zk.get("/config/topics/gold-t"))[0], found[1].version)


@on_reactor
async def test_a_resource_named_twice_is_refused_both_times(clients: Clients) -> None:
    zk = await clients.open()
    broker = await cluster(zk)
    request = asked(TOPIC, "gold-t", ("retention.ms", SET, "5"))
    request.resources *= 2
    response = await ask(broker, "incremental_alter_configs", request)
    assert 2 * [(42, "Each resource must appear at most once.")] == [
        (result.error_code, result.error_message) for result in response.responses
    ]


@on_reactor
async def test_a_lost_session_is_told() -> None:
    from zk.client import SessionExpired

    def lost(*_: object) -> Deferred[None]:
        raise SessionExpired()

    with pytest.raises(KafkaError) as problem:
        await config_admin.write(SimpleNamespace(exists=lost), "topics", "t", {})
    assert Error.REQUEST_TIMED_OUT is problem.value.error
