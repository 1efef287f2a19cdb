"""A ZooKeeper of one dictionary, and brokers that only listen: what the controller's pure steps are tested in."""

from __future__ import annotations

import json
from typing import Any

from kafkalike.cluster.znodes.brokers import BrokerNode, Endpoint
from kafkalike.cluster.znodes.cluster import TOP_LEVEL
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.topics import Assignment, PartitionNode, TopicNode
from kafkalike.controller import failover, topic_deletion
from kafkalike.controller.context import Context, Partition
from kafkalike.controller.effects import (
    BAD_VERSION,
    NO_NODE,
    NODE_EXISTS,
    NOT_EMPTY,
    AwaitAnswer,
    Children,
    Connect,
    CreateNode,
    DeleteNode,
    Disconnect,
    Ignore,
    Later,
    Listen,
    Node,
    Pause,
    Probe,
    PutFeatures,
    Read,
    Send,
    SetNode,
    Steps,
    Write,
    Written,
)
from kafkalike.protocol.messages import leader_and_isr, stop_replica, update_metadata

KINDS = {leader_and_isr.Request: "LAI", update_metadata.Request: "UM", stop_replica.Request: "SR"}


class Crash(Exception):
    """The controller dies here."""


class World:
    """What is there, and all that was asked for, in order."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {"/": Node(None, 0)}
        self.zxid = 0
        self.asked: list[Any] = []
        self.listening: set[str] = set()
        self.connected: set[int] = set()
        self.sent: list[tuple[int, Any]] = []
        self.refusing: set[int] = set()
        self.awaited: set[int] = set()
        self.reminders: list[str] = []
        self.crash_after: int | None = None
        for path in TOP_LEVEL:
            self.put(path)

    # What is there.

    def put(self, path: str, data: bytes | None = None) -> None:
        """Makes or overwrites a node, and makes its parents."""
        parent = path.rpartition("/")[0]
        if parent and parent not in self.nodes:
            self.put(parent)
        self.zxid += 1
        old = self.nodes.get(path)
        if old:
            self.nodes[path] = Node(data, old.version + 1, old.czxid, self.zxid)
        else:
            self.nodes[path] = Node(data, 0, self.zxid, self.zxid)

    def remove(self, path: str) -> None:
        """Removes a node and all below."""
        for name in [name for name in self.nodes if name == path or name.startswith(path + "/")]:
            del self.nodes[name]

    def broker(self, broker_id: int, port: int = 9092, rack: str | None = None) -> None:
        """Registers a broker, anew if it is there."""
        self.remove(BrokerNode.path(broker_id))
        endpoint = Endpoint("PLAINTEXT", "PLAINTEXT", f"h{broker_id}", port)
        node = BrokerNode((endpoint,), rack, extra={BrokerNode.OFFSETS_STORAGE: "zookeeper"})
        self.put(BrokerNode.path(broker_id), node.encode())

    def topic(self, name: str, assignment: dict[int, tuple[int, ...]], configs: dict[str, str] | None = None) -> None:
        """What CreateTopics writes."""
        self.put(EntityConfig.path("topics", name), EntityConfig.encode(configs or {}))
        partitions = {p: Assignment(replicas) for p, replicas in assignment.items()}
        self.put(TopicNode.path(name), TopicNode(partitions, name.encode().ljust(16, b"-")).encode())

    def state(self, topic: str, partition: int) -> dict[str, Any]:
        """A partition's state znode, with its version."""
        node = self.nodes[PartitionNode.path(topic, partition)]
        parsed: dict[str, Any] = json.loads(node.data or b"")
        return parsed | {"zk": node.version}

    def children(self, path: str) -> list[str]:
        """Names below a path."""
        prefix = path.rstrip("/") + "/"
        return [
            name[len(prefix) :] for name in self.nodes if name.startswith(prefix) and "/" not in name[len(prefix) :]
        ]

    # What the controller does.

    def controller(self, controller_id: int = 1, epoch: int = 1, **settings: Any) -> Context:
        """A new controller that has taken over."""
        context = Context(controller_id, epoch, **settings)
        self.listening.clear()
        self.connected.clear()
        self.perform(failover.take_over(context, self.new_id))
        return context

    def new_id(self) -> bytes:
        """Gives ids that are not random."""
        return b"new-id".ljust(16, b"-")

    def perform(self, steps: Steps[Any]) -> Any:
        """Does what the steps ask for, and gives their result."""
        outcome: Any = None
        while True:
            try:
                effect = steps.send(outcome)
            except StopIteration as end:
                return end.value
            if self.crash_after is not None:
                if self.crash_after == 0:
                    steps.close()
                    raise Crash
                self.crash_after -= 1
            self.asked.append(effect)
            outcome = self._effect(effect)

    def attend(self, context: Context) -> None:
        """Answers what was sent as brokers do that do as they are told, until nothing comes any more."""
        while any(isinstance(request, stop_replica.Request) for _, request in self.sent):
            sent, self.sent = self.sent, [s for s in self.sent if not isinstance(s[1], stop_replica.Request)]
            for broker_id, request in sent:
                if isinstance(request, stop_replica.Request):
                    deleted = [
                        (topic.topic_name, state.partition_index, broker_id)
                        for topic in request.topic_states
                        for state in topic.partition_states
                        if state.delete_partition
                    ]
                    epoch = context.brokers[broker_id].epoch
                    self.perform(topic_deletion.replicas_deleted(context, broker_id, epoch, deleted, []))

    def requests_sent(self) -> list[str]:
        """What was sent since the last call: `LAI>1 t-0:1[1,2]` is kind, receiver, and per partition leader and ISR."""
        sent, self.sent = self.sent, []
        return [f"{KINDS[type(request)]}>{broker_id}{_contents(request)}" for broker_id, request in sent]

    def _effect(self, effect: Any) -> Any:
        match effect:
            case Read(paths):
                return [self.nodes.get(path) for path in paths]
            case Children(paths):
                return [self.children(path) for path in paths]
            case Write(operations):
                return [self._write(operation) for operation in operations]
            case Pause():
                pass
            case PutFeatures(data):
                self.put("/feature", data)
            case Listen(children, nodes):
                self.listening |= {*children, *nodes}
            case Ignore(paths):
                self.listening -= set(paths)
            case Connect(broker_id):
                self.connected.add(broker_id)
            case Disconnect(broker_id):
                self.connected.discard(broker_id)
            case Probe(broker_ids):
                return self.refusing & set(broker_ids)
            case AwaitAnswer(broker_ids):
                self.awaited |= set(broker_ids)
            case Later(_, subject, _):
                self.reminders.append(subject)
            case Send(requests):
                assert {broker_id for broker_id, _ in requests} <= self.connected
                self.sent += requests
        return None

    def _write(self, operation: CreateNode | SetNode | DeleteNode) -> Written:
        path = operation.path
        node = self.nodes.get(path)
        match operation:
            case CreateNode(_, data):
                if node is not None:
                    return Written(NODE_EXISTS)
                if (path.rpartition("/")[0] or "/") not in self.nodes:
                    return Written(NO_NODE)
                self.put(path, data)
            case SetNode(_, data, version):
                if node is None:
                    return Written(NO_NODE)
                if version not in (-1, node.version):
                    return Written(BAD_VERSION)
                self.put(path, data)
            case DeleteNode(_, version, witness):
                if node is None or (witness is not None and witness[0] not in self.nodes):
                    return Written(NO_NODE)
                if version not in (-1, node.version) or (
                    witness is not None and witness[1] != self.nodes[witness[0]].version
                ):
                    return Written(BAD_VERSION)
                if self.children(path):
                    return Written(NOT_EMPTY)
                del self.nodes[path]
                return Written()
        return Written(version=self.nodes[path].version)


def _contents(request: Any) -> str:
    parts = []
    for topic in request.topic_states:
        for state in topic.partition_states:
            name = f"{topic.topic_name}-{state.partition_index}"
            if isinstance(request, stop_replica.Request):
                parts.append(f"{name}{' delete' if state.delete_partition else ''} @{state.leader_epoch}")
            else:
                new = " new" if getattr(state, "is_new", False) else ""
                isr = ",".join(map(str, state.isr))
                parts.append(f"{name}:{state.leader}[{isr}]@{state.leader_epoch}{new}")
    return "".join(f" {part}" for part in parts)


def replicas(world: World, partition: Partition) -> tuple[int, ...]:
    """The assignment in the topic's znode."""
    node = TopicNode.decode(world.nodes[TopicNode.path(partition[0])].data, partition[0])
    return node.partitions[partition[1]].replicas


def world_with(*broker_ids: int) -> World:
    """A world with these brokers, each with a port of its own."""
    world = World()
    for broker_id in broker_ids:
        world.broker(broker_id, 9092 + broker_id)
    return world


def written(world: World) -> list[str]:
    """Paths of all writes, in order."""
    return [op.path for effect in world.asked if isinstance(effect, Write) for op in effect.operations]


def world_with_a_topic() -> World:
    """Brokers 1 and 2 with topic t, whose partition 0 prefers the one and partition 1 the other."""
    world = World()
    for broker_id in (1, 2):
        world.broker(broker_id)
    world.topic("t", {0: (1, 2), 1: (2, 1)})
    return world


def told_everything(world: World) -> list[tuple[int, list[str]]]:
    """The brokers that a full UpdateMetadata went to, each with the topics in it."""
    return [
        (broker_id, [topic.topic_name for topic in request.topic_states])
        for broker_id, request in world.sent
        if isinstance(request, update_metadata.Request) and request.type == update_metadata.FULL
    ]
