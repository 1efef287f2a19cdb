"""A broker that is none: it registers, says yes to whatever the controller tells it, and keeps every request's bytes.

`record()` plays one story with three of them and one real broker, which is the controller, and gives what each was
told at each step. The real broker is Apache's for the captures in tests/oracle/control, and ours to be compared.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from kazoo.client import KazooClient

from kafkalike.cluster.znodes.brokers import BrokerNode, Endpoint
from kafkalike.cluster.znodes.topics import PartitionNode, TopicNode
from kafkalike.protocol.framing import read_request_header, response_header
from kafkalike.protocol.messages import (
    alter_partition,
    alter_partition_reassignments,
    by_key,
    controlled_shutdown,
    create_partitions,
    create_topics,
    delete_topics,
    elect_leaders,
    leader_and_isr,
    stop_replica,
    update_metadata,
)
from tests.mixed.cluster import Mixed, ask
from tests.servers import wait_until

CONTROLLER = 1
# How long everybody is silent before a step is over.
QUIET_SECONDS = 1.0


class Told(NamedTuple):
    """One request: the step of the story, who got it, the frame without its length."""

    step: str
    receiver: int
    frame: bytes


class FakeBroker:
    """One of them."""

    def __init__(self, broker_id: int, connect: str, tell: Callable[[int, bytes], None], **fields: Any) -> None:
        self.broker_id = broker_id
        self.connect = connect
        self.tell = tell
        self.fields = fields
        self.epoch = -1
        self.session: KazooClient | None = None
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._serve, bind_and_activate=True)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()

    def register(self) -> None:
        """Joins the cluster."""
        self.session = KazooClient(self.connect)
        self.session.start(timeout=15)
        endpoints = [Endpoint("PLAINTEXT", "PLAINTEXT", "127.0.0.1", self.port)]
        endpoints += [Endpoint("OTHER", "SASL_SSL", "other", 9) for _ in range(self.fields.get("others", 0))]
        node = BrokerNode(tuple(endpoints), rack=self.fields.get("rack"))
        path = BrokerNode.path(self.broker_id)
        self.session.create(path, node.encode(), ephemeral=True)
        self.epoch = self.session.exists(path).czxid

    def leave(self) -> None:
        """Dies."""
        if self.session is not None:
            self.session.stop()
            self.session.close()
            self.session = None

    def close(self) -> None:
        self.leave()
        self.server.shutdown()
        self.server.server_close()

    def _serve(self, connection: socket.socket, _: Any, __: Any) -> None:
        with connection:
            buffered = b""
            while True:
                while len(buffered) < 4 or len(buffered) < 4 + int.from_bytes(buffered[:4], "big"):
                    chunk = connection.recv(65536)
                    if not chunk:
                        return
                    buffered += chunk
                end = 4 + int.from_bytes(buffered[:4], "big")
                frame, buffered = buffered[4:end], buffered[end:]
                key, version, correlation, _, pos = read_request_header(frame)
                answer = agree(key, version, frame, pos)
                if answer is None:
                    return
                self.tell(self.broker_id, frame)
                data = response_header(key, version, correlation) + answer
                connection.sendall(len(data).to_bytes(4, "big") + data)


def agree(key: int, version: int, frame: bytes, pos: int | None) -> bytes | None:
    """The answer of a broker that has done what it was told; None to what is no control request."""
    if key == update_metadata.API_KEY:
        return update_metadata.Response().encode(version)
    if key == leader_and_isr.API_KEY:
        request = leader_and_isr.Request.decode(version, frame, pos)
        error = leader_and_isr.LeaderAndIsrPartitionError
        topics = [
            leader_and_isr.LeaderAndIsrTopicError(
                topic_id=topic.topic_id,
                partition_errors=[error(partition_index=each.partition_index) for each in topic.partition_states],
            )
            for topic in request.topic_states
        ]
        return leader_and_isr.Response(topics=topics).encode(version)
    if key == stop_replica.API_KEY:
        request = stop_replica.Request.decode(version, frame, pos)
        errors = [
            stop_replica.StopReplicaPartitionError(topic_name=topic.topic_name, partition_index=each.partition_index)
            for topic in request.topic_states
            for each in topic.partition_states
        ]
        return stop_replica.Response(partition_errors=errors).encode(version)
    return None


class Story:
    """A cluster of one real broker and three that are none, and the steps."""

    def __init__(self, cluster: Mixed, kind: str) -> None:
        self.cluster = cluster
        self.told: list[Told] = []
        self.step = ""
        self.heard = time.monotonic()
        self.lock = threading.Lock()
        connect = cluster.zookeeper.connect
        self.fakes = {
            2: FakeBroker(2, connect, self._tell, rack="r2"),
            3: FakeBroker(3, connect, self._tell, rack="r1"),
            4: FakeBroker(4, connect, self._tell, rack="r1", others=1),
        }
        self.real = cluster.add(CONTROLLER, kind)

    def close(self) -> None:
        for fake in self.fakes.values():
            fake.close()

    def _tell(self, broker_id: int, frame: bytes) -> None:
        with self.lock:
            self.told.append(Told(self.step, broker_id, frame))
            self.heard = time.monotonic()

    @contextmanager
    def a_step(self, name: str) -> Iterator[None]:
        """What is told from now on, and until all is quiet, belongs to this step."""
        self.step, self.heard = name, time.monotonic()
        yield
        wait_until(lambda: time.monotonic() - self.heard > QUIET_SECONDS, 60, f"{name} to be over")

    def ask(self, module: Any, version: int, request: Any) -> Any:
        """A request to the controller."""
        return ask(self.real, module, version, request)

    def state(self, topic: str, partition: int) -> tuple[PartitionNode, int]:
        """A partition's state and its epoch."""
        with self.cluster.znodes() as client:
            data, stat = client.get(PartitionNode.path(topic, partition))
            return PartitionNode.decode(data, topic, partition), stat.version

    def topic_id(self, topic: str) -> bytes:
        with self.cluster.znodes() as client:
            return TopicNode.decode(client.get(TopicNode.path(topic))[0], topic).topic_id

    def create(self, topic: str, *assignment: list[int], **configs: str) -> None:
        replicas = [
            create_topics.CreatableReplicaAssignment(partition_index=index, broker_ids=ids)
            for index, ids in enumerate(assignment)
        ]
        config = [
            create_topics.CreatableTopicConfig(name=key.replace("_", "."), value=value)
            for key, value in configs.items()
        ]
        wanted = create_topics.CreatableTopic(
            name=topic, num_partitions=-1, replication_factor=-1, assignments=replicas, configs=config
        )
        answer = self.ask(create_topics, 5, create_topics.Request(topics=[wanted], timeout_ms=20_000))
        assert 0 == answer.topics[0].error_code, answer

    def propose(self, topic: str, partition: int, isr: list[int]) -> None:
        """The leader, one of the fakes, changes the ISR."""
        node, version = self.state(topic, partition)
        leader = self.fakes[node.leader]
        members = [
            alter_partition.BrokerState(broker_id=each, broker_epoch=self.fakes[each].epoch if each != 1 else -1)
            for each in isr
        ]
        data = alter_partition.PartitionData(
            partition_index=partition,
            leader_epoch=node.leader_epoch,
            new_isr_with_epochs=members,
            partition_epoch=version,
        )
        request = alter_partition.Request(
            broker_id=leader.broker_id,
            broker_epoch=leader.epoch,
            topics=[alter_partition.TopicData(topic_id=self.topic_id(topic), partitions=[data])],
        )
        answer = self.ask(alter_partition, 3, request)
        assert 0 == answer.error_code == answer.topics[0].partitions[0].error_code, answer

    def play(self) -> None:
        """The story."""
        two, three, four = self.fakes.values()
        self.cluster.start(CONTROLLER)
        with self.a_step("01-broker-2-comes"):
            two.register()
        with self.a_step("02-broker-3-comes"):
            three.register()
        with self.a_step("03-broker-4-comes"):
            four.register()
        with self.a_step("04-topic-a-is-created"):
            self.create("a", [2, 3], [3, 2], [3, 4], [1, 2])
        with self.a_step("05-topic-a-gets-a-partition"):
            assignment = create_partitions.CreatePartitionsAssignment(broker_ids=[4, 3])
            more = create_partitions.CreatePartitionsTopic(name="a", count=5, assignments=[assignment])
            answer = self.ask(create_partitions, 3, create_partitions.Request(topics=[more], timeout_ms=20_000))
            assert 0 == answer.results[0].error_code, answer
        with self.a_step("06-topic-u-is-created"):
            self.create("u", [3, 4], unclean_leader_election_enable="true")
        with self.a_step("07-isr-of-u-shrinks"):
            self.propose("u", 0, [3])
        with self.a_step("08-broker-3-dies"):
            three.leave()
        with self.a_step("09-broker-3-returns"):
            three.register()
        with self.a_step("10-isr-of-a-grows"):
            for partition in (0, 1, 2):
                self.propose("a", partition, [2, 3] if partition < 2 else [4, 3])
        with self.a_step("11-preferred-leaders-are-elected"):
            partitions = [elect_leaders.TopicPartitions(topic="a", partitions=[0, 1, 2])]
            request = elect_leaders.Request(election_type=0, topic_partitions=partitions, timeout_ms=20_000)
            answer = self.ask(elect_leaders, 2, request)
            assert 0 == answer.error_code, answer
        with self.a_step("12-a-0-is-reassigned"):
            self.reassign("a", 0, [3, 4])
        with self.a_step("13-a-0-is-reassigned-at-last"):
            self.propose("a", 0, [2, 3, 4])
        with self.a_step("14-broker-4-is-shut-down"):
            request = controlled_shutdown.Request(broker_id=4, broker_epoch=four.epoch)
            answer = self.ask(controlled_shutdown, 3, request)
            assert 0 == answer.error_code, answer
        with self.a_step("15-broker-4-returns"):
            four.leave()
            wait_until(lambda: self.told[-1].step == self.step, 30, "the leave to be noticed")
            four.register()
        with self.a_step("16-topic-a-is-deleted"):
            names = delete_topics.Request(topic_names=["a"], timeout_ms=20_000)
            answer = self.ask(delete_topics, 5, names)
            assert 0 == answer.responses[0].error_code, answer

    def reassign(self, topic: str, partition: int, replicas: list[int]) -> None:
        """Asks for other replicas."""
        wanted = alter_partition_reassignments.ReassignablePartition(partition_index=partition, replicas=replicas)
        of_topic = alter_partition_reassignments.ReassignableTopic(name=topic, partitions=[wanted])
        request = alter_partition_reassignments.Request(topics=[of_topic], timeout_ms=20_000)
        answer = self.ask(alter_partition_reassignments, 0, request)
        assert 0 == answer.error_code == answer.responses[0].partitions[0].error_code, answer


def record(cluster: Mixed, kind: str) -> list[Told]:
    """Plays the story with a controller of this kind."""
    with ExitStack() as stack:
        story = Story(cluster, kind)
        stack.callback(story.close)
        story.play()
        return list(story.told)


def save(directory: Path, told: list[Told]) -> None:
    """One file for each step: in the order of arrival, the receiver and the frame in hexadecimal."""
    directory.mkdir(parents=True, exist_ok=True)
    for step, group in groupby(told, key=lambda each: each.step):
        lines = [f"{each.receiver} {each.frame.hex()}\n" for each in group]
        (directory / f"{step}.hex").write_text("".join(lines))


def saved(directory: Path) -> list[Told]:
    """The opposite."""
    found = []
    for file in sorted(directory.glob("*.hex")):
        for line in file.read_text().splitlines():
            receiver, frame = line.split()
            found.append(Told(file.stem, int(receiver), bytes.fromhex(frame)))
    return found


def request_of(frame: bytes) -> tuple[str, int, Any]:
    """(name, version, decoded request) of a frame."""
    key, version, _, _, pos = read_request_header(frame)
    module = by_key(key)
    return module.NAME, version, module.Request.decode(version, frame, pos)


def compared(told: list[Told]) -> dict[tuple[str, int], list[Any]]:
    """What each receiver was told at each step, every field of it, with what no two runs share put in words.

    That is: the id of a topic is its name, a port its broker, a broker epoch the number of that broker's registration;
    and the order of partitions within a request says nothing.
    """
    found: dict[tuple[str, int], list[Any]] = {}
    names: dict[bytes, str] = {bytes(16): "none"}
    epochs: dict[tuple[int, int], str] = {}
    for each in told:
        name, version, request = request_of(each.frame)
        for topic in request.topic_states:
            if hasattr(topic, "topic_id"):
                names.setdefault(bytes(topic.topic_id), f"id of {topic.topic_name}")
        lives = [epoch for receiver, epoch in epochs if receiver == each.receiver]
        epochs.setdefault((each.receiver, request.broker_epoch), f"life {len(lives) + 1}")
        fields = plain(request, names) | {"broker_epoch": epochs[each.receiver, request.broker_epoch]}
        _, _, _, client, _ = read_request_header(each.frame)
        found.setdefault((each.step, each.receiver), []).append((name, version, client, fields))
    return found


def plain(value: Any, names: dict[bytes, str]) -> Any:
    """A decoded structure as dictionaries and sorted lists."""
    if isinstance(value, (bytes, memoryview)):
        return names[bytes(value)]
    if isinstance(value, list):
        items = [plain(each, names) for each in value]
        return sorted(items, key=str) if items and isinstance(items[0], dict) else items
    if hasattr(value, "__slots__"):
        fields = {name: getattr(value, name) for name in value.__slots__}
        return {name: "its own" if name == "port" else plain(each, names) for name, each in fields.items()}
    return value
