"""Three brokers and their ZooKeeper, ours or Apache's: who has which part, and what can be done to them.

Who leads is read from the znodes, which are the truth for both kinds, with a ZooKeeper client of the test's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.retry import KazooRetry

from tests.faults.history import Replica
from tests.faults.network import Network
from tests.faults.replica_files import checkpoint, read_replica
from tests.servers import Broker, ZooKeeper, wait_until

BROKERS = (1, 2, 3)
OFFSETS_TOPIC = "__consumer_offsets"
OFFSETS_PARTITIONS = 3
NOBODY = -1
# Java's linear congruential generator, and the number with which ZooKeeper seeds it for the password of a session.
MULTIPLIER, ADDEND, MASK, SUPER_SECRET = 0x5DEECE66D, 0xB, (1 << 48) - 1, 0xB3415C00

UNREACHABLE = (KazooException, KazooTimeoutError, OSError)


class State(NamedTuple):
    """A partition's state znode."""

    leader: int
    epoch: int
    isr: tuple[int, ...]


class Cluster:
    """Starts when entered and stops when left. `session_ms` and `lag_ms` are the brokers' patience with each other."""

    def __init__(
        self,
        home: Path,
        broker: type[Broker],
        zookeeper: type[ZooKeeper],
        network: Network | None = None,
        session_ms: int = 4000,
        lag_ms: int = 4000,
        data: Mapping[int, Path] | None = None,
        second: Mapping[int, Path] | None = None,
        numbers: Sequence[int] = BROKERS,
        **overrides: object,
    ) -> None:
        """`data` are data directories of brokers that do not lie in `home`; `second`, those that some have besides."""
        self.home = home
        self.kind = broker.kind
        self.session_ms = session_ms
        self.lag_ms = lag_ms
        self.network = network
        host = network.add("zookeeper") if network else "127.0.0.1"
        self.zookeeper = zookeeper(home / "zookeeper", host=host, tickTime=500, maxSessionTimeout=60000)  # type: ignore
        if network:
            self.zookeeper.around = network.around("zookeeper")
        settings: dict[str, Any] = {
            "zookeeper_session_timeout_ms": session_ms,
            "replica_lag_time_max_ms": lag_ms,
            "min_insync_replicas": 2,
            "default_replication_factor": 3,
            "offsets_topic_replication_factor": 3,
            "offsets_topic_num_partitions": OFFSETS_PARTITIONS,
            "group_initial_rebalance_delay_ms": 0,
            "group_min_session_timeout_ms": 1000,
        } | overrides
        self.second = dict(second or {})
        self.brokers: dict[int, Broker] = {}
        for number in numbers:
            host = network.add(f"broker{number}") if network else "127.0.0.1"
            made = broker(home / f"broker{number}", self.zookeeper.connect, number, host=host, **settings)
            if data and number in data:
                made.data = data[number]
                made.overrides["log.dirs"] = made.data
            if second and number in second:
                made.overrides["log.dirs"] = f"{made.data},{second[number]}"
            if network:
                made.around = network.around(f"broker{number}")
            self.brokers[number] = made
        self._stack = ExitStack()

    @property
    def bootstrap(self) -> str:
        return ",".join(b.bootstrap for b in self.brokers.values())

    # Starting and stopping

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _start(self) -> None:
        self._stack.enter_context(self.zookeeper)
        # Left to itself it would ask a ZooKeeper that was away for long only once a minute.
        patience = KazooRetry(max_tries=-1, delay=0.1, max_delay=0.5)
        self.zk = KazooClient(self.zookeeper.connect, timeout=60, connection_retry=patience)
        self._stack.callback(self.zk.close)
        self._stack.callback(self.zk.stop)
        self.zk.start(30)
        self._stack.callback(self._kill_all)
        for broker in self.brokers.values():
            broker.launch()
        for broker in self.brokers.values():
            self.await_started(broker)
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def __exit__(self, *_: object) -> None:
        if self.network:
            self.network.heal()
        if self.zookeeper.running:
            self.thaw_zookeeper()
        self._stack.close()

    def _kill_all(self) -> None:
        for broker in self.brokers.values():
            if broker.process is not None:
                broker.kill()

    def await_started(self, *brokers: Broker, timeout: float = 90) -> None:
        """Waits until the servers answer."""
        for broker in brokers:
            wait_until(broker.answers, timeout, f"broker {broker.broker_id} to answer")

    def start(self, *numbers: int) -> None:
        """Starts these brokers again and waits for their answer."""
        for number in numbers:
            self.brokers[number].launch()
        self.await_started(*(self.brokers[n] for n in numbers))

    def kill(self, *numbers: int) -> None:
        """kill -9, all at once."""
        for number in numbers:
            self.signal(number, signal.SIGKILL)
        for number in numbers:
            self.brokers[number].kill()

    def terminate(self, number: int) -> None:
        """SIGTERM; the exit status has to be 0, or for a Java process, which adds the signal, 143."""
        status = self.brokers[number].stop(60)
        assert status == (143 if self.kind == "apache" else 0), f"broker {number} ended with {status}"

    def freeze(self, *numbers: int) -> None:
        """SIGSTOP: the process holds its sockets and does nothing."""
        for number in numbers:
            self.signal(number, signal.SIGSTOP)

    def thaw(self, *numbers: int) -> None:
        """SIGCONT."""
        for number in numbers:
            self.signal(number, signal.SIGCONT)

    def freeze_zookeeper(self) -> None:
        """SIGSTOP."""
        assert self.zookeeper.process is not None
        os.killpg(self.zookeeper.process.pid, signal.SIGSTOP)

    def thaw_zookeeper(self) -> None:
        """SIGCONT."""
        assert self.zookeeper.process is not None
        os.killpg(self.zookeeper.process.pid, signal.SIGCONT)

    def signal(self, number: int, what: signal.Signals) -> None:
        process = self.brokers[number].process
        assert process is not None
        os.killpg(process.pid, what)

    def expire(self, number: int) -> None:
        """Ends a broker's ZooKeeper session: a second connection attaches to it and closes it."""
        before = self.registration(number)
        assert before is not None

        def expired() -> bool:
            client = KazooClient(
                self.zookeeper.connect,
                client_id=(before.ephemeralOwner, self._password(number, before.ephemeralOwner)),
                timeout=self.session_ms / 1000,
            )
            with contextlib.suppress(*UNREACHABLE):
                client.start(5)
            client.stop()
            client.close()
            now = self.registration(number)
            return now is None or now.ephemeralOwner != before.ephemeralOwner

        wait_until(expired, 30, f"the end of the session of broker {number}")

    def _password(self, number: int, session: int) -> bytes:
        """Ours keeps it in a file; the real ZooKeeper makes it of the session's number."""
        kept = self.brokers[number].data / ".zookeeper-session"
        if kept.exists():
            return bytes.fromhex(json.loads(kept.read_text())["password"])
        return zookeeper_password(session)

    # Which broker has which part

    def registration(self, number: int) -> Any:
        """The Stat of a broker's znode, None when it is not registered."""
        return self.zk.exists(f"/brokers/ids/{number}")

    def registered(self) -> set[int]:
        return {int(n) for n in self.zk.get_children("/brokers/ids")}

    def running(self) -> list[int]:
        return [n for n, b in self.brokers.items() if b.running]

    def state(self, topic: str, partition: int, timeout: float = 10) -> State | None:
        """The partition's state znode."""
        path = f"/brokers/topics/{topic}/partitions/{partition}/state"
        try:
            data, _ = self.zk.get_async(path).get(timeout=timeout)
        except NoNodeError:
            return None
        found = json.loads(data)
        return State(found["leader"], found["leader_epoch"], tuple(found["isr"]))

    def states(self, topic: str) -> dict[int, State]:
        """The states of all partitions that have one."""
        try:
            partitions = self.zk.get_children(f"/brokers/topics/{topic}/partitions")
        except NoNodeError:
            return {}
        found = {int(p): self.state(topic, int(p)) for p in partitions}
        return {p: state for p, state in sorted(found.items()) if state is not None}

    def leader(self, topic: str, partition: int = 0) -> int:
        state = self.state(topic, partition)
        return NOBODY if state is None else state.leader

    def controller(self) -> int:
        try:
            return int(json.loads(self.zk.get("/controller")[0])["brokerid"])
        except NoNodeError:
            return NOBODY

    def coordinator(self, group: str) -> int:
        """The broker that leads the group's partition of __consumer_offsets."""
        return self.leader(OFFSETS_TOPIC, abs(java_hash(group)) % OFFSETS_PARTITIONS)

    def led(self, topic: str) -> bool:
        """Whether each partition has a leader that is registered."""
        alive = self.registered()
        states = self.states(topic)
        return bool(states) and all(s.leader in alive for s in states.values())

    def in_sync(self, topic: str) -> bool:
        """Whether every ISR has all brokers."""
        states = self.states(topic)
        return self.led(topic) and all(set(s.isr) == set(BROKERS) for s in states.values())

    def whole(self) -> bool:
        """Whether all brokers are there, with a controller."""
        return self.registered() == set(self.brokers) and self.controller() in self.brokers

    # Topics

    def create_topic(self, name: str, leaders: Sequence[int], **config: object) -> None:
        """A topic whose partitions are led by these brokers, replicated on all."""
        assignment = [[n, *(b for b in BROKERS if b != n)] for n in leaders]
        settings = {"min.insync.replicas": "2"} | {k.replace("_", "."): str(v) for k, v in config.items()}
        new = NewTopic(name, len(leaders), replica_assignment=assignment, config=settings)

        def created() -> bool:
            # librdkafka asks whom it last knew as the controller, and neither learns nor tries again when it was wrong.
            self.admin.list_topics(timeout=20)
            try:
                self.admin.create_topics([new], request_timeout=20)[name].result(30)
            except KafkaException as problem:
                if problem.args[0].code() != KafkaError.NOT_CONTROLLER:
                    raise
                return False
            return True

        wait_until(created, 60, f"the creation of {name}")
        wait_until(lambda: self.in_sync(name), 60, f"{name} in sync")
        assert list(leaders) == [s.leader for s in self.states(name).values()]

    # Files

    def directory(self, number: int, topic: str, partition: int) -> Path:
        first, second = self.brokers[number].data, self.second.get(number)
        name = f"{topic}-{partition}"
        return second / name if second is not None and (second / name).exists() else first / name

    def replica(self, number: int, topic: str, partition: int) -> Replica:
        """What lies on a broker's disk."""
        return read_replica(self.directory(number, topic, partition))

    def checkpoint(self, number: int, name: str) -> dict[tuple[str, int], int]:
        """A checkpoint file of a broker."""
        file = self.brokers[number].data / name
        return checkpoint(file) if file.exists() else {}

    def wipe(self, number: int) -> None:
        """An empty disk."""
        for item in self.brokers[number].data.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()

    def output(self) -> str:
        """What our brokers said that nobody expects; Apache's traces are its own affair."""
        texts = [b.output() for b in self.brokers.values()] if self.kind == "kafkalike" else []
        return "\n".join(_around(text, text.find("Traceback")) for text in texts if "Traceback" in text)


def _around(text: str, at: int) -> str:
    return text[max(at - 400, 0) : at + 2000]


def java_hash(text: str) -> int:
    """String.hashCode, as Kafka uses it for groups: the smallest number counts as 0."""
    value = 0
    for char in text:
        value = (31 * value + ord(char)) & 0xFFFFFFFF
    signed = value - (1 << 32) if value >= 1 << 31 else value
    return 0 if signed == -(1 << 31) else signed


def group_of(name: str, partition: int) -> str:
    """A group by that name, with a number, that belongs to a partition of __consumer_offsets."""
    return next(f"{name}{i}" for i in range(100) if abs(java_hash(f"{name}{i}")) % OFFSETS_PARTITIONS == partition)


def zookeeper_password(session: int) -> bytes:
    """The password of a session in Apache ZooKeeper: sixteen bytes of java.util.Random."""
    seed = ((session ^ SUPER_SECRET) ^ MULTIPLIER) & MASK
    password = b""
    for _ in range(4):
        seed = (seed * MULTIPLIER + ADDEND) & MASK
        password += ((seed >> 16) & 0xFFFFFFFF).to_bytes(4, "little")
    return password
