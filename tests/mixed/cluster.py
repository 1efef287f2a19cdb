"""A cluster of Apache's brokers and ours, the load on it, and what must hold of its replicas."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.controller import ControllerNode
from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.protocol.framing import read_response_header, request_header
from kafkalike.protocol.messages import alter_partition_reassignments, elect_leaders
from tests.servers import (
    ApacheBroker,
    Broker,
    DebianZooKeeper,
    EmbeddedZooKeeper,
    ZooKeeper,
    receive,
    wait_until,
    zookeeper_client,
)

QUIET = {"log_level": 0, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50}

# What brokers of both kinds are told. Retention among it: the two have different defaults, and must agree.
SETTINGS: dict[str, object] = {
    "default_replication_factor": 3,
    "min_insync_replicas": 2,
    "offsets_topic_num_partitions": 6,
    "offsets_topic_replication_factor": 3,
    "log_retention_hours": 168,
    "log_segment_bytes": 400_000,
    "log_index_interval_bytes": 1000,
    "zookeeper_session_timeout_ms": 6000,
    "replica_lag_time_max_ms": 5000,
    "controlled_shutdown_retry_backoff_ms": 500,
    "group_initial_rebalance_delay_ms": 0,
    "auto_create_topics_enable": "false",
    "auto_leader_rebalance_enable": "false",
}


class SmallApacheBroker(ApacheBroker):
    """With a heap that lets several of them run on a small machine."""

    def command(self) -> list[str]:
        return ["-Xmx256m" if word.startswith("-Xmx") else word for word in super().command()]


KINDS: dict[str, type[Broker]] = {"apache": SmallApacheBroker, "kafkalike": Broker}


class Mixed:
    """Brokers of both kinds by their id. A broker keeps its directory and port when its kind changes."""

    def __init__(self, home: Path, zookeeper: type[ZooKeeper] = DebianZooKeeper, **settings: object) -> None:
        self.home = home
        self.settings = SETTINGS | settings
        self.zookeeper = zookeeper(home / "zookeeper")
        self.brokers: dict[int, Broker] = {}

    def add(self, broker_id: int, kind: str) -> Broker:
        """A broker that is not started yet; one that had this id before must have ended."""
        before = self.brokers.get(broker_id)
        assert before is None or not before.running
        port = before.port if before is not None else None
        home = self.home / f"broker-{broker_id}"
        broker = KINDS[kind](home, self.zookeeper.connect, broker_id, port, **self.settings)
        self.brokers[broker_id] = broker
        return broker

    def start(self, *broker_ids: int) -> None:
        """Starts these, side by side. (One of Apache's exits while ZooKeeper still has its session from before.)"""
        with self.znodes() as client:
            for broker_id in broker_ids:
                if self.brokers[broker_id].kind == "apache":
                    path = BrokerNode.path(broker_id)
                    wait_until(lambda path=path: client.exists(path) is None, 30, f"{path} to go")  # type: ignore[misc]
                self.brokers[broker_id].launch()
        for broker_id in broker_ids:
            broker = self.brokers[broker_id]
            wait_until(broker.answers, 90, f"broker {broker_id} ({broker.kind}) to answer")

    def close(self) -> None:
        """Ends everything, by force: what a test wants to see of a stop it has looked at before."""
        for server in (*self.brokers.values(), self.zookeeper):
            if server.process is not None:
                server.kill()

    @property
    def running(self) -> dict[int, Broker]:
        return {broker_id: broker for broker_id, broker in self.brokers.items() if broker.running}

    def kinds(self, kind: str) -> list[int]:
        """The ids of the running brokers of a kind."""
        return [broker_id for broker_id, broker in self.running.items() if broker.kind == kind]

    @property
    def bootstrap(self) -> str:
        return ",".join(broker.bootstrap for broker in self.brokers.values())

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap} | QUIET)

    # ZooKeeper.

    @contextmanager
    def znodes(self) -> Iterator[KazooClient]:
        """A client of ZooKeeper."""
        with zookeeper_client(self.zookeeper.connect) as client:
            yield client

    def controller(self) -> int:
        """Whose /controller is; -1 for nobody's."""
        with self.znodes() as client:
            try:
                return ControllerNode.decode(client.get("/controller")[0]).broker_id
            except NoNodeError:
                return -1

    def state(self, topic: str, partition: int) -> PartitionNode:
        """A partition's state node."""
        with self.znodes() as client:
            return PartitionNode.decode(client.get(PartitionNode.path(topic, partition))[0], topic, partition)

    def give_control_to(self, kind: str, timeout: float = 60) -> int:
        """Deletes /controller, as operators do, until one of this kind is elected and has told everybody."""

        def elected() -> bool:
            with self.znodes() as client:
                try:
                    holder = ControllerNode.decode(client.get("/controller")[0]).broker_id
                except NoNodeError:
                    return False
                if holder in self.kinds(kind):
                    return True
                with suppress(NoNodeError):
                    client.delete("/controller")
            return False

        wait_until(elected, timeout, f"one of {self.kinds(kind)} to be elected")
        controller = self.controller()
        wait_until(lambda: self.agreed() == controller, 30, "everybody to know the controller")
        return controller

    def agreed(self) -> int | None:
        """The controller that every running broker names, or None."""
        named = set()
        for broker in self.running.values():
            client = AdminClient({"bootstrap.servers": broker.bootstrap} | QUIET)
            with suppress(KafkaException):
                named.add(client.list_topics("no-such-topic", timeout=5).controller_id)
        return named.pop() if len(named) == 1 else None

    # Topics.

    def create_topic(self, name: str, *assignment: Iterable[int], **config: object) -> str:
        """Partitions with these replicas; returns when all are in sync and every broker knows them."""
        new = NewTopic(
            name,
            len(assignment),
            replica_assignment=[list(replicas) for replicas in assignment],
            config={key.replace("_", "."): str(value) for key, value in config.items()},
        )
        # librdkafka goes to the controller that its newest metadata names.
        self.admin.list_topics(timeout=10)
        self.admin.create_topics([new])[name].result(30)
        self.wait_in_sync(name)
        return name

    def wait_in_sync(self, topic: str, timeout: float = 60) -> None:
        """Until every assigned replica of a running broker is in the ISR, as every running broker tells it."""
        wait_until(lambda: all(self.in_sync(topic, b) for b in self.running.values()), timeout, f"{topic} to be whole")

    def in_sync(self, topic: str, broker: Broker) -> bool:
        """Whether this broker believes the topic to be whole."""
        client = AdminClient({"bootstrap.servers": broker.bootstrap} | QUIET)
        try:
            found = client.list_topics(topic, timeout=5).topics[topic]
        except KafkaException:
            return False
        running = self.running.keys()
        return found.error is None and all(
            p.leader >= 0 and set(p.replicas) & running <= set(p.isrs) for p in found.partitions.values()
        )

    def partitions(self, topic: str) -> dict[int, Any]:
        """A topic's partitions, as some broker tells them."""
        partitions: dict[int, Any] = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
        return partitions

    def leaders(self, topic: str) -> dict[int, int]:
        """Each partition's leader."""
        return {index: each.leader for index, each in self.partitions(topic).items()}

    def elect_preferred(self, topic: str) -> None:
        """Has the first replica of each partition lead."""
        self.wait_in_sync(topic)
        wanted = {index: each.replicas[0] for index, each in self.partitions(topic).items()}
        asked = [elect_leaders.TopicPartitions(topic=topic, partitions=list(wanted))]
        request = elect_leaders.Request(election_type=0, topic_partitions=asked, timeout_ms=20_000)
        answer = ask(self.brokers[self.controller()], elect_leaders, 2, request)
        assert 0 == answer.error_code, answer
        wait_until(lambda: self.leaders(topic) == wanted, 30, "the preferred leaders to lead")

    def reassign(self, topic: str, *assignment: list[int]) -> None:
        """Gives each partition other replicas, and waits until no other has it any more."""
        moves = alter_partition_reassignments
        partitions = [
            moves.ReassignablePartition(partition_index=index, replicas=replicas)
            for index, replicas in enumerate(assignment)
        ]
        topics = [moves.ReassignableTopic(name=topic, partitions=partitions)]
        request = moves.Request(topics=topics, timeout_ms=20_000)
        answer = ask(self.brokers[self.controller()], moves, 0, request)
        assert 0 == answer.error_code, answer
        assert {0} == {each.error_code for each in answer.responses[0].partitions}, answer
        wanted = dict(enumerate(assignment))
        wait_until(
            lambda: {index: each.replicas for index, each in self.partitions(topic).items()} == wanted,
            60,
            "the reassignment to be over",
        )
        self.wait_in_sync(topic)

    # Files.

    def replicas(self, topic: str, partition: int) -> dict[int, list[tuple[str, bytes]]]:
        """The records files of each replica: (name, bytes)."""
        found = {}
        for broker_id, broker in self.brokers.items():
            directory = broker.data / f"{topic}-{partition}"
            if directory.is_dir():
                found[broker_id] = [(file.name, file.read_bytes()) for file in sorted(directory.glob("*.log"))]
        return found

    def assert_identical(self, topic: str, timeout: float = 30) -> None:
        """With nobody producing: the same bytes on every replica. Where segments end is each broker's own affair."""
        partitions = self.partitions(topic)

        def same() -> bool:
            return all(
                len({b"".join(data for _, data in files) for files in self.replicas(topic, index).values()}) == 1
                for index in partitions
            )

        wait_until(same, timeout, f"the replicas of {topic} to be the same")
        for index, each in partitions.items():
            assert set(each.replicas) == self.replicas(topic, index).keys()


@contextmanager
def of_one_kind(home: Path, kind: str, *broker_ids: int, **settings: object) -> Iterator[Mixed]:
    """A cluster of ours on our ZooKeeper, or of Apache's on Apache's; the first broker is the controller."""
    cluster = Mixed(home, DebianZooKeeper if kind == "apache" else EmbeddedZooKeeper, **settings)
    try:
        cluster.zookeeper.start()
        for broker_id in broker_ids:
            cluster.add(broker_id, kind)
        cluster.start(broker_ids[0])
        cluster.start(*broker_ids[1:])
        yield cluster
        assert_no_traceback(cluster.brokers)
    finally:
        cluster.close()


def ask(broker: Broker, module: Any, version: int, request: Any) -> Any:
    """Sends a request to this broker and returns its answer."""
    frame = request_header(module.API_KEY, version, 5, "test") + request.encode(version)
    with socket.create_connection(("127.0.0.1", broker.port), 30) as s:
        s.sendall(len(frame).to_bytes(4, "big") + frame)
        answer = receive(s)
    _, pos = read_response_header(answer, module.API_KEY, version)
    return module.Response.decode(version, answer, pos)


class NoBrokers(logging.Handler):
    """Whether librdkafka has lost its way: one of Apache's brokers that has just started names no broker at all in its
    answer to Metadata, and then librdkafka (2.11 and newer) gives up every one that it knows: nothing that is tested
    here. `told_by` is who gave such an answer, while no other has come since; `lost`, that nobody is left to ask."""

    ANSWER = re.compile(r"/(\d+): (\d+) brokers,")

    def __init__(self) -> None:
        super().__init__()
        self.told_by: int | None = None
        self.lost = False

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        found = self.ANSWER.search(text)
        if found is not None:
            self.told_by = int(found[1]) if found[2] == "0" else None
            self.lost = False
        elif "no usable brokers" in text:
            self.lost = self.told_by is not None


class Load:
    """An idempotent producer with acks=all, in a thread of its own, that numbers its messages in each partition.

    Skips the test when librdkafka has given up all brokers for an answer of one of Apache's (`NoBrokers`).
    """

    def __init__(self, cluster: Mixed, topic: str, partitions: int, pause: float = 0.01) -> None:
        self.cluster = cluster
        self.topic = topic
        self.sent = [0] * partitions
        self.acknowledged: dict[tuple[int, int], int] = {}
        self.errors: Counter[str] = Counter()
        self.pause = pause
        self.ended = threading.Event()
        self.no_brokers = NoBrokers()
        logger = logging.Logger(f"{topic} is written")
        logger.addHandler(self.no_brokers)
        self.producer = Producer(
            {
                "bootstrap.servers": cluster.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 2,
                "batch.num.messages": 50,
                "delivery.timeout.ms": 120_000,
                "socket.timeout.ms": 10_000,
                # Else librdkafka fails what it has queued (_DESTROY) when no broker answers for a moment.
                "metadata.recovery.strategy": "none",
            }
            | QUIET
            | {"debug": "metadata", "log_level": 7},
            logger=logger,
        )
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Load:
        self.thread.start()
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        """Ends the load and, if all went well so far, sees that everything is there, once and in order."""
        self.ended.set()
        self.thread.join(30)
        if kind is None:
            self.finish()

    def _run(self) -> None:
        while not self.ended.is_set():
            for partition in range(len(self.sent)):
                with suppress(KafkaException):
                    # A broker of Apache's that has just started may know of no topic yet, and says so.
                    self._send(partition, 5 if len(self.producer) < 2000 else 0)
            self.producer.poll(self.pause)

    def _send(self, partition: int, count: int) -> None:
        for _ in range(count):
            value = b"%d." % self.sent[partition]
            self.producer.produce(self.topic, value.ljust(100, b"x"), partition=partition, on_delivery=self._reported)
            self.sent[partition] += 1

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.errors[f"{error.name()} {error.str()}, partition {message.partition()}"] += 1
            return
        self.acknowledged[message.partition() or 0, message.offset() or 0] = number(message)

    def go_on(self, count: int = 300, timeout: float = 60) -> None:
        """Waits until so many more messages are acknowledged in each partition: whatever was done, the load goes on."""
        before = Counter(partition for partition, _ in list(self.acknowledged))

        def gone_on() -> bool:
            now = Counter(partition for partition, _ in list(self.acknowledged))
            return all(now[p] >= before[p] + count for p in range(len(self.sent)))

        try:
            wait_until(gone_on, timeout, f"{count} more acknowledgements in each partition of {self.topic}")
        except AssertionError as error:
            self._skip_if_lost()
            acknowledged = dict(Counter(partition for partition, _ in list(self.acknowledged)))
            states = {p: self.cluster.state(self.topic, p) for p in range(len(self.sent))}
            told = {broker_id: _told(broker, self.topic) for broker_id, broker in self.cluster.running.items()}
            said = f"before {dict(before)}, now {acknowledged}, sent {self.sent}, errors {dict(self.errors)}"
            raise AssertionError(f"{error}\n{said}\n{states}\n{told}") from None

    def finish(self) -> None:
        """Everything sent was acknowledged, and is read back once, in order, at the offset it was acknowledged with."""
        left = self.producer.flush(60)
        if left:
            self._skip_if_lost()
        assert 0 == left
        assert not self.errors, dict(self.errors)
        assert sum(self.sent) == len(self.acknowledged)
        stored = read_all(self.cluster, self.topic, len(self.sent))
        for partition, values in stored.items():
            assert list(range(self.sent[partition])) == values
        for (partition, offset), value in self.acknowledged.items():
            assert stored[partition][offset] == value

    def _skip_if_lost(self) -> None:
        told_by = self.no_brokers.told_by
        if self.no_brokers.lost and told_by is not None and self.cluster.brokers[told_by].kind == "apache":
            pytest.skip(f"Apache's broker {told_by}, just started, named no broker, and librdkafka gave up all")


def _told(broker: Broker, topic: str) -> dict[int, tuple[int, list[int]]]:
    """Leader and ISR of each partition, as this broker tells them."""
    found = AdminClient({"bootstrap.servers": broker.bootstrap} | QUIET).list_topics(topic, timeout=5).topics[topic]
    return {index: (each.leader, each.isrs) for index, each in found.partitions.items()}


def number(message: Message) -> int:
    """What Load wrote."""
    return int((message.value() or b"").partition(b".")[0])


def read_all(cluster: Mixed, topic: str, partitions: int, isolated: str = "") -> dict[int, list[int]]:
    """The numbers in each partition, from its first offset to its end; `isolated` asks this one broker only."""
    stored: dict[int, list[int]] = {p: [] for p in range(partitions)}
    with closing(consumer(cluster, f"{topic}-reader", **({"bootstrap.servers": isolated} if isolated else {}))) as c:
        c.assign([TopicPartition(topic, p, 0) for p in stored])
        ends = {p: c.get_watermark_offsets(TopicPartition(topic, p), timeout=20)[1] for p in stored}

        def read() -> bool:
            for message in c.consume(1000, 0.2):
                assert message.error() is None, message.error()
                values = stored[message.partition() or 0]
                assert len(values) == message.offset()
                values.append(number(message))
            return all(len(stored[p]) >= ends[p] for p in stored)

        wait_until(read, 60, f"all of {ends} to be read")
    return stored


def consumer(cluster: Mixed, group: str, **settings: object) -> Consumer:
    """One that begins at the beginning and commits when it is told to."""
    return Consumer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
        }
        | QUIET
        | settings
    )


def assert_no_traceback(brokers: Mapping[int, Broker]) -> None:
    """None of ours met anything it had not foreseen."""
    for broker in brokers.values():
        if broker.kind == "kafkalike":
            text = broker.output()
            at = text.find("Traceback")
            assert at < 0, f"{broker.log}: {text[max(at - 500, 0) : at + 3000]}"
