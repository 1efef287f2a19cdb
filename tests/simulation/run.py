"""One seed: a cluster starts, a topic is made, clients work; faults for a while; then everything is healed, and the
cluster must come to rest: every partition led and replicated, every write acknowledged, every replica the same.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from kafkalike.cluster.znodes.cluster import TOP_LEVEL, ClusterId
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.encoding import encode_uuid
from kafkalike.cluster.znodes.topics import Assignment, TopicNode
from tests.simulation import offset_committers
from tests.simulation.clients import Consumer, Noise, Producer
from tests.simulation.disk import Key
from tests.simulation.faults import SPARE, Nemesis
from tests.simulation.group_invariants import Membership
from tests.simulation.group_members import Member, Timeouts
from tests.simulation.invariants import NO_LEADER, Watcher
from tests.simulation.machine import Host
from tests.simulation.network import Network, SimPeer
from tests.simulation.offset_committers import Committer
from tests.simulation.options import Options
from tests.simulation.patches import applied, listening
from tests.simulation.recreated_topic import RecreatedTopicCommitter
from tests.simulation.world import Violation, World
from tests.simulation.zookeeper import ZooKeeper
from zk.client import Create
from zk.paths import parents

TOPIC = "t"
TOPIC_ID = bytes(range(16))
SPARE_PARTITIONS = 2
SETTLE_S = 120.0  # how long a healed cluster may take to come to rest
START_S = 30.0


class Run:
    """One run, made from its options."""

    def __init__(self, options: Options, trace: Callable[[str], None] | None = None) -> None:
        self.options = options
        self.world = world = World(options.seed)
        world.trace = trace
        self.network = Network(world, (options.low_ms, options.high_ms), options.spike, options.spike_ms)
        self.zookeeper = ZooKeeper(
            world, self.network, options.zookeepers, options.zookeeper_lag_ms / 1000, options.lose_reply
        )
        self.watcher = Watcher(world, options.min_isr, options.lag_ms)
        self.network.watcher = self.watcher
        self.zookeeper.heard = self._znode_written
        self.hosts: dict[int, Host] = {}
        for broker_id in range(1, options.brokers + 1):
            host = self.hosts[broker_id] = Host(world, self.network, broker_id, self._settings(broker_id))
            host.skew = options.skew_s * (world.random.random() - 0.5)
            host.rate = 1.0 + options.drift * (world.random.random() - 0.5)
        self.watcher.hosts = self.hosts
        self.nemesis = Nemesis(self)
        self.producers: list[Producer] = []
        self.consumers: list[Consumer] = []
        self.noise: list[Noise] = []
        self.groups: list[Committer] = []
        self.members: list[Member] = []
        self._spares = 0
        self.settled_s = 0.0
        self.complaints: list[str] = []

    def _settings(self, broker_id: int) -> dict[str, str]:
        options = self.options
        return {
            "zookeeper.connect": "z0:2181",
            "zookeeper.session.timeout.ms": str(options.session_timeout_ms),
            "zookeeper.connection.timeout.ms": "18000",
            "listeners": f"PLAINTEXT://b{broker_id}:9092",
            "log.dirs": "/disk",
            "replica.lag.time.max.ms": str(options.lag_ms),
            "replica.fetch.wait.max.ms": str(options.fetch_wait_ms),
            "replica.fetch.max.bytes": str(options.fetch_bytes),
            "replica.socket.timeout.ms": "5000",
            "controller.socket.timeout.ms": "5000",
            "min.insync.replicas": str(options.min_isr),
            "unclean.recovery.timeout.ms": str(options.recovery_ms),
            "leader.imbalance.check.interval.seconds": str(options.balance_s),
            "socket.connection.setup.timeout.ms": "2000",
            "group.min.session.timeout.ms": "1000",
            "group.initial.rebalance.delay.ms": str(options.join_delay_ms),
            "log.segment.bytes": str(options.segment_bytes),
            "log.retention.bytes": str(options.retention_bytes),
            "log.retention.ms": str(options.retention_ms),
            "log.retention.check.interval.ms": str(700 if options.segment_bytes < 1 << 30 else 2**41),
            "log.flush.scheduler.interval.ms": str(2**41),
        }

    def run(self) -> None:
        """Runs all phases; raises Violation when an invariant does not hold."""
        world, options = self.world, self.options
        gc.disable()
        try:
            with (
                applied(world, self.network, self.watcher, options.thread_ms / 1000),
                listening(world) as complaints,
            ):
                SimPeer.codec = options.codec
                world.after = self.watcher.after
                self.complaints = complaints.found
                self._prepare()
                self._start()
                self._check_complaints()
                self.nemesis.start()
                world.run(world.now + options.duration_s, self._complained)
                self._check_complaints()
                self._heal()
                self._check_complaints()
                self.watcher.check_folds()
        finally:
            gc.enable()

    def _complained(self) -> bool:
        return bool(self.complaints)

    def _check_complaints(self) -> None:
        if self.complaints:
            raise Violation("NoException", self.complaints[0])

    # The scene.

    def _prepare(self) -> None:
        zookeeper = self.zookeeper
        paths = dict.fromkeys(path for leaf in TOP_LEVEL for path in parents(leaf))
        zookeeper.write(*(Create(path) for path in paths if path not in zookeeper.head.nodes))
        zookeeper.write(
            Create("/cluster"), Create(ClusterId.path(), ClusterId.encode(encode_uuid(bytes(range(1, 17)))))
        )

    def _start(self) -> None:
        world, options = self.world, self.options
        for host in self.hosts.values():
            world.at(world.random.random() * 0.5, host.start)
        if not world.run(START_S, lambda: all(host.started for host in self.hosts.values())):
            raise Violation("EventuallyRuns", "the brokers do not start")
        ids = list(self.hosts)
        self._create_topic(TOPIC, TOPIC_ID, options.partitions)
        if self._has_groups:
            config = {"cleanup.policy": "compact"}
            self._create_topic(offset_committers.TOPIC, bytes(range(100, 116)), offset_committers.PARTITIONS, config)
        if "recreate" in options.faults:
            self.create_spare()
        keys = self.keys
        if not world.run(world.now + START_S, lambda: all(self.watcher.truth(key).node for key in self.all_keys)):
            raise Violation("EventuallyRuns", "the topic gets no leaders")
        for number, key in enumerate(key for key in keys for _ in range(options.producers)):
            producer = Producer(world, self.network, f"p{number}", ids, number, key, self.watcher)
            producer.pause_s, producer.records = options.produce_pause_s, options.produce_records
            self.producers.append(producer)
        for number, key in enumerate(key for key in keys for _ in range(options.consumers)):
            consumer = Consumer(world, self.network, f"c{number}", ids, key, TOPIC_ID, self.watcher)
            consumer.from_follower = options.from_followers
            self.consumers.append(consumer)
        if options.noise:
            for number, key in enumerate(keys):
                self.noise.append(Noise(world, self.network, f"n{number}", ids, number, key, options.produce_pause_s))
        if "recreate" in options.faults:
            self.noise.append(Noise(world, self.network, "s0", ids, 50, (SPARE, 0), options.produce_pause_s))
        for number in range(options.groups):
            key = world.random.choice(keys)
            self.groups.append(
                Committer(world, self.network, f"g{number}", ids, key, min(options.produce_pause_s, 0.2), self.watcher)
            )
        if options.groups and "recreate" in options.faults:
            pause_s = min(options.produce_pause_s, 0.2)
            self.groups.append(
                RecreatedTopicCommitter(world, self.network, "r0", ids, (SPARE, 0), pause_s, self.watcher)
            )
        for number in range(options.memberships):
            self._add_members(f"m{number}")
        for client in (*self.producers, *self.consumers, *self.noise, *self.groups, *self.members):
            client.start()

    def _add_members(self, group: str) -> None:
        """A group with members."""
        options = self.options
        membership = Membership(group, self.keys, self.watcher, options.members if options.calm else None)
        timeouts = Timeouts(options.member_session_ms, options.rebalance_ms)
        for number in range(options.members):
            name = f"{group}.{number}"
            instance_id = name if self.world.random.random() < options.static else None
            pause_s = min(options.produce_pause_s, 0.2)
            self.members.append(
                Member(self.world, self.network, name, list(self.hosts), membership, instance_id, timeouts, pause_s)
            )

    @property
    def _has_groups(self) -> bool:
        return bool(self.options.groups or self.options.memberships)

    def _create_topic(self, topic: str, topic_id: bytes, partitions: int, config: dict[str, str] | None = None) -> None:
        ids = list(self.hosts)
        assignment = {
            partition: Assignment(tuple(self.world.random.sample(ids, self.options.replication)))
            for partition in range(partitions)
        }
        self.zookeeper.write(
            Create(EntityConfig.path("topics", topic), EntityConfig.encode(config or {})),
            Create(TopicNode.path(topic), TopicNode(assignment, topic_id).encode()),
        )

    def create_spare(self) -> None:
        """The topic that comes and goes, under another id each time."""
        if TopicNode.path(SPARE) in self.zookeeper.head.nodes:
            return
        self._spares += 1
        self._create_topic(SPARE, self._spares.to_bytes(16, "big"), SPARE_PARTITIONS)

    def burst(self, key: Key) -> Noise:
        """Has a producer write as much as it can with acks=1, until `hush`."""
        number = 100 + len(self.noise)
        noise = Noise(self.world, self.network, f"n{number}", list(self.hosts), number, key, 0.03)
        self.noise.append(noise)
        noise.start()
        return noise

    def hush(self, noise: Noise) -> None:
        """Ends the burst."""
        noise.wanted = False

    @property
    def keys(self) -> list[Key]:
        """Every partition that clients write to."""
        return [(TOPIC, partition) for partition in range(self.options.partitions)]

    @property
    def all_keys(self) -> list[Key]:
        """All partitions, also those of __consumer_offsets and of the topic that comes and goes."""
        more = offset_committers.PARTITIONS if self._has_groups else 0
        spare = SPARE_PARTITIONS if "recreate" in self.options.faults else 0
        return [
            *self.keys,
            *((offset_committers.TOPIC, partition) for partition in range(more)),
            *((SPARE, partition) for partition in range(spare)),
        ]

    def _znode_written(self, path: str, data: bytes | None, node: Any, session: int) -> None:
        writer = next(
            (host for host in self.hosts.values() if host.broker is not None and host.broker.zk.session_id == session),
            None,
        )
        self.watcher.znode_written(path, data, node, writer)
        if writer is not None and "crash" in self.options.faults and self.nemesis.active:
            self.world.at(0, self.nemesis.crash, writer, path)

    # The end.

    def _heal(self) -> None:
        world = self.world
        world.note("EVERYTHING IS HEALED")
        self.nemesis.stop()
        for noise in self.noise:
            noise.wanted = False
        began = world.now
        counts = [producer.acknowledged for producer in self.producers]
        commits = [group.commits for group in self.groups]
        for member in self.members:
            member.committed = 0

        def rest() -> bool:
            for producer, count in zip(self.producers, counts, strict=True):
                if producer.acknowledged > count:
                    producer.wanted = False
            for group, count in zip(self.groups, commits, strict=True):
                if group.commits > count:
                    group.wanted = False
            for member in self.members:
                member.wanted = False
            return bool(self.complaints) or self._unrest() is None

        if not world.run(began + SETTLE_S, rest):
            raise Violation("EventuallyRuns", f"{SETTLE_S:.0f} s after all was healed: {self._unrest()}")
        self.settled_s = world.now - began
        world.note("AT REST after %.3f s", self.settled_s)

    def _unrest(self) -> str | None:
        """Why the cluster is not at rest; None when it is."""
        for host in self.hosts.values():
            if not host.started:
                return f"{host.name} is not started"
        active = [host.name for host in self.hosts.values() if host.broker.controller.active]
        if len(active) != 1:
            return f"controllers: {active}"
        for key in self.all_keys:
            reason = self._partition_unrest(key)
            if reason is not None:
                return f"{key}: {reason}"
        for producer in self.producers:
            if producer.wanted or not producer.idle:
                return f"{producer.name} is not done"
        for group in self.groups:
            if not group.settled:
                return f"{group.name} has committed {group.acknowledged} and reads {group.fetched}"
        for membership in self.watcher.memberships.values():
            living = [member for member in self.members if member.membership is membership and member.running]
            reason = membership.unrest(living, self.hosts)
            if reason is not None:
                return reason
        for consumer in self.consumers:
            end = self.watcher.truth(consumer.key).end
            if consumer.position != end:
                return f"{consumer.name} is at {consumer.position} of {end}"
        return None

    def _partition_unrest(self, key: Key) -> str | None:
        truth = self.watcher.truth(key)
        node = truth.node
        if node is None:
            return "not there"
        if node.leader == NO_LEADER:
            return f"no leader: {node!r}"
        if truth.moving:
            return f"the reassignment to {truth.replicas} is not done: {node!r}"
        if set(node.isr) != set(truth.replicas):
            return f"not all in sync: {node!r}"
        for broker_id in truth.replicas:
            hosted = self.hosts[broker_id].broker.replication.partitions.hosted.get(key)
            if hosted is None:
                return f"no replica on {broker_id}"
            partition, log = hosted.partition, hosted.log
            if log.topic_id != truth.topic_id:
                return f"{broker_id} has a topic that is gone"
            if (partition.leader, partition.leader_epoch) != (node.leader, node.leader_epoch):
                return f"{broker_id} follows {partition.leader}@{partition.leader_epoch}, not {node!r}"
            if log.log_end_offset != truth.end or partition.high_watermark != truth.end:
                return f"{broker_id} is at {partition.high_watermark} of {log.log_end_offset}; committed {truth.end}"
            if partition.leading and set(partition.isr) != set(node.isr):
                return f"{broker_id} believes in {partition.isr}, not {node!r}"
        for host in self.hosts.values():
            state: Any = host.broker.metadata.image.partition(*key)
            if state is None or (state.leader, state.leader_epoch) != (node.leader, node.leader_epoch):
                return f"{host.name} tells clients {state}, not {node!r}"
        return None
