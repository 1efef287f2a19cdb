"""The programs that Apache Kafka 3.9.1 ships, run from their own jars: JVMs start slowly, so each test does much."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.servers import JAVA, Kafka, kafka_home, tool, wait_until

CONSOLE_PRODUCER = "kafka.tools.ConsoleProducer"
CONSOLE_CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
TOPICS = "org.apache.kafka.tools.TopicCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
VERIFIABLE_PRODUCER = "org.apache.kafka.tools.VerifiableProducer"
VERIFIABLE_CONSUMER = "org.apache.kafka.tools.VerifiableConsumer"


def command(main: str, kafka: Kafka, *words: object) -> list[str]:
    tool("java", "default-jre-headless")
    quiet = ["-Xmx128m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
    server = ["--bootstrap-server", kafka.bootstrap]
    return [*JAVA, *quiet, "-cp", f"{kafka_home()}/lib/*", main, *server, *map(str, words)]


def java(main: str, kafka: Kafka, *words: object, stdin: str = "", fails: bool = False) -> str:
    """What the program prints."""
    done = subprocess.run(
        command(main, kafka, *words), input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    assert fails == (done.returncode != 0), done.stdout + done.stderr
    return done.stdout + done.stderr


def consume(kafka: Kafka, topic: str, count: int, *words: object) -> list[str]:
    printed = java(
        CONSOLE_CONSUMER, kafka, "--topic", topic, "--max-messages", count, "--timeout-ms", 20000, *words
    ).splitlines()
    assert f"Processed a total of {count} messages" in printed
    return [line for line in printed if not line.startswith("Processed a total")]


def test_topic_command_creates_lists_describes_alters_and_deletes(kafka: Kafka, name: str) -> None:
    created = java(TOPICS, kafka, "--create", "--topic", name, "--partitions", 2, "--config", "segment.bytes=1048576")
    assert f"Created topic {name}." in created
    again = java(TOPICS, kafka, "--create", "--topic", name, fails=True)
    assert f"Topic '{name}' already exists." in again
    java(TOPICS, kafka, "--alter", "--topic", name, "--partitions", 3)
    described = java(TOPICS, kafka, "--describe", "--topic", name)
    assert re.search(
        rf"Topic: {name}\tTopicId: \S{{22}}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: ", described
    )
    assert "segment.bytes=1048576" in described
    assert 3 == len(re.findall(r"Partition: \d\tLeader: 0\tReplicas: 0\tIsr: 0", described))
    java(TOPICS, kafka, "--delete", "--topic", name)
    wait_until(lambda: name not in kafka.admin.list_topics(timeout=10).topics)
    assert name not in java(TOPICS, kafka, "--list").split()


def test_topic_command_tells_why_it_is_refused(kafka: Kafka, name: str) -> None:
    refused = java(TOPICS, kafka, "--create", "--topic", name, "--replication-factor", 3, fails=True)
    assert re.search(r"Replication factor: 3 larger than available brokers: 1", refused)


@pytest.mark.real_zookeeper
def test_console_producer_and_consumer_exchange_keys_headers_and_values(kafka: Kafka, topic: str) -> None:
    sent = [f"h1:v{i},h2:w\tkey{i}\tvalue {i}" for i in range(50)]
    parsed = ["--property", "parse.key=true", "--property", "parse.headers=true"]
    java(CONSOLE_PRODUCER, kafka, "--topic", topic, *parsed, stdin="\n".join(sent) + "\n")
    shown = ["key", "headers", "timestamp", "partition", "offset"]
    printed = [word for what in shown for word in ("--property", f"print.{what}=true")]
    got = consume(kafka, topic, 50, "--from-beginning", *printed)
    lines = [re.fullmatch(r"CreateTime:\d+\tPartition:(\d)\tOffset:(\d+)\t(.*)", line) for line in got]
    assert sorted(sent) == sorted(line.group(3) for line in lines if line)
    for partition in {"0", "1"}:
        offsets = [int(line.group(2)) for line in lines if line and line.group(1) == partition]
        assert list(range(len(offsets))) == offsets


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_console_producer_and_consumer_exchange_each_codec(kafka: Kafka, topic: str, codec: str) -> None:
    sent = [f"{codec} {i} {'z' * 100}" for i in range(200)]
    java(CONSOLE_PRODUCER, kafka, "--topic", topic, "--compression-codec", codec, stdin="\n".join(sent) + "\n")
    assert sorted(sent) == sorted(consume(kafka, topic, 200, "--from-beginning"))


@pytest.mark.real_zookeeper
def test_consumer_group_command_shows_lag_and_resets_offsets(kafka: Kafka, name: str) -> None:
    topic = kafka.create_topic(name, 1)
    java(CONSOLE_PRODUCER, kafka, "--topic", topic, stdin="".join(f"{i}\n" for i in range(10)))
    assert [str(i) for i in range(7)] == consume(kafka, topic, 7, "--from-beginning", "--group", name)
    kafka.assert_committed(name, topic, {0: 7})

    described = java(GROUPS, kafka, "--describe", "--group", name)
    assert f"Consumer group '{name}' has no active members." in described
    assert re.search(rf"^{name}\s+{topic}\s+0\s+7\s+10\s+3\s+-\s+-\s+-\s*$", described, re.M)
    reset = ["--reset-offsets", "--group", name, "--topic", topic, "--to-offset", 2, "--execute"]
    assert re.search(rf"\b{name}\s+{topic}\s+0\s+2\s*$", java(GROUPS, kafka, *reset))
    kafka.assert_committed(name, topic, {0: 2})
    assert ["2", "3"] == consume(kafka, topic, 2, "--group", name)
    kafka.assert_committed(name, topic, {0: 4})

    assert name in java(GROUPS, kafka, "--list").split()
    assert "Deletion of requested consumer groups" in java(GROUPS, kafka, "--delete", "--group", name)
    kafka.assert_committed(name, topic, {})


def test_consumer_group_command_shows_members_and_state_of_a_live_group(
    kafka: Kafka, topic: str, name: str, tmp_path: Path
) -> None:
    with (tmp_path / "consumed").open("w") as out:
        consumer = subprocess.Popen(
            command(CONSOLE_CONSUMER, kafka, "--topic", topic, "--group", name), stdout=out, stderr=out
        )
    try:
        groups = kafka.admin.describe_consumer_groups
        wait_until(lambda: groups([name])[name].result(10).state.name == "STABLE")
        members = java(GROUPS, kafka, "--describe", "--group", name, "--members", "--verbose")
        row = rf"^{name}\s+console-consumer-\S+\s+/127\.0\.0\.1\s+console-consumer\s+2\s+\(0,1\)\s*$"
        assert re.search(row, members, re.M), members
        state = java(GROUPS, kafka, "--describe", "--group", name, "--state")
        row = rf"^{name}\s+127\.0\.0\.1:{kafka.broker.port}\s+\(0\)\s+range\s+Stable\s+1\s*$"
        assert re.search(row, state, re.M), state
    finally:
        consumer.terminate()
        consumer.wait(20)


@pytest.mark.real_zookeeper
def test_verifiable_producer_and_consumer_agree(kafka: Kafka, topic: str, name: str) -> None:
    produced = events(java(VERIFIABLE_PRODUCER, kafka, "--topic", topic, "--max-messages", 1000, "--acks", -1))
    sent = [e for e in produced if e["name"] == "producer_send_success"]
    assert [str(i) for i in range(1000)] == sorted((e["value"] for e in sent), key=int)
    words = ["--topic", topic, "--group-id", name, "--max-messages", 1000, "--reset-policy", "earliest", "--verbose"]
    consumed = events(java(VERIFIABLE_CONSUMER, kafka, *words))
    got = [(e["partition"], e["offset"], e["value"]) for e in consumed if e["name"] == "record_data"]
    assert sorted((e["partition"], e["offset"], e["value"]) for e in sent) == sorted(got)
    assert all(e["success"] for e in consumed if e["name"] == "offsets_committed")
    kafka.assert_committed(name, topic, dict(Counter(e["partition"] for e in sent)))


def events(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
