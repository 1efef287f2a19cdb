"""What may be set while a broker runs, beside what a running 3.9.1 said to 1,000 values with validate_only."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import pytest

from kafkalike.config import (
    BROKER,
    Config,
    ConfigException,
    broker_config,
    check_dynamic,
    read_properties,
    reconfigure,
    rules,
)
from tests.oracle import config_golden as golden

ROOT = Path(__file__).resolve().parent.parent.parent

# Keys whose values are refused or taken where Apache does the reverse.
ON_PURPOSE = {
    "advertised.listeners": "sockets are bound once",
    "listeners": "sockets are bound once",
    "listener.security.protocol.map": "sockets are bound once",
    "log.local.retention.ms": "it is below any retention, as that is unlimited by default",
    "metric.reporters": "no class is loaded by its name",
}
# Keys that are refused for the same values in other words than Apache's.
OTHER_WORDS = {
    "log.cleaner.threads": "Apache prints that it divided by zero",
    "max.connections.per.ip.overrides": "Apache prints what Java's substring() and Integer.parseInt() said",
    "principal.builder.class": "no class is loaded by its name, so that none is missing",
    "ssl.engine.factory.class": "no class is loaded by its name, so that none is missing",
}
VERDICTS = {
    name: [(entity, json.loads(value), said if code != "0" else "") for entity, _, value, code, said in rows]
    for name, rows in groupby(golden.rows("dynamic.tsv"), key=lambda row: row[1])
    if name not in golden.OURS
}


def running(**more: str) -> Config:
    file = read_properties((ROOT / "config/server.properties").read_text())
    given = file | {"listeners": "PLAINTEXT://127.0.0.1:1"} | {name.replace("_", "."): v for name, v in more.items()}
    return broker_config(given)[0]


def verdict(config: Config, entity: str, name: str, value: str) -> str:
    """Our refusal, "" when the value is taken."""
    try:
        check_dynamic(config, {name: value}, per_broker=bool(entity))
    except ConfigException as problem:
        return golden.short(name, str(problem))
    return ""


@pytest.mark.parametrize("name", VERDICTS)
def test_each_value_is_taken_or_refused_as_by_apaches_broker(name: str) -> None:
    config = running()
    theirs = VERDICTS[name]
    ours = [(entity, value, verdict(config, entity, name, value)) for entity, value, _ in theirs]
    if name in ON_PURPOSE:
        assert [bool(said) for *_, said in theirs] != [bool(said) for *_, said in ours], "take it from the table"
    elif name in OTHER_WORDS:
        assert theirs != ours, "take it from the table"
        assert [bool(said) for *_, said in theirs] == [bool(said) for *_, said in ours]
    else:
        assert theirs == ours


def test_each_dynamic_key_has_been_asked_about() -> None:
    assert {name for name, key in BROKER.items() if key.dynamic} <= set(VERDICTS)


def test_a_key_of_one_listener_is_checked_as_the_key_itself() -> None:
    config = running()
    for name, value in (("ssl.keystore.type", "JKS"), ("ssl.client.auth", "none"), ("max.connections", "5")):
        check_dynamic(config, {f"listener.name.plaintext.{name}": value}, per_broker=True)
    check_dynamic(config, {"listener.name.plaintext.max.connections": "5", "a.plugins.own": "x"}, per_broker=False)
    with pytest.raises(ConfigException, match="String must be one of: required, requested, none"):
        check_dynamic(config, {"listener.name.plaintext.ssl.client.auth": "x"}, per_broker=True)
    with pytest.raises(ConfigException, match="broker id must be specified: Set.listener.name.plaintext.ssl"):
        check_dynamic(config, {"listener.name.plaintext.ssl.client.auth": "none"}, per_broker=False)


def test_what_is_taken_away_returns_to_the_file() -> None:
    """The number of threads is compared with the file's, not with what was set before."""
    config = running(num_io_threads="64")
    assert [] == reconfigure(config, {"num.io.threads": "8"}, {})
    with pytest.raises(ConfigException, match="num.io.threads=64, value should not be greater than double"):
        check_dynamic(config, {}, per_broker=True)


def test_of_values_that_contradict_each_other_only_these_are_left_out() -> None:
    config = running()
    stored = {"max.connections.per.ip": "0", "log.roll.ms": "0", "message.max.bytes": "7"}
    bad = reconfigure(config, stored, {"max.connections": "5", "num.network.threads": "x"})
    assert ["log.roll.ms", "max.connections.per.ip", "num.network.threads"] == sorted(
        line.partition(":")[0] for line in bad
    )
    assert ({"message.max.bytes": "7"}, {"max.connections": "5"}) == (config.own, config.cluster)
    assert (7, 5, 2**31 - 1) == tuple(
        config[name] for name in ("message.max.bytes", "max.connections", "max.connections.per.ip")
    )


@pytest.mark.parametrize("listeners", ["nonsense", "PLAINTEXT://:²", "SSL://:1"])
@pytest.mark.parametrize("name", ["listeners", "advertised.listeners"])
def test_listeners_that_cannot_be_read_are_left_out_and_stop_no_other_fault_from_being_found(
    name: str, listeners: str
) -> None:
    config = running()
    bad = reconfigure(config, {name: listeners, "max.connections": "7"}, {"max.connections.per.ip": "0"})
    assert [name, "max.connections.per.ip"] == [line.partition(":")[0] for line in bad]
    assert ({"max.connections": "7"}, {}, 7) == (config.own, config.cluster, config["max.connections"])


def test_a_rule_names_each_key_it_reads_that_may_be_set_while_a_broker_runs() -> None:
    class Reads(dict[str, object]):
        def __getitem__(self, key: str) -> object:
            read.add(key)
            return super().__getitem__(key)

    config = running()
    for names, rule in rules.RULES:
        read: set[str] = set()
        assert rule(Config(Reads(config), config.originals)) is None
        assert read and {key for key in read if BROKER[key].dynamic} <= set(names), rule
