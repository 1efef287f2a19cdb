"""Kafka's configuration keys: parsing, defaults, bounds, texts."""

import pytest

from kafkalike.config import (
    BROKER,
    TOPIC,
    ConfigException,
    Endpoint,
    broker_config,
    parse_topic_overrides,
    read_properties,
    text_of,
    topic_config,
)

MINIMAL = {"zookeeper.connect": "127.0.0.1:2181", "broker.id": "0"}


def configured(**settings):
    return broker_config({**MINIMAL, **{name.replace("_", "."): value for name, value in settings.items()}})[0]


def test_a_properties_file_is_read_as_java_reads_it():
    text = "# comment\n! too\n\nbroker.id = 7\nlog.dirs=/a,\\\n   /b\nempty=\nurl: x=y\n"
    assert read_properties(text) == {"broker.id": "7", "log.dirs": "/a,/b", "empty": "", "url": "x=y"}


def test_unknown_keys_are_named_and_ignored():
    config, unknown = broker_config({**MINIMAL, "no.such.key": "1"})
    assert unknown == ["no.such.key"]
    assert "no.such.key" not in config


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("log.segment.bytes", "many", "Invalid value many for configuration log.segment.bytes: Not a number"),
        ("log.segment.bytes", "13", "Value must be at least 14"),
        ("log.segment.bytes", str(2**31), "Not a number of type INT"),
        ("delete.topic.enable", "yes", "Expected value to be either true or false"),
        ("log.cleaner.min.cleanable.ratio", "1.5", "Value must be no more than 1"),
        ("compression.type", "rar", "String must be one of: uncompressed, zstd"),
        ("log.cleanup.policy", "delete,forget", "String must be one of: compact, delete"),
        ("listeners", "PLAINTEXT:/9092", "Unable to parse PLAINTEXT:/9092 to a broker endpoint"),
        ("listeners", "PLAINTEXT://:²", "Unable to parse PLAINTEXT://:² to a broker endpoint"),
        ("listeners", "PLAINTEXT://:" + "9" * 5000, "Unable to parse PLAINTEXT://:999"),
        ("listeners", "PLAINTEXT://" + "é" * 70 + ":1", "to a broker endpoint"),
        ("advertised.listeners", "PLAINTEXT://two words:1", "Unable to parse PLAINTEXT://two words:1"),
        ("listeners", "INSIDE://:9092", "No security protocol defined for listener INSIDE"),
        ("listeners", "PLAINTEXT://:1,PLAINTEXT://:2", "Each listener must have a different name"),
        ("listeners", "PLAINTEXT://:1,SSL://:1", "Each listener must have a different port"),
        ("advertised.listeners", "PLAINTEXT://0.0.0.0:9092", "nonroutable meta-address 0.0.0.0"),
        (
            "advertised.listeners",
            "PLAINTEXT://a:1,SSL://a:9092",
            "must be equal to or a subset of the ones defined in listeners",
        ),
        ("replica.selector.class", "com.example.Mine", "no class is loaded by name"),
        ("authorizer.class.name", "kafka.security.authorizer.AclAuthorizer", "access control is not supported yet"),
        ("broker.id", "1001", "greater than or equal to -1 and not greater than reserved.broker.max.id"),
    ],
)
def test_what_cannot_be_used_is_refused_with_kafkas_words(name, text, words):
    with pytest.raises(ConfigException) as refusal:
        config, _ = broker_config({**MINIMAL, name: text})
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_node_id_is_another_name_of_broker_id():
    assert 7 == broker_config({"zookeeper.connect": "x", "node.id": "7"})[0]["broker.id"]
    assert 7 == broker_config({"zookeeper.connect": "x", "broker.id": "7"})[0]["node.id"]
    with pytest.raises(ConfigException, match="You must set `node.id` to the same value as `broker.id`"):
        broker_config({"zookeeper.connect": "x", "broker.id": "7", "node.id": "8"})


def test_zookeeper_connect_is_required():
    with pytest.raises(ConfigException, match='Missing required configuration "zookeeper.connect"'):
        broker_config({})


def test_listeners_have_names_protocols_and_addresses():
    config = configured(
        listeners="INSIDE://[::1]:9092,OUTSIDE://:0",
        listener_security_protocol_map="INSIDE:PLAINTEXT,OUTSIDE:SSL",
        inter_broker_listener_name="INSIDE",
    )
    assert config.listeners == [Endpoint("INSIDE", "PLAINTEXT", "::1", 9092), Endpoint("OUTSIDE", "SSL", "", 0)]
    assert config.advertised_listeners == config.listeners


def test_retention_is_unlimited_unless_hours_minutes_or_ms_say_otherwise():
    assert topic_config(configured(), {})["retention.ms"] == -1
    assert topic_config(configured(log_retention_hours="2"), {})["retention.ms"] == 7_200_000
    assert topic_config(configured(log_retention_hours="2", log_retention_minutes="5"), {})["retention.ms"] == 300_000
    assert topic_config(configured(log_retention_minutes="5", log_retention_ms="7"), {})["retention.ms"] == 7


def test_a_topics_own_value_wins_over_the_brokers():
    config = configured(log_segment_bytes="1000")
    assert topic_config(config, {})["segment.bytes"] == 1000
    assert topic_config(config, {"segment.bytes": "2000"})["segment.bytes"] == 2000


def test_unknown_topic_keys_are_refused():
    with pytest.raises(ConfigException, match="Unknown topic config name: retention.days"):
        parse_topic_overrides({"retention.days": "1"})


def test_every_topic_synonym_is_a_broker_key():
    assert {name for key in TOPIC.values() for name, _ in key.synonyms} <= set(BROKER)


def test_every_default_passes_its_own_check():
    for key in BROKER.values():
        if key.default is not None and key.check is not None:
            key.check(key.name, key.default)


def test_values_are_printed_as_kafka_prints_them():
    assert [text_of(v) for v in (True, ["a", "b"], 5, None, 0.5)] == ["true", "a,b", "5", None, "0.5"]


def test_a_configuration_for_kraft_is_refused_in_one_line() -> None:
    """The line comes before any other error, as such a file names listeners and keys that this broker does not know."""
    kraft = {"process.roles": "broker,controller", "node.id": "1", "listeners": "CONTROLLER://:9093"}
    with pytest.raises(ConfigException, match=r"^process.roles=broker,controller is a configuration for KRaft, .*"):
        broker_config(kraft)
    broker_config({"zookeeper.connect": "z", "process.roles": " "})
