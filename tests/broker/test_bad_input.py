"""What is wrong gets Kafka's error, or one clear line, and harms nobody else.

The requests are also sent to Apache Kafka (`--on apache`): what is asserted of ours holds there.
"""

from __future__ import annotations

import random
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kafkalike.errors import Error
from kafkalike.protocol import batch, framing
from kafkalike.protocol.messages import (
    api_versions,
    create_topics,
    delete_topics,
    fetch,
    list_offsets,
    metadata,
    produce,
)
from tests.broker.raw_client import Connection
from tests.servers import ROOT, Broker, EmbeddedZooKeeper, Kafka, Server, free_port, receive, request

Start = Callable[[Server], Any]


@pytest.fixture
def bystander(kafka: Kafka) -> Iterator[Connection]:
    """A client that does nothing wrong, and notices nothing."""
    connection = Connection(kafka.broker.port)
    assert connection.is_well()
    yield connection
    assert connection.is_well()
    connection.socket.close()


@pytest.fixture
def connection(kafka: Kafka, bystander: Connection) -> Iterator[Connection]:
    """The one that does wrong."""
    connection = Connection(kafka.broker.port)
    yield connection
    connection.socket.close()


def frame(*words: int, form: str, body: bytes = b"") -> bytes:
    return struct.pack(form, *words) + body


# Requests as they must not be: Kafka closes the connection, and answers nothing.
FRAMES = {
    "above the limit": struct.pack(">i", 104857601),
    "two gigabytes": struct.pack(">i", 2**31 - 1),
    "of negative length": struct.pack(">i", -1),
    "empty": struct.pack(">i", 0),
    "of one byte": struct.pack(">i", 1) + b"x",
    "an unknown API": frame(10, 9999, 0, 7, -1, form=">ihhih"),
    "a negative API": frame(10, -1, 0, 7, -1, form=">ihhih"),
    "an unknown version of Metadata": frame(10, 3, 99, 7, -1, form=">ihhih"),
    "a negative version": frame(10, 3, -1, 7, -1, form=">ihhih"),
    "a body cut short": frame(12, 3, 1, 7, -1, form=">ihhih", body=b"\0\0"),
    "a count of two billion": frame(14, 3, 1, 7, -1, form=">ihhih", body=struct.pack(">i", 2**31 - 1)),
    "a string longer than the frame": frame(16, 3, 1, 7, -1, form=">ihhih", body=struct.pack(">ih", 1, 32767)),
    "a client id longer than the frame": frame(10, 3, 1, 7, 1000, form=">ihhih"),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "text": b"hello, is anybody there?\n",
}


@pytest.mark.parametrize("what", FRAMES)
def test_a_broken_request_ends_its_connection_and_no_other(connection: Connection, what: str) -> None:
    connection.socket.sendall(FRAMES[what])
    assert connection.is_closed()


def test_tls_on_a_plain_port_is_refused(kafka: Kafka, connection: Connection) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(connection.socket)


def test_random_bytes_end_their_connection_at_most(kafka: Kafka, bystander: Connection) -> None:
    rng = random.Random(7)
    for length in (1, 3, 5, 50, 500, 5000):
        body = rng.randbytes(length)
        for data in (body, struct.pack(">i", length) + body, frame(8 + length, 3, 9, 7, form=">ihhi", body=body)):
            connection = Connection(kafka.broker.port)
            connection.socket.sendall(data)
            connection.socket.shutdown(socket.SHUT_WR)
            assert connection.is_closed()
            connection.socket.close()


def test_a_connection_that_ends_inside_a_request_leaves_no_trace(
    kafka: Kafka, topic: str, connection: Connection
) -> None:
    header = framing.request_header(produce.API_KEY, 7, 7, None)
    whole = header + produced(topic, batch.build([(None, b"half", 1, ())])).encode(7)
    connection.socket.sendall(struct.pack(">i", len(whole)) + whole[:-3])
    connection.socket.shutdown(socket.SHUT_WR)
    assert connection.is_closed()
    assert 0 == end_offset(kafka, topic)


def test_the_table_of_versions_answers_an_unknown_version_of_itself(connection: Connection) -> None:
    """So that a client newer than the broker can find out: body of version 0, error 35."""
    connection.send_frame(frame(18, 99, 7, -1, form=">hhih", body=b"\0"))
    answer = receive(connection.socket)
    response = api_versions.Response.decode(0, answer, 4)
    assert Error.UNSUPPORTED_VERSION == response.error_code
    assert 18 in {key.api_key for key in response.api_keys}
    assert connection.is_well()


@pytest.mark.parametrize("version", [1, 12])
def test_a_client_id_in_latin_1_is_served(connection: Connection, version: int) -> None:
    body = metadata.Request(topics=[])
    header = framing.request_header(metadata.API_KEY, version, 7, "caf?").replace(b"?", b"\xe9")
    connection.send_frame(header + body.encode(version))
    _, pos = framing.read_response_header(answer := receive(connection.socket), metadata.API_KEY, version)
    assert 1 == len(metadata.Response.decode(version, answer, pos).brokers)


def produced(topic: str, records: bytes, acks: int = -1, partition: int = 0) -> Any:
    data = produce.PartitionProduceData(index=partition, records=records)
    named = produce.TopicProduceData(name=topic, partition_data=[data])
    return produce.Request(acks=acks, timeout_ms=5000, topic_data=[named])


def end_offset(kafka: Kafka, topic: str) -> int:
    asked = list_offsets.ListOffsetsPartition(partition_index=0, timestamp=-1)
    body = list_offsets.Request(replica_id=-1, topics=[list_offsets.ListOffsetsTopic(name=topic, partitions=[asked])])
    answer = Connection(kafka.broker.port).ask(list_offsets, body, 1)
    return int(answer.topics[0].partitions[0].offset)


def damaged(records: bytes, at: int, value: int) -> bytes:
    return records[:at] + bytes([value]) + records[at + 1 :]


GOOD = batch.build([(None, b"x" * 100, 1_600_000_000_000, ())])

# The error that Kafka gives to a batch; what it refuses it does not store.
BATCHES = {
    "a wrong CRC": (damaged(GOOD, 80, GOOD[80] ^ 1), Error.CORRUPT_MESSAGE),
    "a wrong checksum": (damaged(GOOD, 17, GOOD[17] ^ 1), Error.CORRUPT_MESSAGE),
    "bytes that are no batch": (b"\0" * 61, Error.CORRUPT_MESSAGE),
    "above max.message.bytes": (batch.build([(None, b"x" * 1_100_000, 1, ())]), Error.MESSAGE_TOO_LARGE),
}


@pytest.mark.parametrize("what", BATCHES)
def test_a_bad_batch_is_refused_and_not_stored(kafka: Kafka, topic: str, connection: Connection, what: str) -> None:
    records, error = BATCHES[what]
    answer = connection.ask(produce, produced(topic, records), 7)
    assert error == answer.responses[0].partition_responses[0].error_code
    assert 0 == end_offset(kafka, topic)
    answer = connection.ask(produce, produced(topic, GOOD), 7)
    assert (0, 0) == (
        answer.responses[0].partition_responses[0].error_code,
        answer.responses[0].partition_responses[0].base_offset,
    )


def test_producing_nowhere_or_with_odd_acks_is_refused(topic: str, name: str, connection: Connection) -> None:
    cases = {
        Error.UNKNOWN_TOPIC_OR_PARTITION: produced(topic, GOOD, partition=9),
        Error.INVALID_REQUIRED_ACKS: produced(topic, GOOD, acks=2),
    }
    for error, body in cases.items():
        answer = connection.ask(produce, body, 7)
        assert error == answer.responses[0].partition_responses[0].error_code
    answer = connection.ask(produce, produced(f"{name}-not", GOOD), 7)
    assert Error.UNKNOWN_TOPIC_OR_PARTITION == answer.responses[0].partition_responses[0].error_code


@pytest.mark.parametrize("offset", [-5, 1, 2**62])
def test_an_offset_out_of_range_is_named_so(topic: str, connection: Connection, offset: int) -> None:
    partition = fetch.FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1000)
    body = fetch.Request(replica_id=-1, max_wait_ms=0, topics=[fetch.FetchTopic(topic=topic, partitions=[partition])])
    answer = connection.ask(fetch, body, 4)
    assert Error.OFFSET_OUT_OF_RANGE == answer.responses[0].partitions[0].error_code


def created(name: str, **config: Any) -> Any:
    topic = create_topics.CreatableTopic(**({"name": name, "num_partitions": 1, "replication_factor": 1} | config))
    return create_topics.Request(topics=[topic], timeout_ms=5000)


# 249 characters are the most: a directory gets "-", the partition and perhaps "-delete" besides.
@pytest.mark.parametrize("bad", ["", ".", "..", "a b", "a/b", "a:b", "é", "a\0b", "x" * 250])
def test_an_illegal_topic_name_is_refused_everywhere(connection: Connection, bad: str) -> None:
    answer = connection.ask(create_topics, created(bad), 4)
    assert Error.INVALID_TOPIC_EXCEPTION == answer.topics[0].error_code
    asked = metadata.Request(topics=[metadata.MetadataRequestTopic(name=bad)], allow_auto_topic_creation=True)
    assert Error.INVALID_TOPIC_EXCEPTION == connection.ask(metadata, asked, 4).topics[0].error_code


def test_what_cannot_be_created_is_refused_in_kafkas_words(name: str, connection: Connection) -> None:
    answer = connection.ask(create_topics, created(name, replication_factor=3), 4).topics[0]
    assert (Error.INVALID_REPLICATION_FACTOR, "Replication factor: 3 larger than available brokers: 1.") == (
        answer.error_code,
        answer.error_message,
    )
    for error, config in (
        (Error.INVALID_PARTITIONS, {"num_partitions": 0}),
        (Error.INVALID_REPLICATION_FACTOR, {"replication_factor": 0}),
        (Error.INVALID_CONFIG, {"configs": [create_topics.CreatableTopicConfig(name="no.such.key", value="1")]}),
        (Error.INVALID_CONFIG, {"configs": [create_topics.CreatableTopicConfig(name="retention.ms", value="soon")]}),
    ):
        assert error == connection.ask(create_topics, created(name, **config), 4).topics[0].error_code
    gone = connection.ask(delete_topics, delete_topics.Request(topic_names=[name], timeout_ms=5000), 3)
    assert Error.UNKNOWN_TOPIC_OR_PARTITION == gone.responses[0].error_code


# ours only from here: how it starts, or does not.


@pytest.fixture
def ensemble(started: Start, tmp_path: Path) -> EmbeddedZooKeeper:
    return started(EmbeddedZooKeeper(tmp_path / "zookeeper"))


def refusal(broker: Broker) -> str:
    """The one line that a broker which must not start ends with; it has a status, and no traceback."""
    broker.launch()
    try:
        status = broker.wait(20)
    finally:
        broker.kill()
    said = broker.output()
    assert "Traceback" not in said, said
    assert 0 != status, said
    errors = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert 1 == len(errors), said
    return errors[0]


NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num.partitions", "many"),
        ("num.partitions", "0"),
        ("log.segment.bytes", "-1"),
        ("broker.id", "one"),
        ("auto.create.topics.enable", "perhaps"),
        ("compression.type", "zip"),
        ("listeners", "nonsense"),
        ("listeners", "PLAINTEXT://127.0.0.1:notaport"),
    ],
)
def test_a_value_that_cannot_be_is_named(tmp_path: Path, key: str, value: str) -> None:
    broker = Broker(tmp_path, NOWHERE)
    broker.overrides[key] = value
    said = refusal(broker)
    assert key in said and value in said


def test_an_unknown_key_is_warned_of(started: Start, ensemble: EmbeddedZooKeeper, tmp_path: Path) -> None:
    broker = started(Broker(tmp_path / "broker", ensemble.connect, no_such_key="1"))
    assert "no.such.key" in broker.output()


def test_a_missing_or_garbled_file_is_named(tmp_path: Path) -> None:
    class Misled(Broker):
        def command(self) -> list[str]:
            return [super().command()[0], str(tmp_path / "absent.properties")]

    assert "absent.properties" in refusal(Misled(tmp_path, NOWHERE))


@pytest.mark.parametrize("script", ["kafka-server-start.sh", "kafka-server-stop.sh"])
def test_a_wrong_option_is_named(script: str) -> None:
    done = subprocess.run([ROOT / "bin" / script, "--nope"], capture_output=True, text=True, timeout=60)
    assert (1, "", "nope is not a recognized option\n") == (done.returncode, done.stdout, done.stderr)


def test_a_busy_port_is_named(started: Start, ensemble: EmbeddedZooKeeper, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in refusal(Broker(tmp_path / "broker", ensemble.connect, port=port))


def test_a_directory_that_cannot_be_written_is_named(ensemble: EmbeddedZooKeeper, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    broker = Broker(tmp_path / "broker", ensemble.connect, log_dirs=tmp_path / "file" / "logs")
    assert str(tmp_path / "file") in refusal(broker)


def test_zookeeper_that_does_not_answer_is_named(tmp_path: Path) -> None:
    port = free_port()
    broker = Broker(tmp_path, f"127.0.0.1:{port}", zookeeper_connection_timeout_ms=500)
    assert f"127.0.0.1:{port}" in refusal(broker)


def test_the_directory_of_another_broker_or_cluster_is_left_alone(
    started: Start, ensemble: EmbeddedZooKeeper, tmp_path: Path
) -> None:
    with Broker(tmp_path / "broker", ensemble.connect, broker_id=1) as owner:
        assert ".lock" in refusal(Broker(tmp_path / "second", ensemble.connect, broker_id=2, log_dirs=owner.data))
    before = (owner.data / "meta.properties").read_text()
    said = refusal(Broker(tmp_path / "third", ensemble.connect, broker_id=3, log_dirs=owner.data))
    assert "Stored node id 1 doesn't match previous node id 3" in said
    other = started(EmbeddedZooKeeper(tmp_path / "other"))
    said = refusal(Broker(tmp_path / "fourth", other.connect, broker_id=1, log_dirs=owner.data))
    assert "luster" in said
    assert before == (owner.data / "meta.properties").read_text()
    with owner:
        assert owner.ready()


def test_a_broker_id_that_is_taken_is_refused(started: Start, ensemble: EmbeddedZooKeeper, tmp_path: Path) -> None:
    first = started(Broker(tmp_path / "first", ensemble.connect, broker_id=5))
    second = Broker(tmp_path / "second", ensemble.connect, broker_id=5, zookeeper_session_timeout_ms=2000)
    assert "5" in refusal(second)
    assert first.ready() and request(first.port, 18, 0, b"")
