"""Clients that write down what they do: producers, readers, members of a group, observers.

Each is a thread that ends when told. What a client may never be told, and exceptions of its own, are "trouble".

    Producer   librdkafka: idempotent with acks=all, or without retries and with acks=1 as the control group
    Bare       one request at a time and no retry, on a socket: it sees every error code
    Reader     librdkafka, with assigned partitions; starts anew from some earlier place every few seconds
    Member     librdkafka, one of a group; commits what it has read, and asks what is committed
    Observer   asks one broker for leaders and ends
    Watcher    asks ZooKeeper for leaders and the controller
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import random
import struct
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from kafkalike.client.blocking.broker_connection import BrokerConnection
from kafkalike.client.cluster import Node
from kafkalike.client.errors import Disconnected
from kafkalike.errors import Error
from kafkalike.protocol.batch import build
from kafkalike.protocol.messages import list_offsets, metadata, produce
from tests.faults.cluster import UNREACHABLE, Cluster
from tests.faults.history import FAIL, INFO, OK, History
from tests.servers import Broker

# Refusals that come before the append, so that the record certainly is in no log. 3 and 6 are none: a leader that is
# deposed while it waits for its followers answers the same.
REFUSED = {
    Error.NOT_ENOUGH_REPLICAS,
    Error.MESSAGE_TOO_LARGE,
    Error.CORRUPT_MESSAGE,
    Error.INVALID_RECORD,
    Error.INVALID_TOPIC_EXCEPTION,
}
# Told to an idempotent producer, or to a reader with assigned partitions, these mean that the broker lost something.
LOSSES = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._BAD_MSG}


class Client:
    """A thread and its name in the history."""

    def __init__(self, history: History, name: str) -> None:
        self.history = history
        self.name = name
        self.ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Tells it to end."""
        self.ending.set()

    def join(self, timeout: float = 90) -> None:
        """Waits until it has."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            self.trouble(f"did not end within {timeout} s")

    def _run(self) -> None:
        try:
            self.run()
        except Exception:
            self.trouble(traceback.format_exc())

    def run(self) -> None:
        raise NotImplementedError

    def record(self, kind: str, op: str, **data: Any) -> float:
        return self.history.record(self.name, kind, op, **data)

    def trouble(self, text: str) -> None:
        self.record(INFO, "trouble", text=text)

    def paced(self, rate: float) -> Iterator[int]:
        """Counts, `rate` times a second, until the end; what was missed is not made up for."""
        at = time.monotonic()
        for number in itertools.count():
            if self.ending.wait(max(0.0, at - time.monotonic())):
                return
            at = max(at + 1 / rate, time.monotonic() - 0.2)
            yield number


def librdkafka(bootstrap: str, **more: Any) -> dict[str, Any]:
    """What all have in common: little patience with a broker that is silent."""
    return {
        "bootstrap.servers": bootstrap,
        "socket.timeout.ms": 4000,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 500,
        "retry.backoff.ms": 50,
        "topic.metadata.refresh.interval.ms": 2000,
        "log_level": 0,
    } | {key.replace("_", "."): value for key, value in more.items()}


def logger_to(file: Path) -> logging.Logger:
    """A logger of its own that writes to a file only."""
    logger = logging.Logger(file.stem)
    handler = logging.FileHandler(file, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    return logger


class Producer(Client):
    """Values name:0, name:1, ... in turn to each partition.

    `acknowledged` counts by partition, `ends` is what follows the last acknowledged record.
    """

    def __init__(
        self,
        history: History,
        name: str,
        bootstrap: str,
        topic: str,
        partitions: int,
        rate: float,
        durable: bool = True,
        message_timeout_ms: int = 120_000,
        trace: Path | None = None,
    ) -> None:
        super().__init__(history, name)
        self.topic, self.partitions, self.rate = topic, partitions, rate
        self.acknowledged = Counter[int]()
        self.ends: dict[int, int] = {}
        own = {"enable.idempotence": True} if durable else {"acks": 1, "message.send.max.retries": 0}
        config = librdkafka(
            bootstrap, linger_ms=5, request_timeout_ms=3000, message_timeout_ms=message_timeout_ms, error_cb=self._error
        )
        config["error_cb"] = config.pop("error.cb")
        if durable and trace is not None:
            # What the library thinks of its own sequences: without it nobody can say whose a duplicate is.
            config |= {"debug": "eos,msg", "log_level": 7, "logger": logger_to(trace / f"{name}.log")}
        self._producer = confluent_kafka.Producer(config | own)
        self.record(INFO, "producer", durable=durable, ordered=durable)

    def run(self) -> None:
        for number in self.paced(self.rate):
            self.send(number)
            self._producer.poll(0)
        if self._producer.flush(100):
            self.trouble(f"{len(self._producer)} messages are neither acknowledged nor refused")

    def send(self, number: int) -> None:
        """Sends one value."""
        value, partition = f"{self.name}:{number}", number % self.partitions
        self.record("invoke", "send", id=value, partition=partition)
        try:
            self._producer.produce(self.topic, value, partition=partition, on_delivery=self._delivered)
        except BufferError:
            self.record(FAIL, "send", id=value, error="the queue is full")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        value = (message.value() or b"").decode()
        if error is None:
            # A batch that had been stored by an earlier attempt may be acknowledged without its offset.
            offset, partition = message.offset(), message.partition()
            offset = -1 if offset is None else offset
            assert partition is not None
            self.acknowledged[partition] += 1
            self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)
            self.record(OK, "send", id=value, offset=offset)
        else:
            self.record(INFO, "send", id=value, error=error.name())

    def _error(self, error: KafkaError) -> None:
        if error.fatal():
            self.trouble(f"fatal: {error.str()}")


class Bare(Client):
    """acks=all, not idempotent, and each value is tried once: what is refused must be nowhere."""

    def __init__(self, history: History, name: str, cluster: Cluster, topic: str, partitions: int, rate: float) -> None:
        super().__init__(history, name)
        self.cluster, self.topic, self.partitions, self.rate = cluster, topic, partitions, rate
        self.acknowledged = Counter[int]()
        self.ends: dict[int, int] = {}
        self._leaders: dict[int, int] = {}
        self._connections: dict[int, BrokerConnection] = {}
        self.record(INFO, "producer", durable=True, ordered=False)

    def run(self) -> None:
        for number in self.paced(self.rate):
            value, partition = f"{self.name}:{number}", number % self.partitions
            self.record("invoke", "send", id=value, partition=partition)
            self.record(id=value, op="send", **self.attempt(value, partition))
        for connection in self._connections.values():
            connection.close()

    def attempt(self, value: str, partition: int) -> dict[str, Any]:
        """Sends one request at most; gives its outcome."""
        try:
            leader = self._leader(partition)
            connection = self._connections.get(leader)
            if connection is None:
                connection = self._connections[leader] = connect(self.cluster.brokers[leader], self.name)
        except (Disconnected, KeyError) as problem:
            self._leaders.clear()
            return {"kind": FAIL, "error": f"not sent: {problem}"}
        try:
            response = connection.ask(produce, self._request(value, partition), 2500)
            (answer,) = response.responses[0].partition_responses
        except Disconnected as problem:
            connection.close()
            del self._connections[leader]
            self._leaders.clear()
            return {"kind": INFO, "error": str(problem)}
        if answer.error_code == 0:
            self.acknowledged[partition] += 1
            self.ends[partition] = max(self.ends.get(partition, 0), answer.base_offset + 1)
            return {"kind": OK, "offset": answer.base_offset}
        self._leaders.clear()
        error = Error(answer.error_code)
        return {"kind": FAIL if error in REFUSED else INFO, "error": error.name}

    def _leader(self, partition: int) -> int:
        if not self._leaders:
            for number in random.sample(self.cluster.running(), len(self.cluster.running())):
                with contextlib.suppress(Disconnected):
                    connection = self._connections.get(number)
                    if connection is None:
                        connection = self._connections[number] = connect(self.cluster.brokers[number], self.name)
                    try:
                        self._leaders = {p.partition_index: p.leader_id for p in topic_metadata(connection, self.topic)}
                        break
                    except Disconnected:
                        connection.close()
                        del self._connections[number]
        return self._leaders[partition]

    def _request(self, value: str, partition: int) -> Any:
        records = build([(None, value.encode(), int(time.time() * 1000), ())])
        data = produce.PartitionProduceData(index=partition, records=records)
        return produce.Request(
            acks=-1, timeout_ms=1500, topic_data=[produce.TopicProduceData(name=self.topic, partition_data=[data])]
        )


def connect(broker: Broker, name: str, timeout_ms: int = 1500) -> BrokerConnection:
    """A connection to one broker."""
    return BrokerConnection(Node(broker.broker_id, broker.host, broker.port), name, timeout_ms)


def topic_metadata(connection: BrokerConnection, topic: str, timeout_ms: int = 1500) -> Sequence[Any]:
    """The topic's partitions as this broker knows them."""
    request = metadata.Request(topics=[metadata.MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False)
    response = connection.ask(metadata, request, timeout_ms)
    return list(response.topics[0].partitions) if response.topics else []


def end_offset(
    connection: BrokerConnection, topic: str, partition: int, timeout_ms: int = 1500
) -> tuple[int, int] | None:
    """(end for consumers, leader epoch), None when this broker does not say."""
    asked = list_offsets.ListOffsetsPartition(partition_index=partition, timestamp=-1)
    request = list_offsets.Request(
        replica_id=-1, topics=[list_offsets.ListOffsetsTopic(name=topic, partitions=[asked])]
    )
    answer = connection.ask(list_offsets, request, timeout_ms).topics[0].partitions[0]
    return None if answer.error_code else (answer.offset, answer.leader_epoch)


class Consuming(Client):
    """What readers and members have in common: `seen` is how far each partition was read."""

    def __init__(
        self, history: History, name: str, bootstrap: str, topic: str, partitions: int, group: str, **config: Any
    ) -> None:
        super().__init__(history, name)
        self.topic, self.partitions, self.group = topic, partitions, group
        self.seen: dict[int, int] = dict.fromkeys(range(partitions), 0)
        self._run_number = 0
        self._consumer = confluent_kafka.Consumer(
            librdkafka(
                bootstrap,
                group_id=group or f"{name}-none",
                enable_auto_commit=False,
                auto_offset_reset="earliest" if group else "error",
                check_crcs=True,
                fetch_wait_max_ms=100,
                fetch_error_backoff_ms=50,
                session_timeout_ms=6000,
                heartbeat_interval_ms=500,
                partition_assignment_strategy="range",
            )
            | config
        )

    def note(self, messages: list[Message]) -> None:
        """Records what one or several polls brought."""
        records = []
        for message in messages:
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is not None:
                if error.code() in LOSSES or error.fatal():
                    self.trouble(f"{error.name()}: {error.str()}")
                continue
            assert partition is not None and offset is not None
            records.append([partition, offset, (message.value() or b"").decode()])
            self.seen[partition] = max(self.seen[partition], offset + 1)
        if records:
            self.record(OK, "poll", run=self._run_number, records=records, group=self.group)


class Reader(Consuming):
    """All partitions, assigned. `rewind` seconds after a start it begins again somewhere before where it is."""

    def __init__(
        self, history: History, name: str, bootstrap: str, topic: str, partitions: int, rewind: float = float("inf")
    ) -> None:
        super().__init__(history, name, bootstrap, topic, partitions, "")
        self.rewind = rewind

    def run(self) -> None:
        self._assign()
        began = time.monotonic()
        while not self.ending.is_set():
            if time.monotonic() - began > self.rewind:
                self._assign()
                began = time.monotonic()
            self.note(self._consumer.consume(500, 0.1))
        self._consumer.close()

    def _assign(self) -> None:
        self._run_number += 1
        self._consumer.assign([TopicPartition(self.topic, p, random.randint(0, seen)) for p, seen in self.seen.items()])


class Member(Consuming):
    """A member of the group."""

    def __init__(self, history: History, name: str, bootstrap: str, topic: str, partitions: int, group: str) -> None:
        super().__init__(history, name, bootstrap, topic, partitions, group, on_commit=self._committed)
        self._positions: dict[int, int] = {}
        self._ids = itertools.count()
        self._committing: list[tuple[list[tuple[int, int]], int]] = []

    def run(self) -> None:
        self._consumer.subscribe([self.topic], on_assign=self._assigned, on_revoke=self._revoked)
        committed = asked = time.monotonic()
        while not self.ending.is_set():
            self.note(self._poll())
            now = time.monotonic()
            if now - committed > 10:
                self._committing.clear()  # nobody will tell any more
            if self._positions and not self._committing and now - committed > 0.5:
                self._commit()
                committed = time.monotonic()
            if now - asked > 1.5:
                self._ask()
                asked = time.monotonic()
        self._consumer.close()

    def _poll(self) -> list[Message]:
        """One after the other: only so is it known to which assignment a message belongs."""
        messages: list[Message] = []
        run = self._run_number
        message = self._consumer.poll(0.1)
        while message is not None:
            if run != self._run_number:
                self.note(messages)  # of the assignment before
                messages, run = [], self._run_number
            messages.append(message)
            if message.error() is None:
                self._positions[message.partition() or 0] = (message.offset() or 0) + 1
            if len(messages) >= 200:
                break
            message = self._consumer.poll(0)
        return messages

    def _assigned(self, consumer: confluent_kafka.Consumer, partitions: list[TopicPartition]) -> None:
        self._run_number += 1
        self._positions = {}
        generation = generation_of(consumer.consumer_group_metadata())
        self.record(
            INFO, "owned", group=self.group, generation=generation, partitions=[p.partition for p in partitions]
        )

    def _revoked(self, *_: object) -> None:
        self._run_number += 1
        self._positions = {}

    def _commit(self) -> None:
        """Not synchronously: librdkafka waits for ever when a rebalance comes in between."""
        offsets, self._positions = sorted(self._positions.items()), {}
        number = next(self._ids)
        self.record("invoke", "commit", id=number, group=self.group, offsets=offsets)
        self._committing.append((offsets, number))
        try:
            self._consumer.commit(offsets=[TopicPartition(self.topic, p, o) for p, o in offsets], asynchronous=True)
        except KafkaException as problem:
            self._committing.pop()
            self.record(INFO, "commit", id=number, error=str(problem))

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        answered = sorted((p.partition, p.offset) for p in partitions)
        for entry in self._committing:
            if entry[0] == answered:
                self._committing.remove(entry)
                failed = [e.name() for e in (error, *(p.error for p in partitions)) if e is not None]
                self.record(INFO if failed else OK, "commit", id=entry[1], error=failed)
                return

    def _ask(self) -> None:
        number = next(self._ids)
        self.record("invoke", "committed", id=number, group=self.group)
        try:
            asked = [TopicPartition(self.topic, p) for p in range(self.partitions)]
            answer = self._consumer.committed(asked, timeout=5)
            offsets = [(p.partition, max(p.offset, -1)) for p in answer if p.error is None]
            self.record(OK, "committed", id=number, offsets=offsets)
        except KafkaException as problem:
            self.record(INFO, "committed", id=number, error=str(problem))


def generation_of(group_metadata: bytes) -> int:
    """librdkafka's own form: a mark, the generation in the machine's byte order, then the names."""
    mark, generation = struct.unpack_from("=7si", group_metadata)
    assert mark == b"CGMDv2:", group_metadata
    return int(generation)


class Observer(Client):
    """What one broker says of leaders and ends."""

    def __init__(self, history: History, broker: Broker, topic: str, partitions: int) -> None:
        super().__init__(history, f"broker {broker.broker_id}")
        self.broker, self.topic, self.partitions = broker, topic, partitions
        self._ids = itertools.count()

    def run(self) -> None:
        connection = None
        for _ in self.paced(4):
            try:
                connection = connection or connect(self.broker, "observer")
                for p in topic_metadata(connection, self.topic):
                    self.record(INFO, "led", partition=p.partition_index, epoch=p.leader_epoch, leader=p.leader_id)
                    if p.leader_id == self.broker.broker_id:
                        self._ask_end(connection, p.partition_index)
            except Disconnected:
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _ask_end(self, connection: BrokerConnection, partition: int) -> None:
        number = next(self._ids)
        self.record("invoke", "end", id=number)
        answer = end_offset(connection, self.topic, partition)
        if answer is not None:
            self.record(OK, "end", id=number, partition=partition, offset=answer[0], leader_epoch=answer[1])


class Watcher(Client):
    """What ZooKeeper says."""

    def __init__(self, history: History, cluster: Cluster, topic: str, partitions: int) -> None:
        super().__init__(history, "zookeeper")
        self.cluster, self.topic, self.partitions = cluster, topic, partitions

    def run(self) -> None:
        for _ in self.paced(5):
            with contextlib.suppress(*UNREACHABLE):
                for partition in range(self.partitions):
                    state = self.cluster.state(self.topic, partition, 1)
                    if state is not None:
                        self.record(INFO, "led", partition=partition, epoch=state.epoch, leader=state.leader)
                epoch = self._get("/controller_epoch")
                controller = json.loads(self._get("/controller"))["brokerid"]
                if epoch == self._get("/controller_epoch"):
                    self.record(INFO, "controlled", epoch=int(epoch), broker=controller)

    def _get(self, path: str) -> bytes:
        return bytes(self.cluster.zk.get_async(path).get(timeout=1)[0])
