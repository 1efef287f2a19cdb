"""Disks: power loss, torn and flipped bits, no space, errors. Damage is one broker's at a time."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from kafkalike.protocol.batch import build
from kafkalike.protocol.messages import describe_log_dirs
from tests.faults.clients import connect
from tests.faults.disk import SmallDisk, failing, flip, lose_power, tear, written
from tests.faults.scenario import PARTITIONS, TOPIC, Scenario
from tests.servers import Broker, wait_until

Start = Callable[..., Scenario]
faults = pytest.mark.faults
# What Apache Kafka is known to lose when the last replica lost something: records, with them what was read, and, as
# its offsets are records too, commits.
LOSSES = ("C0", "C1", "C3", "C5", "C6", "C7", "C8", "C12", "C16")


FSYNC = """
import os, sys
for line in sys.stdin:
    try:
        print(os.fsync(1), flush=True)
    except OSError as error:
        print(error.errno, flush=True)
"""

# What the tests below do to disks, looked at by itself.


def test_power_loss_takes_what_came_later_and_the_indexes(tmp_path: Path) -> None:
    directory = tmp_path / "t-0"
    directory.mkdir()
    (directory / "0.log").write_bytes(b"kept")
    kept = written(tmp_path)
    (directory / "0.log").write_bytes(b"kept, and lost")
    (directory / "0.index").write_bytes(b"x")
    (directory / "9.log").write_bytes(b"lost")
    lose_power(tmp_path, kept)
    assert {"0.log": b"kept", "9.log": b""} == {f.name: f.read_bytes() for f in directory.iterdir()}


def test_a_flipped_bit_is_one_bit(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(bytes(9))
    flip(file)
    assert bytes(4) + b"\x10" + bytes(4) == file.read_bytes()


def test_a_torn_tail_is_half_of_the_next_batch(tmp_path: Path) -> None:
    file = tmp_path / "0.log"
    whole = bytes(build([(None, b"v", 1, ())], base_offset=0))
    file.write_bytes(whole)
    tear(tmp_path, b"rest")
    torn = build([(None, b"v", 1, ())], base_offset=1)
    assert whole + torn[: len(whole) // 2] + b"rest" == file.read_bytes()


def test_a_small_disk_is_full_and_has_room_again(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", 1) as disk:
        disk.fill()
        with pytest.raises(OSError) as caught:
            (disk.path / "more").write_bytes(bytes(8192))
        assert errno.ENOSPC == caught.value.errno
        disk.empty()
        (disk.path / "more").write_bytes(bytes(8192))
    assert [] == list(disk.path.iterdir())


def test_fsync_fails_as_long_as_it_is_told_to(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", FSYNC], stdin=subprocess.PIPE, stdout=out)
    assert process.stdin

    def ask(count: int) -> str:
        process.stdin.write(b"\n")
        process.stdin.flush()
        wait_until(lambda: (tmp_path / "out").read_text().count("\n") == count)
        return (tmp_path / "out").read_text().split()[-1]

    try:
        assert "None" == ask(1)
        with failing(process.pid, tmp_path):
            assert str(errno.EIO) == ask(2)
        assert "None" == ask(3)
    finally:
        process.stdin.close()
        process.wait(10)


# Power loss


@faults
def test_the_last_replica_loses_power(start: Start) -> None:
    """Apache Kafka lets the last one lead again and cuts the others to what it has left (KIP-966, A4)."""
    last_replica_standing(start(), lambda cluster, last, kept: lose_power(cluster.brokers[last].data, kept))


@faults
def test_the_last_replicas_disk_is_wiped(start: Start) -> None:
    """It comes back knowing nothing, and may not lead before those that know more."""
    last_replica_standing(start(), lambda cluster, last, _: cluster.wipe(last))


@faults
def test_the_last_replica_is_killed(start: Start) -> None:
    """Its disk is whole: nothing is lost, whatever the order in which they return."""
    last_replica_standing(start(), lambda *_: None, apache_breaks=())


def last_replica_standing(scenario: Scenario, damage: Callable, apache_breaks: tuple[str, ...] = LOSSES) -> None:
    """Two of three die one after the other, then the last; it is damaged, and returns first."""
    cluster = scenario.cluster
    last = scenario.other(cluster.controller())
    first, second = (n for n in cluster.brokers if n != last)
    with scenario.fault("the last replica", majority=False):
        kept = written(cluster.brokers[last].data)
        cluster.kill(first)
        wait_until(lambda: all(first not in s.isr for s in cluster.states(TOPIC).values()), 60, "two in sync")
        scenario.progress(60)
        cluster.kill(second)
        wait_until(lambda: all(s.isr == (last,) for s in cluster.states(TOPIC).values()), 60, "one in sync")
        cluster.kill(last)
        damage(cluster, last, kept)
        cluster.start(last)
        wait_until(lambda: cluster.registration(last) is not None, 30, "the registration of the last")
        scenario.hold(3)
        cluster.start(first, second)
    scenario.finish(apache_breaks)


@faults
def test_a_leaders_disk_is_wiped(start: Start) -> None:
    """It dies, comes back empty and fetches everything again before it counts (KIP-903, A5)."""
    scenario = start()
    cluster = scenario.cluster
    victim = scenario.other(cluster.controller())
    with scenario.fault("disk wiped"):
        cluster.kill(victim)
        cluster.wipe(victim)
        wait_until(lambda: cluster.registration(victim) is None, 60, "the end of its session")
        cluster.start(victim)
        scenario.progress(60)
    scenario.finish()


# Damage


@pytest.mark.parametrize(
    "rest", [b"", pytest.param(bytes(4096), marks=faults)], ids=["half a batch", "half a batch and zeros"]
)
def test_a_torn_tail(start: Start, rest: bytes) -> None:
    scenario = start()
    cluster = scenario.cluster
    victim = scenario.other(cluster.controller())
    with scenario.fault("torn tail"):
        cluster.kill(victim)
        for partition in range(PARTITIONS):
            tear(cluster.directory(victim, TOPIC, partition), rest)
        scenario.progress(30)
        cluster.start(victim)
    scenario.finish()


@faults
@pytest.mark.parametrize("at", [0.01, 0.5, 0.95])
def test_a_bit_flips_while_a_broker_is_down(start: Start, at: float) -> None:
    """It was stopped cleanly, so that the file counts as flushed. Apache Kafka serves what it finds."""
    scenario = start(topic={"segment_bytes": 16384})
    cluster = scenario.cluster
    scenario.progress(300)
    victim = scenario.other(cluster.controller())
    with scenario.fault("bit flipped"):
        cluster.terminate(victim)
        files = [min(cluster.directory(victim, TOPIC, partition).glob("*.log")) for partition in range(PARTITIONS)]
        sound = [file.read_bytes() for file in files]
        for file in files:
            flip(file, at)
        cluster.start(victim)
        scenario.progress(30)
        if cluster.kind == "kafkalike":
            pairs = list(zip(files, sound, strict=True))
            wait_until(lambda: all(f.read_bytes().startswith(before) for f, before in pairs), 60, "the damage mended")
    scenario.finish(apache_breaks=("C14", "C16"))


@faults
@pytest.mark.parametrize("pattern", ["*/*.index", "*/*.timeindex", "*/*.snapshot", "*-checkpoint", "*/*-checkpoint"])
def test_a_bit_flips_in_what_can_be_made_anew(start: Start, pattern: str) -> None:
    """Indexes, producers' snapshots and checkpoints, after a clean stop."""
    scenario = start(topic={"segment_bytes": 16384})
    cluster = scenario.cluster
    scenario.progress(300)
    victim = scenario.other(cluster.controller())
    with scenario.fault("bit flipped"):
        cluster.terminate(victim)
        files = [f for f in cluster.brokers[victim].data.glob(pattern) if f.stat().st_size]
        assert files
        for file in files:
            flip(file)
        cluster.start(victim)
        scenario.progress(30)
        if cluster.kind == "kafkalike":
            numbers = range(PARTITIONS)
            wait_until(lambda: not any(cluster.replica(victim, TOPIC, p).problems for p in numbers), 60, "all anew")
    scenario.finish(apache_breaks=("C14", "C16"))


# No space, errors


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with ExitStack() as stack:
        yield stack.enter_context(SmallDisk(tmp_path / "small"))


def test_a_disk_is_full(disk: SmallDisk, start: Start) -> None:
    """Nobody is told that a record is stored that is not, and all goes on when there is space again."""
    victim = 3
    scenario = start(data={victim: disk.data})
    cluster = scenario.cluster
    others = [p for p in range(PARTITIONS) if cluster.leader(TOPIC, p) != victim]
    with scenario.fault("disk full"):
        disk.fill()
        wait_until(lambda: all(victim not in cluster.state(TOPIC, p).isr for p in others), 60, "the others to go on")
        scenario.progress(60, others)
        disk.empty()
        if not cluster.brokers[victim].running:
            cluster.start(victim)
    scenario.finish()


@faults
@pytest.mark.parametrize("calls", ["fsync,fdatasync", "pwritev,pwritev2,pwrite64"], ids=["fsync", "write"])
def test_the_disk_fails(start: Start, tmp_path: Path, calls: str) -> None:
    """The broker may not go on as if nothing had happened: what the disk has, nobody knows. It has no other, and ends.

    Apache's broker does the same; but it writes in other ways, which its sockets share.
    """
    scenario = start(replica_high_watermark_checkpoint_interval_ms=1000)
    cluster = scenario.cluster
    if cluster.kind == "apache" and "fsync" not in calls:
        pytest.skip("no telling writes to files from writes to sockets")
    victim = scenario.other(cluster.controller())
    broker = cluster.brokers[victim]
    assert broker.process is not None
    with scenario.fault("the disk fails"):
        with failing(broker.process.pid, tmp_path, calls):
            wait_until(lambda: not broker.running, 60, "the end of the broker")
            wait_until(lambda: all(s.leader != victim for s in cluster.states(TOPIC).values()), 60, "another leader")
            scenario.progress(60)
        assert 1 == broker.wait()
        assert cluster.kind == "apache" or "because all log dirs in" in broker.output()
        cluster.start(victim)
    scenario.finish()


@faults
def test_one_of_two_directories_vanishes(start: Start, tmp_path: Path) -> None:
    """The broker stays, and leads what lies in the other one; what is lost is led and replicated elsewhere (E14)."""
    victim, second, away = 3, tmp_path / "second", tmp_path / "away"
    scenario = start(second={victim: second}, replica_high_watermark_checkpoint_interval_ms=1000)
    cluster = scenario.cluster
    lost = [p for p in range(PARTITIONS) if (second / f"{TOPIC}-{p}").exists()]
    kept = [p for p in range(PARTITIONS) if p not in lost]
    assert lost and kept

    def gone() -> bool:
        states = cluster.states(TOPIC)
        return all(victim not in (states[p].leader, *states[p].isr) for p in lost)

    with scenario.fault("a directory vanishes"):
        second.rename(away)
        wait_until(gone, 30, "the others to be on their own")
        assert all(victim in cluster.states(TOPIC)[p].isr for p in kept)
        errors = {directory.log_dir: directory.error_code for directory in log_dirs(cluster.brokers[victim])}
        assert {str(second): 56, str(cluster.brokers[victim].data): 0} == errors
        scenario.progress(60)
        assert cluster.brokers[victim].running and not second.exists()
        cluster.terminate(victim)
        away.rename(second)
        cluster.start(victim)
    scenario.finish()


def log_dirs(broker: Broker) -> Sequence[Any]:
    """What it says of its log directories."""
    with closing(connect(broker, "log dirs", 5000)) as connection:
        return list(connection.ask(describe_log_dirs, describe_log_dirs.Request(topics=None), 5000).results)
