"""What the steps act on: the stage knows the cluster, makes topics and groups, and notices changes of znodes and
files.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from kafkalike.cli.walkthrough.addresses import check
from kafkalike.cli.walkthrough.classic_consumer import ClassicConsumer
from kafkalike.cli.walkthrough.cleanup import tidy
from kafkalike.cli.walkthrough.cluster import COPIES, OwnCluster, python_environment
from kafkalike.cli.walkthrough.interruption import in_time
from kafkalike.cli.walkthrough.report import NotHeld, Report
from kafkalike.client.admin.configs import BROKER
from kafkalike.client.blocking.admin import Admin
from kafkalike.client.blocking.consumer import Consumer
from kafkalike.client.blocking.producer import Producer
from kafkalike.client.errors import TimedOut
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import EARLIEST, LATEST
from zk import blocking_client, ensemble
from zk.wire import Code

Znodes = dict[str, tuple[bytes, int]]

# How much of a znode's data fits into a line.
LINE = 62

# The first topic on a cluster of the walk's own: when the cluster is kept, users can play with it.
FIRST_TOPIC = "quickstart"


class Stage:
    """A cluster, and the report of the step that is being run."""

    def __init__(self, bootstrap: str, zookeeper: str, own: OwnCluster | None) -> None:
        self.bootstrap = bootstrap
        self.connect = zookeeper
        self.own = own
        self.run = "".join(random.choices("abcdefghjkmnpqrstuvwxyz", k=4))
        self.admin = Admin(bootstrap, client_id="walkthrough")
        if own is None:
            check(self.admin, bootstrap, zookeeper)
        self.zk = blocking_client.Client(ensemble.parse(zookeeper), timeout_ms=10_000)
        self.zk.connect()
        self.log_dirs = own.log_dirs if own is not None else self._find_log_dirs()
        self.scratch = own.directory if own is not None else Path(tempfile.mkdtemp(prefix="kafkalike-walkthrough-"))
        self.report = Report("", "", "")
        self._topics: list[str] = []
        self._topics_before = 0
        self._groups: list[str] = []
        self._roots: list[str] = []
        self._znodes: Znodes = {}
        self._sizes: dict[str, int] = {}
        self._open: list[Any] = []

    def close(self) -> None:
        """Ends the connections; on a cluster that is not ours, removes what the walk made."""
        self._close_open()
        if self.own is None:
            for left in tidy(self.admin, self._groups, self._topics):
                print(left, file=sys.stderr)
        self.admin.close()
        self.zk.close()
        self._remove_scratch()

    def _remove_scratch(self) -> None:
        if self.own is None:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def abandon(self) -> str:
        """Removes what the walk made on a cluster that is not ours, when the walk is interrupted: like close, but on
        connections of its own, and for a short time. Gives what the user is to be told."""
        left: list[str] = []

        def remove() -> None:
            for thing in self._open:
                if isinstance(thing, ClassicConsumer):
                    thing.close()
            with Admin(self.bootstrap, client_id="walkthrough") as admin:
                left.extend(tidy(admin, self._groups, self._topics))
            self.zk.close()

        self._remove_scratch()
        if not in_time(remove):
            return f"topics {', '.join(self._topics)} and groups {', '.join(self._groups)} may be left behind."
        return "; ".join(left) or "the walk's topics and groups are removed."

    def begin(self, report: Report) -> None:
        """Begins a step with an empty report."""
        self.report = report
        self._roots, self._znodes, self._sizes = [], {}, {}
        self._topics_before = len(self._topics)

    def end(self) -> None:
        """Ends a step: closes its clients, and notes the last changes of znodes and files."""
        self.look()
        self._close_open()

    def _close_open(self) -> None:
        for thing in reversed(self._open):
            thing.close()
        self._open.clear()

    # What a step says.

    def sent(self, text: str) -> None:
        """Notes what the step asked of the cluster."""
        self.report.sent.append(text)

    def seen(self, text: str) -> None:
        """Notes what the cluster answered."""
        self.report.seen.append(text)

    def measured(self, text: str) -> None:
        """Notes a figure that the step measured."""
        self.report.measured.append(text)

    def holds(self, condition: object, text: str) -> None:
        """Notes a part of the step's "holds when". Ends the walk when it does not hold."""
        if not condition:
            raise NotHeld(text)
        self.report.held.append(text)

    def wait(self, condition: Callable[[], object], what: str, timeout_s: float = 15) -> float:
        """Waits until a condition is true and gives the seconds that took; NotHeld when the time is over before."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > timeout_s:
                raise NotHeld(f"not within {timeout_s:.0f} s: {what}")
            time.sleep(0.01)
        return time.monotonic() - began

    # What a step makes.

    def topic(self, partitions: int = 2) -> str:
        """Creates a topic for this step and waits for all its leaders. The walk's first topic is created by the command
        that a user would give, and the report shows what that does in ZooKeeper."""
        first = not self._topics
        name = FIRST_TOPIC if first and self.own is not None else self._name(self._topics)
        self._topics.append(name)
        copies = min(COPIES, len(self.admin.cluster().nodes))
        if first:
            self.watch(f"/brokers/topics/{name}", f"/config/topics/{name}")
            counts = ["--partitions", str(partitions), "--replication-factor", str(copies)]
            self.tool("kafka-topics.sh", "--create", "--topic", name, *counts)
        else:
            self.admin.create_topic(name, partitions, copies)
        self.wait(lambda: self._led(name, partitions), f"every partition of {name} has a leader")
        if first:
            for found in self.admin.describe_topics([name])[name].partitions:
                others = ", ".join(str(broker) for broker in found.replicas)
                self.seen(f"{name}-{found.partition}: broker {found.leader} leads, replicas are on {others}")
        self._sizes = self._log_sizes()
        return name

    def group(self) -> str:
        """The name of a new group of this step."""
        name = self._name(self._groups, "-group")
        self._groups.append(name)
        self.watch(f"/consumers/{name}")
        return name

    def _name(self, taken: Iterable[str], suffix: str = "") -> str:
        step = self.report.name.lower()
        for extra in ("", *"23456789"):
            name = f"{step}-{self.run}{extra}{suffix}"
            if name not in taken:
                return name
        raise AssertionError("too many of a kind in one step")

    def _led(self, name: str, partitions: int) -> bool:
        try:
            topic = self.admin.describe_topics([name])[name]
        except KafkaError as problem:
            if problem.error is Error.UNKNOWN_TOPIC_OR_PARTITION:
                return False
            raise
        return len(topic.partitions) == partitions and all(p.leader >= 0 for p in topic.partitions)

    def producer(self, **options: Any) -> Producer:
        """Makes a producer, which is closed at the end of the step."""
        producer = Producer(self.bootstrap, client_id="walkthrough-producer", **options)
        self._open.append(producer)
        return producer

    def consumer(self, group: str | None, **options: Any) -> Consumer:
        """Makes a consumer, which is closed at the end of the step."""
        defaults: dict[str, Any] = {"auto_offset_reset": "earliest", "session_timeout_ms": 6000}
        consumer = Consumer(self.bootstrap, group_id=group, client_id="walkthrough-consumer", **defaults | options)
        self._open.append(consumer)
        return consumer

    def subscribed(self, group: str, topic: str, **options: Any) -> Consumer:
        """Makes a consumer and waits until it has its partitions and positions."""
        consumer = self.consumer(group, **options)
        consumer.subscribe([topic])
        # A consumer that asks a broker which has not heard of the topic yet is given no partitions at first.
        self.wait(
            lambda: consumer.join(1000) and consumer.assignment, f"partitions of {topic} were assigned", timeout_s=20
        )
        return consumer

    def classic_consumer(self, group: str, topic: str) -> ClassicConsumer:
        """Makes a consumer that registers in ZooKeeper; it is closed at the end of the step."""
        self.sent("a classic consumer registers itself in ZooKeeper, without the broker")
        return self.closing(ClassicConsumer(self.connect, group, topic))

    def finish(self, thing: Any) -> None:
        """Closes a client now and not at the end of the step."""
        thing.close()
        self._open.remove(thing)

    def closing(self, thing: Any) -> Any:
        """Has something else closed at the end of the step."""
        self._open.append(thing)
        return thing

    def produce(
        self, topic: str, values: Iterable[str], partition: int | None = None, timestamp_ms: int | None = None
    ) -> list[Any]:
        """Sends these messages and waits for their acknowledgements."""
        producer = self.producer()
        deliveries = [
            producer.send(topic, value.encode(), partition=partition, timestamp_ms=timestamp_ms) for value in values
        ]
        producer.flush()
        return [delivery.result(10_000) for delivery in deliveries]

    def tool(self, script: str, *arguments: str, show: bool = True) -> str:
        """Runs one of the commands and gives what it printed."""
        module = script.removeprefix("kafka-").removesuffix(".sh").replace("-", "_")
        servers = [] if module == "dump_log" else ["--bootstrap-server", self.bootstrap]
        self.sent(f"$ {script} {' '.join(arguments)}")
        done = subprocess.run(
            [sys.executable, "-m", f"kafkalike.cli.{module}", *servers, *arguments],
            capture_output=True,
            text=True,
            env=python_environment(),
            timeout=60,
        )
        if done.returncode:
            raise NotHeld(f"{script} ended with code {done.returncode}: {done.stdout.strip()} {done.stderr.strip()}")
        if show:
            for line in done.stdout.splitlines():
                if line.strip():
                    self.seen(line)
        return done.stdout

    def ends(self, topic: str) -> dict[int, tuple[int, int]]:
        """The oldest offset and the next offset of each partition."""
        parts = [(topic, p.partition) for p in self.admin.describe_topics([topic])[topic].partitions]
        starts = self.admin.list_offsets(dict.fromkeys(parts, EARLIEST))
        ends = self.admin.list_offsets(dict.fromkeys(parts, LATEST))
        return {number: (starts[topic, number].offset, ends[topic, number].offset) for _, number in parts}

    # Znodes.

    def watch(self, *paths: str) -> None:
        """Notes from now on what changes under these paths."""
        self._roots += paths
        self._catch_up()
        for path in paths:
            self._znodes |= self._tree(path)

    def look(self, when: str = "") -> None:
        """Notes what changed since the last look: + new, ~ changed, - gone; then the bytes in the log."""
        now: Znodes = {}
        self._catch_up()
        for root in self._roots:
            now |= self._tree(root)
        changes = []
        for path in sorted(self._znodes.keys() | now.keys()):
            before, after = self._znodes.get(path), now.get(path)
            if before == after or self._is_only_a_parent(path, now):
                continue
            if before is None or after is None:
                changes.append(f"|{'+-'[after is None]} {path}")
                changes += [
                    line for found in (before, after) if found is not None and found[0] for line in _lines(found)
                ]
            else:
                lines = _lines(before, " ->") + _lines(after)
                whole = "|    " + " ".join(line.removeprefix("|").strip() for line in lines)
                changes += [f"|~ {path}", *([whole] if len(whole) <= LINE else lines)]
        if changes and when:
            changes.insert(0, f"{when}:")
        self.report.znodes += changes
        self._znodes = now
        self._look_at_log(when)

    def _catch_up(self) -> None:
        """Waits until our server of the ensemble has caught up with what other clients were answered before."""
        self.zookeeper_is_back()
        self.zk.sync("/")

    def zookeeper_is_back(self) -> bool:
        """Whether ZooKeeper answers, over the old connection or a new one after an outage."""
        if self.zk.state != "CONNECTED":
            with suppress(blocking_client.ClientError, OSError):
                self.zk.connect()
        return self.zk.state == "CONNECTED"

    def exists(self, path: str) -> bool:
        """Whether the znode exists."""
        try:
            self.zk.exists(path)
        except blocking_client.ClientError as error:
            _only(error, Code.NO_NODE)
            return False
        return True

    def _is_only_a_parent(self, path: str, now: Znodes) -> bool:
        """Whether a znode has no data and children that say all there is to show."""
        both = self._znodes | now
        return not both[path][0] and any(other.startswith(f"{path}/") for other in both)

    def _tree(self, path: str) -> Znodes:
        try:
            data, stat = self.zk.get(path)
            children, _ = self.zk.children(path)
        except blocking_client.ClientError as error:
            _only(error, Code.NO_NODE)
            return {}
        found = {path: (data or b"", stat.version)}
        for child in children:
            found |= self._tree(f"{path}/{child}")
        return found

    def offset(self, group: str, topic: str, partition: int) -> tuple[int, int] | None:
        """The committed offset in the classic znode, and the znode's version."""
        self._catch_up()
        try:
            data, stat = self.zk.get(f"/consumers/{group}/offsets/{topic}/{partition}")
        except blocking_client.ClientError as error:
            _only(error, Code.NO_NODE)
            return None
        return int(data or b""), stat.version

    def set_znode(self, path: str, data: bytes) -> None:
        """Sets a znode's data by hand, as any tool could."""
        self.sent(f"zk: set {path} {data.decode()}")
        try:
            self.zk.set(path, data)
        except blocking_client.ClientError as error:
            _only(error, Code.NO_NODE)
            self.zk.create_with_parents(path, data)

    # Files.

    def _find_log_dirs(self) -> list[Path]:
        """The directories of a broker on this machine, recognised by their cluster id."""
        cluster = self.admin.cluster()
        found = []
        for node in cluster.nodes:
            try:
                entries = {e.name: e.value for e in self.admin.describe_configs([str(node)], BROKER)[str(node)]}
            except (KafkaError, KeyError, TimedOut):  # TimedOut: the process has just died.
                continue
            for name in (entries.get("log.dirs") or entries.get("log.dir") or "").split(","):
                path = Path(name.strip())
                try:
                    ours = f"cluster.id={cluster.cluster_id}" in (path / "meta.properties").read_text()
                except OSError:
                    ours = False
                if name.strip() and ours:
                    found.append(path)
        return found

    def copies(self, topic: str, partition: int) -> list[list[Path]]:
        """The log files of each replica of a partition on this machine."""
        found = [sorted((directory / f"{topic}-{partition}").glob("*.log")) for directory in self.log_dirs]
        return [files for files in found if files]

    def _log_sizes(self) -> dict[str, int]:
        topics = self._topics[self._topics_before :]
        sizes: dict[str, int] = {}
        for directory in self.log_dirs:
            for partition in (path for topic in topics for path in directory.glob(f"{topic}-[0-9]*")):
                size = sum(file.stat().st_size for file in partition.glob("*.log"))
                sizes[partition.name] = max(size, sizes.get(partition.name, 0))
        return sizes

    def _look_at_log(self, when: str) -> None:
        now = self._log_sizes()
        for name in sorted(now):
            before = self._sizes.get(name, 0)
            if now[name] != before:
                note = f"{when}: " if when else ""
                self.report.log_bytes.append(f"{note}{name}: {before} -> {now[name]} bytes")
        self._sizes = now


def _only(error: blocking_client.ClientError, code: Code) -> None:
    """Raises every error but the expected one."""
    if error.code != code:
        raise error


def _lines(found: tuple[bytes, int], end: str = "") -> list[str]:
    data, version = found
    text = f"{data.decode('utf-8', 'replace')} (v{version}){end}"
    if len(text) > 2 * LINE:
        text = f"{text[: 2 * LINE - 11]}... (v{version})"
    return [f"|    {text[start : start + LINE]}" for start in range(0, len(text), LINE)]


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
