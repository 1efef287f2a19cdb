"""What many partitions cost: one topic of 1,000 partitions on three brokers, each partition on all of them.

    .venv/bin/python -m tests.benchmarks.many_partitions [--against apache] [--partitions 1000] [--times 3]

Each time on a new cluster, both kinds on Apache ZooKeeper with sessions of 6 s:

    create          CreateTopics sent, until every broker's metadata show a leader and a full ISR for every partition,
                    every leader answers for its partitions, and every replica's directory is there
    idle            CPU of a broker in the ten seconds that follow, and its memory
    stop            SIGTERM to a broker that is not the controller, until its process has ended
    restart         the same broker started again, until all metadata show full ISRs
    fail-over       kill -9 of the controller, until the others show a leader that answers for everything
    restart, killed as above

Seconds, and the CPU seconds that the three brokers spent on it. Wall-clock times need a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from kafkalike.protocol import LATEST
from kafkalike.protocol.messages import create_topics, list_offsets, metadata
from tests.benchmarks.measured_clusters import Apache, cpu_seconds, memory_mb
from tests.faults.cluster import BROKERS, Cluster
from tests.servers import Broker, DebianZooKeeper, request, wait_until

TOPIC = "many"
SESSION_MS = 6000
LIMIT = 300  # seconds for one phase

# What is measured, its unit, and how much of Apache's value is the goal.
ROWS = {
    "create": ("s", 1 / 2),
    "idle CPU of a broker": ("% of a core", 1 / 2),
    "memory of a broker": ("MB", 1 / 4),
    "stop": ("s", 1 / 2),
    "restart": ("s", 1 / 2),
    "fail-over": ("s", 1 / 2),
    "restart, killed": ("s", 1 / 2),
}


class Row(NamedTuple):
    """A line of the table: the values of each repetition; `cpu` are seconds of all brokers together."""

    what: str
    unit: str
    goal: float
    ours: list[float]
    apache: list[float]
    ours_cpu: list[float]
    apache_cpu: list[float]

    @property
    def ratio(self) -> float | None:
        """The median of our values divided by that of Apache's."""
        return statistics.median(self.ours) / statistics.median(self.apache) if self.apache else None


class Run:
    """A cluster, and what was measured on it."""

    def __init__(self, cluster: Cluster, partitions: int) -> None:
        self._cluster = cluster
        self._partitions = partitions
        self.values: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    def all(self) -> None:
        """Every phase, in the order of the table."""
        self._timed("create", self._create)
        self._idle()
        bystander = next(n for n in BROKERS if n != self._cluster.controller())
        self._timed("stop", lambda: self._cluster.terminate(bystander))
        self._timed("restart", lambda: self._restart(bystander))
        controller = self._cluster.controller()
        self._timed("fail-over", lambda: self._fail_over(controller))
        self._timed("restart, killed", lambda: self._restart(controller))

    def _timed(self, what: str, phase: Callable[[], None]) -> None:
        cpu, began = self._used(), time.monotonic()
        phase()
        self.values[what] = time.monotonic() - began
        self.cpu[what] = self._used() - cpu

    # The phases

    def _create(self) -> None:
        new = create_topics.CreatableTopic(
            name=TOPIC, num_partitions=self._partitions, replication_factor=len(BROKERS), assignments=[], configs=[]
        )
        order = create_topics.Request(topics=[new], timeout_ms=LIMIT * 1000)
        answer = self._ask(self._cluster.controller(), create_topics, 4, order)
        assert answer.topics[0].error_code == 0, f"CreateTopics answered {answer.topics[0].error_code}"
        self._await_metadata(BROKERS, self._full)
        self._await_leaders()
        for number in BROKERS:
            data = self._cluster.brokers[number].data
            self._wait(lambda data=data: sum(1 for _ in data.glob(f"{TOPIC}-*")) == self._partitions)  # type: ignore

    def _idle(self) -> None:
        time.sleep(5)
        before, began = self._used(), time.monotonic()
        time.sleep(10)
        self.values["idle CPU of a broker"] = 100 * (self._used() - before) / (time.monotonic() - began) / len(BROKERS)
        self.values["memory of a broker"] = statistics.mean(memory_mb(self._pid(n)) for n in BROKERS)

    def _restart(self, number: int) -> None:
        self._cluster.brokers[number].launch()
        self._await_metadata(BROKERS, self._full)

    def _fail_over(self, victim: int) -> None:
        self._cluster.kill(victim)
        others = [n for n in BROKERS if n != victim]
        self._await_metadata(others, lambda p: p.error_code == 0 and p.leader_id in others)
        self._await_leaders()

    # What is waited for

    def _full(self, partition: Any) -> bool:
        return partition.error_code == 0 and partition.leader_id >= 0 and set(partition.isr_nodes) == set(BROKERS)

    def _await_metadata(self, brokers: Iterable[int], good: Callable[[Any], bool]) -> None:
        for number in brokers:
            self._wait(lambda number=number: self._shown(number, good))  # type: ignore[misc]

    def _shown(self, number: int, good: Callable[[Any], bool]) -> bool:
        partitions = self._described(number)
        return len(partitions) == self._partitions and all(map(good, partitions))

    def _described(self, number: int) -> list[Any]:
        topics = [metadata.MetadataRequestTopic(name=TOPIC)]
        asked = metadata.Request(topics=topics, allow_auto_topic_creation=False)
        answer = self._ask(number, metadata, 8, asked)
        return list(answer.topics[0].partitions)

    def _await_leaders(self) -> None:
        """Waits until each leader answers for its partitions, and so has heard that it leads them."""

        def answer() -> bool:
            led: dict[int, list[int]] = {}
            for partition in self._described(self._cluster.running()[0]):
                led.setdefault(partition.leader_id, []).append(partition.partition_index)
            return all(self._leads(leader, indexes) for leader, indexes in led.items())

        self._wait(answer)

    def _leads(self, leader: int, indexes: list[int]) -> bool:
        asked = [list_offsets.ListOffsetsPartition(partition_index=i, timestamp=LATEST) for i in indexes]
        topics = [list_offsets.ListOffsetsTopic(name=TOPIC, partitions=asked)]
        answer = self._ask(leader, list_offsets, 4, list_offsets.Request(replica_id=-1, topics=topics))
        return all(partition.error_code == 0 for partition in answer.topics[0].partitions)

    def _wait(self, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            try:
                return condition()
            except OSError:
                return False

        wait_until(holds, LIMIT, "the end of this phase")

    def _ask(self, number: int, message: Any, version: int, asked: Any) -> Any:
        answer = request(self._cluster.brokers[number].port, message.API_KEY, version, asked.encode(version), LIMIT)
        return message.Response.decode(version, memoryview(answer), 4)

    # Processes

    def _pid(self, number: int) -> int:
        process = self._cluster.brokers[number].process
        assert process is not None
        return process.pid

    def _used(self) -> float:
        """CPU seconds of the brokers so far: of those that run, and of processes that have ended."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        running = (cpu_seconds(self._pid(number)) for number in self._cluster.running())
        return ended.ru_utime + ended.ru_stime + sum(running)


def measure(apache: bool, partitions: int, repetition: str = "") -> Run:
    """Everything once, on a cluster of its own."""
    kind = Apache if apache else Broker
    with (
        tempfile.TemporaryDirectory() as home,
        Cluster(Path(home), kind, DebianZooKeeper, session_ms=SESSION_MS, lag_ms=30000) as cluster,
    ):
        run = Run(cluster, partitions)
        run.all()
        found = ", ".join(f"{what} {value:.1f} {ROWS[what][0]}" for what, value in run.values.items())
        print(f"{cluster.kind} {repetition}: {found}", file=sys.stderr, flush=True)
        return run


def rows(partitions: int = 1000, times: int = 3, apache: bool = False) -> list[Row]:
    """The table; the kinds take turns, so that both meet the same neighbours."""
    ours: list[Run] = []
    theirs: list[Run] = []
    for number in range(1, times + 1):
        ours.append(measure(False, partitions, f"{number}/{times}"))
        if apache:
            theirs.append(measure(True, partitions, f"{number}/{times}"))

    def values(runs: list[Run], what: str) -> list[float]:
        return [run.values[what] for run in runs]

    def cpu(runs: list[Run], what: str) -> list[float]:
        return [run.cpu[what] for run in runs if what in run.cpu]

    return [
        Row(what, unit, goal, values(ours, what), values(theirs, what), cpu(ours, what), cpu(theirs, what))
        for what, (unit, goal) in ROWS.items()
    ]


def table(found: list[Row]) -> str:
    """Medians, with the CPU seconds of all brokers in brackets, and every value."""

    def shown(values: list[float], cpu: list[float]) -> str:
        if not values:
            return ""
        spent = f" [{statistics.median(cpu):.1f}]" if cpu else ""
        return f"{statistics.median(values):.1f}{spent} ({' '.join(f'{value:.1f}' for value in values)})"

    lines = [f"{'':<22} {'unit':<12} {'kafkalike':<38} {'apache':<38} ratio (goal)"]
    for row in found:
        ratio = f"{row.ratio:.2f} ({row.goal:.2f})" if row.ratio is not None else f"     ({row.goal:.2f})"
        ours, apache = shown(row.ours, row.ours_cpu), shown(row.apache, row.apache_cpu)
        lines.append(f"{row.what:<22} {row.unit:<12} {ours:<38} {apache:<38} {ratio}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--against", choices=["apache", "none"], default="none", help="Apache Kafka, in the same run")
    parser.add_argument("--partitions", type=int, default=1000)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    print(table(rows(options.partitions, options.times, options.against == "apache")))


if __name__ == "__main__":
    main()
