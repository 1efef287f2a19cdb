"""DescribeConfigs beside what a real 3.9.1 with the same file was heard to answer."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import succeed

from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.config import broker_config, read_properties, reconfigure
from kafkalike.protocol.messages import describe_configs as api
from tests.broker.apis.calls import ask
from tests.oracle import config_golden as golden
from tests.reactor import on_reactor
from tests.servers import APACHES_OWN

ROOT = Path(__file__).resolve().parent.parent.parent.parent
TOPIC, BROKER, BROKER_LOGGER = 2, 4, 8

# Defaults that differ on purpose, and where a topic's follow.
OTHER_DEFAULTS = {
    "log.retention.hours": "nothing is thrown away unless the operator says so",
    "retention.ms": "nothing is thrown away unless the operator says so",
}
# Each run of Apache's broker has other ports and directories.
VOLATILE = {"listeners", "log.dirs", "zookeeper.connect"}


def broker(topic: dict[str, str] | None = None, **more: str) -> Any:
    file = read_properties((ROOT / "config/server.properties").read_text())
    given = {"broker.id": "0", "listeners": "PLAINTEXT://127.0.0.1:1", "log.dirs": "/d", "zookeeper.connect": "z:1"}
    given |= {name: str(value) for name, value in APACHES_OWN.items()}
    config, _ = broker_config(file | given | {name.replace("_", "."): value for name, value in more.items()})
    return SimpleNamespace(
        config=config,
        broker_id=0,
        metadata=SimpleNamespace(image=SimpleNamespace(topics={"t": None})),
        zk=SimpleNamespace(get=lambda path: succeed((EntityConfig.encode(topic or {}), None))),
    )


async def described(of: Any, kind: int, name: str, **options: Any) -> dict[str, Any]:
    resource = api.DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=None)
    response = await ask(of, "describe_configs", api.Request(resources=[resource], include_synonyms=True, **options), 3)
    (result,) = response.results
    assert (0, "") == (result.error_code, result.error_message)
    return {entry.name: entry for entry in result.configs}


@pytest.mark.parametrize(("table", "kind", "resource"), [("broker", BROKER, "0"), ("topic", TOPIC, "t")])
@on_reactor
async def test_every_key_of_apaches_is_listed_as_there(table: str, kind: int, resource: str) -> None:
    found = await described(broker(), kind, resource)
    theirs = {row[0]: row for row in golden.rows(f"{table}.tsv")}
    assert set(theirs) == set(found) - golden.OURS
    ours = {}
    for name in theirs:
        entry = found[name]
        value = theirs[name][2] if name in VOLATILE | set(OTHER_DEFAULTS) else json.dumps(entry.value)
        synonyms = ",".join(f"{synonym.source}:{synonym.name}" for synonym in entry.synonyms)
        kind_of = golden.TYPES[entry.config_type]
        ours[name] = [name, kind_of, value, str(int(entry.read_only)), str(int(entry.is_sensitive)), synonyms]
    assert theirs == ours


@on_reactor
async def test_other_defaults_are_others() -> None:
    theirs = {row[0]: json.loads(row[2]) for table in ("broker", "topic") for row in golden.rows(f"{table}.tsv")}
    ours = {**await described(broker(), BROKER, "0"), **await described(broker(), TOPIC, "t")}
    assert [] == [name for name in OTHER_DEFAULTS if theirs[name] == ours[name].value]


@pytest.mark.parametrize("row", [row[1:] for row in golden.rows("resources.tsv") if row[0] == "describe"])
@on_reactor
async def test_each_type_of_resource_is_answered_as_there(row: list[str]) -> None:
    kind, name, code, message, some = row
    resource = api.DescribeConfigsResource(resource_type=int(kind), resource_name=name, configuration_keys=None)
    response = await ask(broker_without("x", "0", "1"), "describe_configs", api.Request(resources=[resource]), 3)
    (result,) = response.results
    assert (int(code), some == "True") == (result.error_code, bool(result.configs))
    if int(code) not in (0, 17):
        assert json.loads(message) == result.error_message


@pytest.mark.parametrize("kind", [BROKER, BROKER_LOGGER])
@pytest.mark.parametrize("name", ["²", "9" * 5000])
@on_reactor
async def test_what_only_looks_like_a_number_is_none(kind: int, name: str) -> None:
    resource = api.DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=None)
    response = await ask(broker(), "describe_configs", api.Request(resources=[resource]), 3)
    assert [f"Broker id must be an integer, but it is: {name}"] == [each.error_message for each in response.results]


def broker_without(*topics: str) -> Any:
    of = broker()
    assert not set(topics) & set(of.metadata.image.topics)
    return of


@on_reactor
async def test_a_type_that_nobody_describes_fails_the_whole_request() -> None:
    resources = [api.DescribeConfigsResource(resource_type=kind, resource_name="0") for kind in (BROKER, 32)]
    response = await ask(broker(), "describe_configs", api.Request(resources=resources), 3)
    assert [42, 42] == [result.error_code for result in response.results]


@on_reactor
async def test_a_key_without_effect_says_so() -> None:
    found = await described(broker(), BROKER, "0", include_documentation=True)
    assert "No effect here: one reactor does this work." in found["num.io.threads"].documentation
    assert "No effect here" not in found["message.max.bytes"].documentation


@on_reactor
async def test_values_are_shown_as_they_were_understood() -> None:
    of = broker({"max.message.bytes": " 7000 ", "min.cleanable.dirty.ratio": "0.25f", "cleanup.policy": "forget"})
    topic = await described(of, TOPIC, "t")
    assert ("7000", "0.25", "delete") == tuple(
        topic[name].value for name in ("max.message.bytes", "min.cleanable.dirty.ratio", "cleanup.policy")
    )
    assert [(1, "max.message.bytes", "7000"), (5, "message.max.bytes", "1048588")] == [
        (s.source, s.name, s.value) for s in topic["max.message.bytes"].synonyms
    ]


@on_reactor
async def test_what_was_set_says_where() -> None:
    of = broker(log_retention_hours="2", some_plugins_password="secret", metadata_log_segment_min_bytes="100")
    reconfigure(of.config, {"log.roll.ms": "5"}, {"log.roll.ms": "7", "message.max.bytes": "9"})
    found, topic = await described(of, BROKER, "0"), await described(of, TOPIC, "t")
    assert [(2, "5"), (3, "7"), (5, "168")] == [(s.source, s.value) for s in found["log.roll.ms"].synonyms]
    assert ("168", 5) == (found["log.roll.hours"].value, found["log.roll.hours"].config_source)
    assert ("7200000", 4) == (topic["retention.ms"].value, topic["retention.ms"].config_source)
    assert (None, True, 4) == tuple(
        getattr(found["some.plugins.password"], field) for field in ("value", "is_sensitive", "config_source")
    )
    assert "100" == found["metadata.log.segment.min.bytes"].value
    assert ["log.roll.ms", "message.max.bytes"] == list(await described(of, BROKER, ""))
