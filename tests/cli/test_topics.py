"""kafka-topics.sh: Kafka's options and output."""

import re

import pytest

from kafkalike.cli.topics import main
from tests.cli.commands import Done, refusal, run
from tests.servers import Kafka, wait_until


@pytest.fixture
def topics(kafka: Kafka):
    def call(*arguments: object) -> Done:
        return run("kafka-topics", "--bootstrap-server", kafka.bootstrap, *arguments)

    return call


def test_create_describe_list_alter_delete(kafka: Kafka, topics, name: str) -> None:
    done = topics("--create", "--topic", name, "--partitions", 2, "--config", "retention.ms=3600000")
    assert (0, f"Created topic {name}.\n", "") == (done.code, done.out, done.err)
    wait_until(lambda: f"{name}\n" in topics("--list").out)
    described = topics("--describe", "--topic", name).out
    assert re.fullmatch(
        rf"Topic: {name}\tTopicId: [-\w]{{22}}\tPartitionCount: 2\tReplicationFactor: 1\t"
        rf"Configs: retention.ms=3600000\n"
        rf"\tTopic: {name}\tPartition: 0\tLeader: 0\tReplicas: 0\tIsr: 0\tElr: N/A\tLastKnownElr: N/A\n"
        rf"\tTopic: {name}\tPartition: 1\tLeader: 0\tReplicas: 0\tIsr: 0\tElr: N/A\tLastKnownElr: N/A\n",
        described,
    )
    topic_id = re.search(r"TopicId: (\S+)", described)
    assert topic_id
    assert described == topics("--describe", f"--topic-id={topic_id[1]}").out
    assert f"Topic: {name}\t" in topics("--describe", "--topics-with-overrides").out
    assert "" == topics("--describe", "--topic", name, "--under-replicated-partitions").out
    assert "" == topics("--describe", "--topic", name, "--unavailable-partitions").out
    assert 2 == len(topics("--describe", "--topic", name, "--at-min-isr-partitions").lines)
    assert (0, "") == (topics("--alter", "--topic", name, "--partitions", 3).code, "")
    wait_until(lambda: "PartitionCount: 3" in topics("--describe", "--topic", name).out)
    assert (0, "") == (topics("--delete", "--topic", name).code, "")
    wait_until(lambda: f"{name}\n" not in topics("--list").out)


def test_patterns_name_several_topics(kafka: Kafka, topics, name: str) -> None:
    for suffix in ("a", "b", "c"):
        kafka.create_topic(f"{name}-{suffix}", 1)
    assert [f"{name}-a", f"{name}-b"] == topics("--list", "--topic", f"{name}-(a|b)").lines
    assert [f"{name}-a", f"{name}-c"] == topics("--list", "--topic", f"{name}-a, {name}-c").lines
    topics("--delete", "--topic", f"{name}-.*")
    wait_until(lambda: [] == topics("--list", "--topic", f"{name}.*").lines)


def test_replica_assignment(topics, name: str) -> None:
    assert 0 == topics("--create", "--topic", name, "--replica-assignment", "0,0,0").code
    wait_until(lambda: "PartitionCount: 3" in topics("--describe", "--topic", name, "--if-exists").out)


def test_existing_topics(topics, topic: str) -> None:
    done = topics("--create", "--topic", topic)
    assert (1, f"Error while executing topic command : Topic '{topic}' already exists.\n") == (done.code, done.out)
    done = topics("--create", "--topic", topic, "--if-not-exists")
    assert (0, "") == (done.code, done.out)


@pytest.mark.parametrize("action", [["--describe"], ["--delete"], ["--alter", "--partitions", "4"]])
def test_missing_topics(topics, action: list[str]) -> None:
    done = topics(*action, "--topic", "missing")
    assert 1 == done.code
    assert "Error while executing topic command : Topic 'missing' does not exist as expected\n" == done.out
    assert 0 == topics(*action, "--topic", "missing", "--if-exists").code


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--replication-factor", "2"], "Replication factor: 2 larger than available brokers: 1."),
        (["--replication-factor", "0"], "The replication factor must be between 1 and 32767 inclusive"),
        (["--partitions", "0"], "The partitions must be greater than 0"),
        (["--config", "no.such=1"], "Unknown topic config name: no.such"),
        (
            ["--config", "retention.ms=x"],
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            ["--config", "nonsense"],
            'requirement failed: Invalid topic config: all configs to be added must be in the format "key=val".',
        ),
        (["--replica-assignment", "0:0"], "Partition replica lists may not contain duplicate entries: 0"),
    ],
)
def test_what_cannot_be_created_is_told_in_kafkas_words(topics, name: str, arguments: list[str], text: str) -> None:
    done = topics("--create", "--topic", name, *arguments)
    assert (1, f"Error while executing topic command : {text}\n") == (done.code, done.out)


def test_illegal_names(topics) -> None:
    text = (
        "Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )
    done = topics("--create", "--topic", "a/b")
    assert (1, f"Error while executing topic command : {text}\n") == (done.code, done.out)


def test_fewer_partitions(topics, topic: str) -> None:
    text = "Topic currently has 2 partitions, which is higher than the requested 1."
    done = topics("--alter", "--topic", topic, "--partitions", 1)
    assert (1, f"Error while executing topic command : {text}\n") == (done.code, done.out)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["--list", "--create"],
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        ),
        (["--create"], 'Missing required argument "[topic]"'),
        (["--alter", "--topic", "t"], 'Missing required argument "[partitions]"'),
        (["--describe", "--partitions", "4"], 'Option "[partitions]" can\'t be used with option "[describe]"'),
        (["--list", "--if-exists"], 'Option "[if-exists]" can\'t be used with option "[list]"'),
        (["--create", "--topic"], "Option topic requires an argument"),
        (["--describe", "--if-exists"], "--topic or --topic-id is required to describe a topic"),
        (["--create", "--topic", "t", "--partitions", "x"], "partitions: 'x' is not a valid integer."),
    ],
)
def test_contradictions(arguments: list[str], text: str) -> None:
    assert text == refusal(main, "--bootstrap-server", "127.0.0.1:1", *arguments)


def test_periods_are_warned_about(topics, name: str) -> None:
    assert topics("--create", "--topic", f"{name}.x").out.startswith("WARNING: Due to limitations in metric names")
