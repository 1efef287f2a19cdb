"""W12 and W13: every server and the consumer are killed and go on where they were; a consumer that stops leaves its
group.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

from kafkalike.cli.walkthrough.cluster import OwnCluster, python_environment
from kafkalike.cli.walkthrough.report import NotHeld
from kafkalike.cli.walkthrough.stage import Stage

Place = tuple[int, int]


class ReaderProcess:
    """A consumer in a process of its own, and what it has printed so far."""

    def __init__(self, stage: Stage, group: str, topic: str, work_ms: int) -> None:
        self.given: list[Place] = []
        self.committed: dict[int, int] = {}
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "kafkalike.cli.walkthrough.killed_consumer",
                stage.bootstrap,
                group,
                topic,
                str(work_ms),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=python_environment(),
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        stage.closing(self)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if "given" in said:
                self.given.append((said["given"][0], said["given"][1]))
            elif said.get("committed", (0, None))[1] is not None:
                self.committed[said["committed"][0]] = said["committed"][1]

    def kill(self) -> int:
        """Kills the consumer (kill -9) and reads the last that it printed."""
        self.process.kill()
        self.process.wait()
        self._listener.join(5)
        return self.process.pid

    def close(self) -> None:
        """Ends the process when the step is over."""
        if self.process.poll() is None:
            self.kill()


def survives_outages(stage: Stage) -> None:
    """W12: nothing is lost when servers and the consumer are killed."""
    topic, group = stage.topic(2), stage.group()
    count = 30
    stage.sent(f"{count} messages to {topic}; a consumer process acknowledges one after the other, 40 ms each")
    stage.produce(topic, [f"message {number}" for number in range(count)])
    before = ReaderProcess(stage, group, topic, 40)
    stage.wait(lambda: len(before.committed) and len(before.given) >= 10, "the consumer has read 10 messages", 30)
    stage.look("while it reads")
    if stage.own is not None:
        _kill_everything(stage, stage.own, before, topic, group)
    else:
        stage.report.skipped.append(
            "killing the broker and ZooKeeper: this cluster is not the walk's own; only the consumer is killed"
        )
        stage.sent(f"kill -9 of the consumer (process {before.kill()})")
    places = [stage.offset(group, topic, partition) for partition in (0, 1)]
    if None in places:
        raise NotHeld(f"the offsets of {group} are not in ZooKeeper: {places}")
    kept = {partition: place[0] for partition, place in enumerate(places) if place is not None}
    stage.seen("in ZooKeeper after it: " + ", ".join(f"{topic}-{p}: {o}" for p, o in kept.items()))
    stage.holds(
        all(kept[p] >= committed for p, committed in before.committed.items()),
        "every offset that was acknowledged to the consumer is there",
    )
    more = 4
    stage.sent(f"{more} more messages, {count + more} in all; the consumer is started again")
    stage.produce(topic, ["after the outage"] * more)
    after = ReaderProcess(stage, group, topic, 0)
    last = {partition: end - 1 for partition, (_, end) in stage.ends(topic).items()}
    stage.wait(
        lambda: all((p, offset) in after.given for p, offset in last.items()), "the consumer reads to the end", 45
    )
    first = {p: next(offset for number, offset in after.given if number == p) for p in kept}
    stage.seen("the next messages read: " + ", ".join(f"{topic}-{p}: {o}" for p, o in first.items()))
    stage.holds(first == kept, "the next message read is the committed offset, in each partition")
    everything = {(p, offset) for p, end in last.items() for offset in range(end + 1)}
    stage.holds(everything == set(before.given) | set(after.given), "nothing was skipped")
    again = sorted(set(before.given) & set(after.given))
    stage.holds(
        all(offset >= kept[p] for p, offset in again),
        f"read twice: only what was not acknowledged yet ({len(again)} of {len(everything)})",
    )


def _kill_everything(stage: Stage, own: OwnCluster, reader: ReaderProcess, topic: str, group: str) -> None:
    leader = stage.admin.describe_topics([topic])[topic].partitions[0].leader
    coordinator = stage.admin.describe_group(group).coordinator.id
    stage.sent(f"kill -9 of the consumer (process {reader.kill()})")
    killed = [own.zookeeper]
    for number in dict.fromkeys((leader, coordinator)):
        duties = [f"leads {topic}-0"] * (number == leader) + ["coordinates the group"] * (number == coordinator)
        stage.sent(f"kill -9 of broker {number}, which {' and '.join(duties)} (process {own.brokers[number].kill()})")
        killed.append(own.brokers[number])
    stage.sent(f"kill -9 of ZooKeeper (process {own.zookeeper.kill()})")
    stage.sent("the same commands start ZooKeeper and what was killed of the brokers again")
    zookeeper_s, brokers_s = own.start_again(killed[:1]), own.start_again(killed[1:])
    stage.measured(f"ZooKeeper serves after {zookeeper_s:.2f} s, the brokers after {brokers_s:.2f} s more")
    stage.wait(stage.zookeeper_is_back, "our own ZooKeeper session is back", 30)


def stops(stage: Stage) -> None:
    """W13: a consumer that stops leaves its group."""
    topic, group = stage.topic(2), stage.group()
    stage.produce(topic, ["a", "b", "c"])
    consumer = stage.subscribed(group, topic)
    read = 0
    while read < 3:
        read += len(consumer.poll(10_000))
    consumer.commit()
    classic = stage.classic_consumer(group, topic)
    stage.look("while they run")
    kept = [stage.offset(group, topic, partition) for partition in (0, 1)]
    stage.sent("close(): LeaveGroup; the classic consumer ends its ZooKeeper session")
    began = time.monotonic()
    stage.finish(consumer)
    described = stage.admin.describe_group(group)
    member_ms = (time.monotonic() - began) * 1000
    stage.seen(f"group {group}: {described.state}, {len(described.members)} members")
    stage.holds(described.state == "Empty" and not described.members, "the member has left at once")
    began = time.monotonic()
    stage.finish(classic)
    stage.wait(lambda: not stage.exists(classic.path), f"{classic.path} is gone", 5)
    ephemeral_ms = (time.monotonic() - began) * 1000
    stage.measured(f"member gone after {member_ms:.0f} ms, ephemeral after {ephemeral_ms:.0f} ms")
    stage.look("after close()")
    stage.holds(ephemeral_ms < 5000, "the ephemeral has vanished at once")
    stage.holds(
        kept == [stage.offset(group, topic, partition) for partition in (0, 1)] and None not in kept,
        "the offsets stay",
    )
