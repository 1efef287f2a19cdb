"""kafka-console-producer.sh and kafka-console-consumer.sh."""

import signal
import subprocess

import pytest

from kafkalike.cli.console_consumer import Formatter, main
from kafkalike.cli.console_producer import LineReader
from kafkalike.client.assigned_partitions import ConsumerRecord
from tests.cli.commands import Done, refusal, run, start
from tests.servers import Kafka, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def send(kafka: Kafka, topic: str):
    def call(text: str, *arguments: object) -> Done:
        return run(
            "kafka-console-producer", "--bootstrap-server", kafka.bootstrap, "--topic", topic, *arguments, stdin=text
        )

    return call


@pytest.fixture
def read(kafka: Kafka, topic: str):
    def call(count: int, *arguments: object) -> Done:
        words = ["--topic", topic, "--from-beginning", "--max-messages", count, "--timeout-ms", 10_000, *arguments]
        return run("kafka-console-consumer", "--bootstrap-server", kafka.bootstrap, *words)

    return call


def test_lines_come_back(send, read) -> None:
    assert (0, "", "") == (*(sent := send("one\ntwo\nthrée\n")).__dict__.values(),)
    assert 0 == sent.code
    done = read(3)
    assert ({"one", "two", "thrée"}, "Processed a total of 3 messages\n") == (set(done.lines), done.err)


def test_bytes_that_are_no_text_come_back(send, read) -> None:
    send("\udcff\udcfe\n")
    assert "\udcff\udcfe\n" == read(1).out


@pytest.mark.parametrize("codec", [["--compression-codec"], ["--compression-codec", "zstd"], ["--sync"]])
def test_codecs_and_sync(send, read, codec: list[str]) -> None:
    assert 0 == send("a\nb\n", *codec).code
    assert ["a", "b"] == sorted(read(2).lines)


def test_keys_headers_and_nulls(send, read) -> None:
    parse = ["--property", "parse.key=true", "--property", "parse.headers=true", "--property", "null.marker=NIL"]
    assert 0 == send("h1:v1,h2:NIL\tk\tv\nNIL\tNIL\tNIL\n", *parse).code
    show = [f"print.{f}=true" for f in ("partition", "offset", "headers", "key")]
    done = read(2, *(word for s in show for word in ("--property", s)))
    lines = sorted(line.split("\t")[2:] for line in done.lines)
    assert [["NO_HEADERS", "null", "null"], ["h1:v1,h2:null", "k", "v"]] == lines


def test_a_missing_separator(send) -> None:
    done = send("no tab\n", "--property", "parse.key=true")
    assert (1, "Error: No key separator found on line number 1: 'no tab'\n") == (done.code, done.err)


def test_an_unknown_topic_is_told(kafka: Kafka, name: str) -> None:
    words = ["--bootstrap-server", kafka.bootstrap, "--topic", name, "--timeout-ms", 1000]
    done = run("kafka-console-consumer", *words, "--consumer-property", "allow.auto.create.topics=false")
    assert f"WARN Error while fetching metadata : {{{name}=UNKNOWN_TOPIC_OR_PARTITION}}\n" in done.err
    done = run("kafka-console-consumer", *words, "--partition", 0)
    assert 1 == done.code
    assert "Traceback" not in done.err


def test_partition_and_offset(kafka: Kafka, topic: str, send) -> None:
    send("a\nb\nc\nd\n")
    words = ["--bootstrap-server", kafka.bootstrap, "--topic", topic, "--partition", 0, "--timeout-ms", 1000]
    assert ["a", "c"] == run("kafka-console-consumer", *words, "--offset", "earliest").lines
    assert ["c"] == run("kafka-console-consumer", *words, "--offset", 1).lines
    done = run("kafka-console-consumer", *words)
    assert "" == done.out
    assert "org.apache.kafka.common.errors.TimeoutException\nProcessed a total of 0 messages\n" in done.err


def test_a_group_goes_on_where_it_was(kafka: Kafka, topic: str, name: str, send, read) -> None:
    send("a\nb\n")
    assert 2 == len(read(2, "--group", f"{name}-g").lines)
    kafka.assert_committed(f"{name}-g", topic, {0: 1, 1: 1})
    send("c\n")
    assert ["c"] == read(1, "--group", f"{name}-g").lines


def test_without_a_group_nothing_is_left_behind(kafka: Kafka, topic: str, send, read) -> None:
    send("a\n")
    read(1)
    groups = run("kafka-consumer-groups", "--bootstrap-server", kafka.bootstrap, "--describe", "--all-groups")
    assert topic not in groups.out


def test_include_reads_several_topics(kafka: Kafka, name: str) -> None:
    for suffix in "ab":
        kafka.create_topic(f"{name}-{suffix}", 1)
        run("kafka-console-producer", "--broker-list", kafka.bootstrap, "--topic", f"{name}-{suffix}", stdin=suffix)
    words = ["--include", f"{name}-.*", "--from-beginning", "--max-messages", 2, "--timeout-ms", 10_000]
    assert ["a", "b"] == sorted(run("kafka-console-consumer", "--bootstrap-server", kafka.bootstrap, *words).lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(kafka: Kafka, topic: str, name: str, send, number: int) -> None:
    send("a\n")
    words = ["--bootstrap-server", kafka.bootstrap, "--topic", topic, "--group", f"{name}-g", "--from-beginning"]
    process = start("kafka-console-consumer", *words)
    assert process.stdout is not None
    assert b"a\n" == process.stdout.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert b"Processed a total of 1 messages\n" == errors
    assert 0 == process.returncode
    kafka.assert_committed(f"{name}-g", topic, {0: 1, 1: 0})


def test_a_closed_pipe_ends_the_consumer(kafka: Kafka, topic: str, send) -> None:
    send("a\n" * 50)
    command = (
        f"exec bin/kafka-console-consumer.sh --bootstrap-server {kafka.bootstrap} --topic {topic} --from-beginning"
    )
    process = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    send("a\n" * 50)
    wait_until(lambda: process.poll() is not None, what="the consumer to end")
    assert process.stderr is not None
    said = process.stderr.read().decode()
    assert "Unable to write to standard out, closing consumer." in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Exactly one of --include/--topic is required."),
        (["--topic", "t", "--include", "u"], "Exactly one of --include/--topic is required."),
        (["--topic", "t", "--offset", "1"], "The partition is required when offset is specified."),
        (["--include", "t", "--partition", "1"], "The topic is required when partition is specified."),
        (
            ["--topic", "t", "--partition", "0", "--offset", "x"],
            "The provided offset value 'x' is incorrect. "
            "Valid values are 'earliest', 'latest', or a non-negative long.",
        ),
        (
            ["--topic", "t", "--partition", "0", "--group", "g"],
            "Options group and partition cannot be specified together.",
        ),
        (
            ["--topic", "t", "--from-beginning", "--consumer-property", "auto.offset.reset=latest"],
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset=latest', please remove one option",
        ),
    ],
)
def test_contradictions(arguments: list[str], text: str) -> None:
    assert text == refusal(main, "--bootstrap-server", "127.0.0.1:1", *arguments)


def test_line_reader_separators_must_differ() -> None:
    for properties in ({"headers.delimiter": ","}, {"null.marker": "\t"}, {"headers.separator": ":"}):
        with pytest.raises(ValueError, match="may not be equal"):
            LineReader.of(properties)


def test_line_reader_ignores_errors_when_told() -> None:
    reader = LineReader.of({"parse.key": "true", "ignore.error": "true"})
    assert (None, b"no tab", ()) == reader.take_apart("no tab", 1)


def test_formatter_reads_numbers() -> None:
    record = ConsumerRecord("t", 0, 7, -1, "CreateTime", None, b"\0\0\0\0\0\0\1\0", ())
    formatter = Formatter.of(
        {"value.deserializer": "org.apache.kafka.common.serialization.LongDeserializer", "print.timestamp": "true"}
    )
    assert b"NO_TIMESTAMP\t256\n" == formatter.line(record)
