"""A broker's parts as far as the coordinator sees them, on a clock: ZooKeeper with answers a moment later, one log."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from kazoo.protocol.states import ZnodeStat
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kafkalike import clock
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.cluster.metadata import Broker, Image, PartitionState, Topic
from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.cluster.znodes.admin import DeleteTopicNode
from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.topics import Assignment, PartitionNode, TopicNode
from kafkalike.coordinator.group_coordinator import GroupCoordinator
from kafkalike.coordinator.internal_topic import partition_of
from kafkalike.coordinator.offsets.fence import Fence
from kafkalike.coordinator.offsets.offset_commit import OffsetCommit
from kafkalike.errors import Error, KafkaError
from kafkalike.storage.append_path import CLIENT, COORDINATOR
from zk.client import (
    BadVersion,
    Check,
    ConnectionLoss,
    Create,
    Delete,
    NodeExists,
    NoNode,
    NotEmpty,
    Set,
    ZooKeeperError,
)
from zk.server.tree import Tree
from zk.wire import OPEN_ACL, STAT, Code, ZkError

ERRORS = {
    Code.NO_NODE: NoNode,
    Code.NODE_EXISTS: NodeExists,
    Code.BAD_VERSION: BadVersion,
    Code.NOT_EMPTY: NotEmpty,
    Code.NO_AUTH: ZooKeeperError,
}


class FakeZk:
    """ZkClient over the embedded server's tree. Requests are done in order, and answered after `delay` seconds."""

    def __init__(self, clock: Clock, delay: float = 0.001) -> None:
        self.clock = clock
        self.delay = delay
        self.tree = Tree()
        self.state = "CONNECTED"
        self.listeners: list[Callable[[str], None]] = []
        self.log: list[tuple[Any, ...]] = []
        self.waiting: list[tuple[Any, ...]] = []
        self.in_flight: list[tuple[Deferred[Any], Any]] = []
        self.zxid = 0
        self.watches: dict[str, list[Any]] = {}
        # Called with each multi before it is done: what a racing client does.
        self.before_multi: Callable[[list[Any]], None] | None = None

    def add_listener(self, listener: Callable[[str], None]) -> None:
        self.listeners.append(listener)

    def remove_listener(self, listener: Callable[[str], None]) -> None:
        self.listeners.remove(listener)

    def get(self, path: str, watch: Any = None) -> Deferred[Any]:
        return self._ask("get", path)

    def exists(self, path: str, watch: Any = None) -> Deferred[Any]:
        return self._ask("exists", path)

    def children(self, path: str, watch: Any = None) -> Deferred[Any]:
        if watch is not None:
            self.watches.setdefault(path, []).append(watch)
        return self._ask("children", path)

    def sync(self, path: str = "/") -> Deferred[Any]:
        return self._ask("sync", path)

    def delete(self, path: str, version: int = -1) -> Deferred[Any]:
        return self._ask("delete", path, version)

    def ensure_path(self, path: str) -> Deferred[Any]:
        return self._ask("ensure_path", path)

    def multi(self, operations: list[Any]) -> Deferred[Any]:
        return self._ask("multi", list(operations))

    # The network.

    def suspend(self, lose_requests: bool = False) -> None:
        """The connection breaks: answers under way are lost; with `lose_requests` the requests never arrived."""
        self.state = "SUSPENDED"
        for listener in list(self.listeners):
            listener("SUSPENDED")
        lost, self.in_flight = self.in_flight, []
        for answer, request in lost:
            if request[0] in ("multi", "delete"):
                answer.errback(ConnectionLoss())
            else:
                self.waiting.append((answer, request))

    def connect(self) -> None:
        self.state = "CONNECTED"
        for listener in list(self.listeners):
            listener("CONNECTED")
        waiting, self.waiting = self.waiting, []
        for answer, request in waiting:
            self._do(answer, request)

    def _ask(self, *request: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        if self.state != "CONNECTED":
            self.waiting.append((answer, request))
        else:
            self._do(answer, request)
        return answer

    def _do(self, answer: Deferred[Any], request: tuple[Any, ...]) -> None:
        if not str(request[1]).startswith(BrokerNode.directory()):
            self.log.append(request)
        try:
            result = getattr(self, "do_" + request[0])(*request[1:])
        except ZkError as problem:
            result = ERRORS[problem.code]()
            result.index = getattr(problem, "index", -1)
        flight = (answer, request)
        self.in_flight.append(flight)
        self.clock.callLater(self.delay, self._arrive, flight, result)

    def _arrive(self, flight: tuple[Deferred[Any], Any], result: Any) -> None:
        if flight in self.in_flight:
            self.in_flight.remove(flight)
            if isinstance(result, Exception):
                flight[0].errback(result)
            else:
                flight[0].callback(result)

    # The tree. These are also what a program at another client does.

    @property
    def now_ms(self) -> int:
        return int(self.clock.seconds() * 1000)

    def stat(self, path: str) -> ZnodeStat:
        return ZnodeStat._make(STAT.unpack(self.tree.get(path).stat()))

    def do_get(self, path: str) -> Any:
        return self.tree.get(path).data, self.stat(path)

    def do_exists(self, path: str) -> Any:
        return self.stat(path) if path in self.tree.nodes else None

    def do_children(self, path: str) -> Any:
        return list(self.tree.get(path).children or ())

    def do_sync(self, path: str) -> Any:
        return path

    def do_delete(self, path: str, version: int = -1) -> Any:
        self.zxid += 1
        self.tree.delete(path, version, None, self.zxid)
        self.ring(path.rsplit("/", 1)[0])
        return True

    def do_ensure_path(self, path: str) -> None:
        parts = path.split("/")
        for end in range(2, len(parts) + 1):
            if "/".join(parts[:end]) not in self.tree.nodes:
                self.put("/".join(parts[:end]), None)

    def do_multi(self, operations: list[Any]) -> Any:
        if self.before_multi is not None:
            self.before_multi(operations)
        self.zxid += 1
        self.tree.events.clear()
        self.tree.begin()
        results = []
        for index, each in enumerate(operations):
            try:
                results.append(self._one(each))
            except ZkError as problem:
                self.tree.rollback()
                problem.index = index  # type: ignore[attr-defined]
                raise
        self.tree.commit()
        return results

    def _one(self, operation: Any) -> Any:
        if isinstance(operation, Create):
            return self.tree.create(operation.path, operation.data, OPEN_ACL, 0, False, None, self.zxid, self.now_ms)[0]
        if isinstance(operation, Set):
            self.tree.set_data(operation.path, operation.data, operation.version, None, self.zxid, self.now_ms)
            return self.stat(operation.path)
        if isinstance(operation, Delete):
            self.tree.delete(operation.path, operation.version, None, self.zxid)
        else:
            assert isinstance(operation, Check)
            self.tree.check(operation.path, operation.version, None)
        return True

    def put(self, path: str, data: bytes | None) -> None:
        """Another client writes a node, with its parents."""
        self.zxid += 1
        parent = path.rsplit("/", 1)[0]
        if parent and parent not in self.tree.nodes:
            self.put(parent, None)
        if path in self.tree.nodes:
            self.tree.set_data(path, data, -1, None, self.zxid, self.now_ms)
        else:
            self.tree.create(path, data, OPEN_ACL, 0, False, None, self.zxid, self.now_ms)
            self.ring(parent)

    def delete_below(self, path: str) -> None:
        """Another client removes a node with all that is below it."""
        for name in self.do_children(path):
            self.delete_below(f"{path}/{name}")
        self.do_delete(path)

    def ring(self, path: str) -> None:
        """The children of this node have changed."""
        for watch in self.watches.pop(path, []):
            self.clock.callLater(self.delay, watch, None)

    def data(self, path: str) -> bytes | None:
        node = self.tree.nodes.get(path)
        return None if node is None else node.data

    def below(self, path: str) -> dict[str, bytes | None]:
        """Every node below a path that has data."""
        return {
            each: node.data
            for each, node in sorted(self.tree.nodes.items())
            if each.startswith(path + "/") and node.data is not None
        }

    def multis(self) -> list[list[Any]]:
        return [request[1] for request in self.log if request[0] == "multi"]


class FakeLog:
    """The batches of one partition."""

    log_start_offset = 0

    def __init__(self) -> None:
        self.batches: list[bytes] = []

    @property
    def log_end_offset(self) -> int:
        return len(self.batches)

    def read(self, offset: int, max_bytes: int, limit: int, min_one: bool) -> Any:
        data = self.batches[offset]
        data = offset.to_bytes(8, "big") + data[8:]
        return SimpleNamespace(read=lambda: data) if offset < limit else None


class FakeHosted:
    """A partition; what it has may be gone."""

    def __init__(self, replicas: FakeReplicas, topic: str, index: int) -> None:
        self._replicas, self._key = replicas, (topic, index)

    @property
    def partition(self) -> Any:
        return self._replicas.partition(*self._key)

    @property
    def log(self) -> FakeLog:
        return self._replicas.log(*self._key)


class FakeReplicas:
    """Batches of one record each. `answers` is taken from, one for each append; NONE when it is empty."""

    def __init__(self, topic: str = GROUP_METADATA) -> None:
        self.topic = topic
        self.logs: dict[int, FakeLog] = {}
        self.callback: Any = None
        self.isr: tuple[int, ...] = (1,)
        self.answers: list[Error] = []
        self.later: list[Callable[[], None]] | None = None
        self.gone: set[int] = set()
        self.epochs: dict[int, int] = {}  # of the partitions, as the newest order has it

    def give_up(self, index: int) -> None:
        """The partition is this broker's no more."""
        self.gone.add(index)
        self.callback(index, 1, False)

    @property
    def replication(self) -> Any:
        """All that a coordinator wants of it is here."""
        return SimpleNamespace(replicas=self, partitions=self, leadership=self)

    def on_change(self, topic: str, callback: Any) -> None:
        assert topic == self.topic

        def announce(index: int, leader_epoch: int, leading: bool) -> None:
            self.epochs[index] = leader_epoch
            callback(index, leader_epoch, leading)

        self.callback = announce

    def find(self, topic: str, index: int) -> FakeHosted:
        return FakeHosted(self, topic, index)

    def partition(self, topic: str, index: int) -> Any:
        if index not in self.epochs:
            raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)
        return SimpleNamespace(topic=topic, index=index, isr=self.isr, leader_epoch=self.epochs[index])

    def log(self, topic: str, index: int) -> FakeLog:
        if index in self.gone:
            raise KafkaError(Error.NOT_LEADER_OR_FOLLOWER)
        return self.logs.setdefault(index, FakeLog())

    def append(
        self, topic: str, index: int, records: memoryview, acks: int, timeout_ms: int, done: Any, origin: int = CLIENT
    ) -> None:
        assert (topic, acks, origin) == (self.topic, -1, COORDINATOR)
        error = self.answers.pop(0) if self.answers else Error.NONE
        if error is Error.NONE:
            self.log(topic, index).batches.append(bytes(records))
        result = KafkaError(error) if error is not Error.NONE else object()
        if self.later is not None:
            self.later.append(lambda: done(result))
        else:
            done(result)


class FakeMetadata:
    def __init__(self, zk: FakeZk) -> None:
        self.zk = zk
        self.image = Image(brokers={1: Broker(1, None, {"PLAINTEXT": ("host", 9092, "PLAINTEXT")})})
        self.callbacks: list[Any] = []

    def on_topics(self, callback: Any) -> None:
        self.callbacks.append(callback)

    def wait(self, predicate: Any, timeout_ms: int) -> Deferred[bool]:
        answer: Deferred[bool] = Deferred()
        answer.callback(predicate(self.image))
        return answer

    def topics(self, **counts: int) -> None:
        """The cluster's topics now are these, with so many partitions, as znodes and in the image."""
        gone, made = self.image.topics.keys() - counts.keys(), counts.keys() - self.image.topics.keys()
        self.image = Image(
            topics={name: self.image.topics.get(name) or self._made(name, count) for name, count in counts.items()},
            brokers=self.image.brokers,
        )
        for name in gone:
            self.order(name)
        self.deleted(*gone)
        for name in gone:
            self.complete(name)
        for callback in self.callbacks:
            callback(frozenset(), frozenset(made))

    def _made(self, name: str, count: int) -> Topic:
        node = TopicNode({index: Assignment((1,)) for index in range(count)}, os.urandom(16))
        self.zk.put(TopicNode.path(name), node.encode())
        state = PartitionState(1, 0, (1,), (1,))
        return Topic(name, node.topic_id, dict.fromkeys(range(count), state))

    def order(self, name: str) -> None:
        """Marks the topic for deletion, as a tool does."""
        self.zk.put(DeleteTopicNode.path(name), None)

    def complete(self, name: str) -> None:
        """The controller has deleted the topic."""
        self.zk.delete_below(TopicNode.path(name))
        self.zk.do_delete(DeleteTopicNode.path(name))

    def deleted(self, *names: str) -> None:
        """The controller says that these topics are being deleted."""
        if names:
            for callback in self.callbacks:
                callback(frozenset(names), frozenset())


CONFIG = {
    "offsets.commit.timeout.ms": 5000,
    "offsets.retention.minutes": 10,
    "offsets.retention.check.interval.ms": 60_000,
    "offsets.topic.num.partitions": 2,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.segment.bytes": 1000,
    "offset.metadata.max.bytes": 10,
    "group.min.session.timeout.ms": 6000,
    "group.max.session.timeout.ms": 1_800_000,
    "group.max.size": 100,
    "group.initial.rebalance.delay.ms": 0,
}


class WallClock(clock.Clock):
    """What the reactor's clock says, since 1970."""

    def __init__(self, reactor: Clock) -> None:
        self._reactor = reactor

    def wall_ms(self) -> int:
        return int(self._reactor.seconds() * 1000)

    monotonic_ms = wall_ms


class FakeBroker:
    """Broker 1 of a cluster with topics t and u and, once it leads them, two partitions of __consumer_offsets."""

    def __init__(self, lead: tuple[int, ...] = (0, 1)) -> None:
        self.reactor = self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.broker_id = 1
        self.rng = random.Random(1)
        self.config = CONFIG
        self.zk = FakeZk(self.clock)
        self.zk.put("/consumers", None)
        self.register(1, "zookeeper")
        self.replicas = FakeReplicas()
        self.metadata = FakeMetadata(self.zk)
        self.metadata.topics(**{"t": 2, "u": 2, GROUP_METADATA: 2})
        self.controller = SimpleNamespace(active=True)
        self.group_coordinator = GroupCoordinator(
            1,
            CONFIG,
            self.replicas.replication,
            self.metadata,
            lambda: self.controller.active,
            self.zk,
            self.clock,
            WallClock(self.clock),
        )
        self.group_coordinator.start()
        for index in (0, 1):
            self.state(index, 1, 0)
        for index in lead:
            self.lead(index)

    def register(self, broker_id: int, storage: str | None) -> None:
        """A broker comes; one of Apache's announces nothing."""
        node = BrokerNode((), extra={} if storage is None else {"offsets.storage": storage})
        self.zk.put(BrokerNode.path(broker_id), node.encode())

    def state(self, index: int, leader: int, epoch: int, isr: tuple[int, ...] = (1,)) -> None:
        """What the controller writes."""
        self.zk.put(PartitionNode.path(GROUP_METADATA, index), PartitionNode(leader, epoch, isr, 1).encode())

    def lead(self, index: int, epoch: int = 0) -> None:
        self.state(index, 1, epoch)
        self.replicas.callback(index, epoch, True)
        self.settle()

    def fence(self, index: int) -> Fence:
        """The fence of a partition that the broker leads."""
        return self.group_coordinator.topic.partitions[index].contents.offsets.fence

    def settle(self, seconds: float = 0.5) -> None:
        """Time passes, in small steps."""
        for _ in range(int(seconds * 100)):
            self.clock.advance(0.01)

    def wait(self, answer: Any) -> Any:
        """The result of a coroutine or Deferred."""
        results: list[Any] = []
        deferred = answer if isinstance(answer, Deferred) else Deferred.fromCoroutine(answer)
        deferred.addBoth(results.append)
        for _ in range(1000):
            if results:
                break
            self.clock.advance(0.01)
        assert results, "no answer in ten seconds"
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()
        return results[0]

    def commit(self, group: str, *offsets: Any, generation: int = -1, member: str = "") -> list[list[Error]]:
        """Starts a commit of (topic, partition, offset[, epoch, metadata]); the list gets its answer."""
        answers: list[list[Error]] = []
        commits = [OffsetCommit(*each) for each in offsets]
        self.group_coordinator.commit(group, generation, member, None, commits, answers.append)
        return answers

    def committed(self, group: str, *offsets: Any) -> None:
        """A commit that succeeds."""
        answers = self.commit(group, *offsets)
        self.settle()
        assert answers == [[Error.NONE] * len(offsets)]

    def call(self, module: Any, version: int, request: Any) -> Any:
        """Runs an API's handler through encoding and decoding, as dispatch does, and returns the answer."""
        name = module.__name__.rsplit(".", 1)[1]
        messages = module.messages
        decoded = messages.Request.decode(version, memoryview(request.encode(version)))
        answers: list[Any] = []
        call = SimpleNamespace(
            request=decoded,
            version=version,
            client_id="c",
            client_host="/127.0.0.1",
            listener="PLAINTEXT",
        )
        result = getattr(module, name)(self, call)
        if isinstance(result, PendingResponse):
            result.then(answers.append)
        elif hasattr(result, "__await__"):
            answers.append(self.wait(result))
        elif hasattr(result, "encode"):
            answers.append(result)
        for _ in range(1000):
            if answers:
                break
            self.clock.advance(0.01)
        (answer,) = answers
        return messages.Response.decode(version, memoryview(answer.encode(version)))


def group_in(partition: int, count: int = 2) -> str:
    """A group id that belongs to a partition."""
    return next(f"g{number}" for number in range(100) if partition_of(f"g{number}", count) == partition)
