"""kcat, with the librdkafka that Debian ships."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.servers import Kafka, tool


def kcat(kafka: Kafka, *words: object, stdin: str = "", timeout: float = 30) -> str:
    """Runs kcat; gives its standard output. Its exit status must be 0."""
    command = [tool("kcat", "kcat"), "-b", kafka.bootstrap, *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines(count: int) -> str:
    return "".join(f"message {i}\n" for i in range(count))


def test_metadata_lists_the_broker_and_a_topic_with_its_leader(kafka: Kafka, topic: str) -> None:
    answer = json.loads(kcat(kafka, "-L", "-J"))
    assert [{"id": 0, "name": kafka.bootstrap}] == answer["brokers"]
    described = {t["topic"]: t for t in answer["topics"]}[topic]
    assert [(0, 0, [{"id": 0}], [{"id": 0}]), (1, 0, [{"id": 0}], [{"id": 0}])] == [
        (p["partition"], p["leader"], p["replicas"], p["isrs"]) for p in described["partitions"]
    ]


def test_an_unknown_topic_is_created_by_producing_to_it(kafka: Kafka, name: str) -> None:
    kcat(kafka, "-P", "-t", name, stdin="first\n")
    assert "first\n" == kcat(kafka, "-C", "-t", name, "-o", "beginning", "-e", "-q")


@pytest.mark.real_zookeeper
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_each_codec_returns_keys_headers_and_values(kafka: Kafka, topic: str, codec: str) -> None:
    sent = "".join(f"key{i}:value {i} {'z' * 200}\n" for i in range(300))
    kcat(kafka, "-P", "-t", topic, "-p", 1, "-K", ":", "-H", "a=1", "-H", "b=two", "-z", codec, stdin=sent)
    got = kcat(kafka, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o %h %k:%s\n")
    assert [f"1 {i} a=1,b=two {line}" for i, line in enumerate(sent.splitlines())] == got.splitlines()


@pytest.mark.parametrize("acks", [0, 1, -1])
def test_each_acks_setting_delivers(kafka: Kafka, topic: str, acks: int) -> None:
    kcat(kafka, "-P", "-t", topic, "-p", 0, "-X", f"acks={acks}", stdin=lines(50))
    assert lines(50) == kcat(kafka, "-C", "-t", topic, "-p", 0, "-o", "beginning", "-c", 50, "-q")


def test_reading_starts_at_an_offset_from_the_end_or_at_a_time(kafka: Kafka, topic: str) -> None:
    kcat(kafka, "-P", "-t", topic, "-p", 0, stdin=lines(10))
    at = ("-C", "-t", topic, "-p", 0, "-e", "-q", "-o")
    assert lines(10).splitlines()[7:] == kcat(kafka, *at, 7).splitlines()
    assert lines(10).splitlines()[8:] == kcat(kafka, *at, -2).splitlines()
    assert "" == kcat(kafka, *at, "end")
    stamps = kcat(kafka, *at, "beginning", "-f", "%T\n").splitlines()
    first_at_or_after = stamps.index(stamps[-1])
    assert f"{topic} [0] offset {first_at_or_after}\n" == kcat(kafka, "-Q", "-t", f"{topic}:0:{stamps[-1]}")
    assert f"{topic} [0] offset 0\n" == kcat(kafka, "-Q", "-t", f"{topic}:0:0")


@pytest.mark.real_zookeeper
def test_a_group_goes_on_where_it_stopped(kafka: Kafka, topic: str, name: str) -> None:
    kcat(kafka, "-P", "-t", topic, "-p", 0, stdin=lines(5))
    group = ("-G", name, topic, "-q", "-X", "auto.offset.reset=earliest")
    assert lines(5) == kcat(kafka, *group, "-c", 5)
    kafka.assert_committed(name, topic, {0: 5})
    kcat(kafka, "-P", "-t", topic, "-p", 0, stdin="sixth\n")
    assert "sixth\n" == kcat(kafka, *group, "-c", 1)
    kafka.assert_committed(name, topic, {0: 6})
