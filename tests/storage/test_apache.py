"""Apache Kafka's own tools read the files: records, both indexes, snapshots of producer state."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from kazoo.client import KazooClient

from kafkalike.protocol import batch
from kafkalike.protocol.control_records import COMMIT, EndTxnMarker, build_marker
from kafkalike.storage.append_path import COORDINATOR
from kafkalike.storage.config import LogConfig
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.log import Log
from tests import servers
from tests.storage.disk import NOW, a_batch, contents

pytestmark = pytest.mark.slow


def dump(*arguments: str, files: list[Path]) -> subprocess.CompletedProcess[str]:
    """kafka-dump-log, as Apache ships it."""
    servers.tool("java", "default-jre-headless")
    command = [*servers.JAVA, "-cp", f"{servers.kafka_home() / 'lib'}/*", "kafka.tools.DumpLogSegments"]
    names = ",".join(map(str, files))
    return subprocess.run([*command, *arguments, "--files", names], capture_output=True, text=True, timeout=60)


def written(path: Path, crash: bool) -> Log:
    """A log with all codecs, an idempotent and a transactional producer, rolls, a cut, and a restart."""
    config = LogConfig(segment_bytes=4000, index_interval_bytes=300, message_timestamp_type="CreateTime")
    directory = LogDirectory(str(path)).open(1, "c", lambda topic: config, NOW)
    log = directory.create("t", 0, b"i" * 16, config, NOW)
    sequence = 0
    for n in range(150):
        count = 1 + n % 4
        if n % 3:
            log.append(a_batch(count, NOW + (n * 37) % 90 + n, codec=n % 5), n // 60, NOW)
        else:
            fields = {"producer_id": 5, "producer_epoch": 1, "base_sequence": sequence}
            log.append(a_batch(count, NOW + n, **fields), n // 60, NOW)
            sequence += count
    log.truncate(log.log_end_offset - 7)
    fields = {"producer_id": 6, "producer_epoch": 0, "transactional": True}
    log.append(a_batch(2, NOW, base_sequence=0, **fields), 4, NOW)
    marker = build_marker(EndTxnMarker(COMMIT, 3), 6, 0, NOW)
    log.append(memoryview(marker), 4, NOW, COORDINATOR)
    log.append(a_batch(2, NOW, base_sequence=2, **fields), 4, NOW)
    if crash:
        directory.abandon()
        with open(log._active.path, "ab") as file:
            file.write(b"\0\0\0\0\0\0")
        directory = LogDirectory(str(path)).open(1, "c", lambda topic: config, NOW)
        for n in range(30):
            directory.logs["t", 0].append(a_batch(2, NOW + 1000 + n), 5, NOW)
    directory.close()
    return log


def test_apaches_dump_finds_nothing_wrong(tmp_path: Path) -> None:
    for name, crash in (("clean", False), ("crash", True)):
        log = written(tmp_path / name, crash)
        files = sorted(Path(log.path).iterdir())
        records = [f for f in files if f.suffix == ".log"]
        indexes = [f for f in files if f.suffix in (".index", ".timeindex")]
        snapshots = [f for f in files if f.suffix == ".snapshot"]
        assert len(records) > 3
        out = dump("--deep-iteration", files=records + indexes + snapshots)
        for complaint in ("Mismatches", "Non-consecutive", "not be found", "out of order", "Exception", "Ignoring"):
            assert complaint not in out.stdout + out.stderr
        assert 0 == out.returncode
        assert 0 == out.stdout.count("isvalid: false")
        batches = sum(len(batch.split(f.read_bytes())) for f in records)
        assert batches == out.stdout.count("isvalid: true")
        entries = sum(f.stat().st_size // (8 if f.suffix == ".index" else 12) for f in indexes)
        assert entries == len(re.findall(r"^(?:offset|timestamp): \d+", out.stdout, re.MULTILINE))
        last = out.stdout[out.stdout.index(str(snapshots[-1])) :]
        assert "producerId: 5 producerEpoch: 1 coordinatorEpoch: -1" in last
        assert re.search(r"producerId: 6 .*coordinatorEpoch: 3 currentTxnFirstOffset: OptionalLong\[", last)
        sane = dump("--index-sanity-check", files=[f for f in indexes if f.stat().st_size])
        assert len([f for f in indexes if f.stat().st_size]) == sane.stdout.count("passed sanity check")


def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    """Idempotently, in small batches."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 0})
    for value in values:
        producer.produce(topic, value, b"k", 0)
        producer.flush(10)


def consume(bootstrap: str, topic: str, count: int) -> list[tuple[int, bytes]]:
    """The first records of partition 0."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "g", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[tuple[int, bytes]] = []
    while len(found) < count and (message := consumer.poll(10)) is not None:
        assert not message.error(), message.error()
        found.append((message.offset(), message.value()))
    consumer.close()
    return found


def forget(connect: str) -> None:
    """A killed broker's ephemeral znodes go, sooner than with its session."""
    client = KazooClient(connect)
    client.start()
    for path in ("/brokers/ids/0", "/controller"):
        client.delete(path)
    client.stop()
    client.close()


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_directory_goes_from_apache_to_ours_and_back(tmp_path: Path, end: str) -> None:
    """After a stop nobody recovers anything; after a kill each recovers what the other wrote."""
    with servers.EmbeddedZooKeeper(tmp_path / "zk") as zookeeper:
        apache = servers.ApacheBroker(tmp_path / "broker", zookeeper.connect, log_segment_bytes=2000)
        apache.start()
        values = [b"v%d" % n * 20 for n in range(60)]
        produce(apache.bootstrap, "t", values[:40])
        apache.stop() if end == "stopped" else apache.kill()

        properties = dict(
            line.split("=", 1) for line in (apache.data / "meta.properties").read_text().splitlines() if "=" in line
        )
        directory = LogDirectory(str(apache.data)).open(0, properties["cluster.id"], lambda topic: LogConfig(), NOW)
        assert (end == "stopped") == directory.clean
        log = directory.logs["t", 0]
        assert (end == "stopped") != log.recovered
        assert list(enumerate(values[:40])) == contents(log)
        assert [] == log.corruption.ranges
        ((producer_id, state),) = log.producers.entries.items()
        assert 40 == state.next_sequence
        last = {"producer_id": producer_id, "producer_epoch": state.epoch, "base_sequence": 39}
        assert log.append(a_batch(1, **last), log.latest_epoch(), NOW).duplicate
        log.config = LogConfig(segment_bytes=2000, index_interval_bytes=200)
        for value in values[40:50]:
            data = memoryview(batch.build([(b"k", value, NOW, ())]))
            log.append(data, log.latest_epoch(), NOW)
        directory.close() if end == "stopped" else directory.abandon()

        if end == "killed":
            forget(zookeeper.connect)
        printed = len(apache.output())
        apache.start()
        assert "orrupt" not in apache.output()[printed:]
        produce(apache.bootstrap, "t", values[50:])
        assert list(enumerate(values)) == consume(apache.bootstrap, "t", 60)
        apache.stop()
        again = LogDirectory(str(apache.data)).open(0, properties["cluster.id"], lambda topic: LogConfig(), NOW)
        assert again.clean
        assert list(enumerate(values)) == contents(again.logs["t", 0])
        again.abandon()
