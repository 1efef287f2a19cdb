"""What a request costs, counted without a clock: calls, system calls, bytes copied. test_guard.py compares with it.

    .venv/bin/python -m tests.benchmarks.guard            prints the counts beside the baseline
    .venv/bin/python -m tests.benchmarks.guard --write    makes them the new baseline, baseline.json

Each load is a fixed number of requests over raw sockets, one at a time or a few in one segment, so that each turn of
the reactor has the same work however slow the machine is. It runs twice: once while the broker counts its calls
(counting_broker.py) and its copies in memory (copied.c), once under strace. Per request:

    python    calls of Python functions, in all threads
    native    calls of functions written in C
    system    system calls, except those that say how threads took turns (futex and the like)
    crossed   bytes that read, recv, write, send and their kin moved between kernel and process; not sendfile's
    copied    bytes copied inside the process, by copies of at least a kilobyte

A payload of n bytes that is received, written to the log and never copied has crossed 2n and copied 0; one that is
sent from the page cache by sendfile has neither. Timers that strike meanwhile add to the counts and nothing takes
away, so of several rounds the least counts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from kafkalike.protocol import batch
from kafkalike.protocol.framing import frame, read_response_header, request_header
from kafkalike.protocol.messages import by_name
from kafkalike.protocol.record import Record
from tests.servers import ROOT, Broker, EmbeddedZooKeeper, overriding, receive, require, tool, wait_until

BASELINE = Path(__file__).with_name("baseline.json")
GROWTH = 1.10
TOPIC, OTHER, GROUP = "guarded", "awaited", "guards"
SEGMENT = 50  # requests in one segment
BULK = "produce 900 KB"  # How many pieces it arrives in depends on the machine: of it only bytes are compared.
BYTES = ("crossed", "copied")
# What depends on which thread ran when, and on signals, not on the work.
IGNORED = {"futex", "sched_yield", "rt_sigreturn", "rt_sigprocmask", "restart_syscall", "clock_nanosleep"}
CROSSING = {"read", "readv", "pread64", "preadv", "preadv2", "recvfrom", "recvmsg"} | {
    "write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg",
}  # fmt: skip
FINISHED = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed>).* = (-?\d+|0x[0-9a-f]+)(?: .*)?$")

Counts = dict[str, float]


class CountedBroker(Broker):
    """Our broker, run by counting_broker.py."""

    def command(self) -> list[str]:
        library = self.directory / "copied.so"
        if not library.exists():
            compiler = tool("cc", "gcc libc6-dev")
            source = str(Path(__file__).with_name("copied.c"))
            subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), source, "-ldl"], check=True)
        wrapper = [sys.executable, str(Path(__file__).with_name("counting_broker.py")), str(self.counts)]
        properties = str(ROOT / "config/server.properties")
        return ["env", f"LD_PRELOAD={library}", *wrapper, properties, *overriding(self.overrides)]

    @property
    def counts(self) -> Path:
        return self.directory / "counts.json"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def signal(self, number: signal.Signals) -> dict[str, Any]:
        """Sends it, and returns what the broker writes in answer."""
        self.counts.unlink(missing_ok=True)
        os.kill(self.pid, number)
        wait_until(self.counts.exists, 20, "the broker's counts")
        found: dict[str, Any] = json.loads(self.counts.read_text())
        return found


class Client:
    """A client with one connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ports = (port, self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        return receive(self._socket)

    def receive_bytes(self, size: int) -> None:
        """Receives so many bytes of responses."""
        while size > 0:
            got = len(self._socket.recv(min(size, 1 << 20)))
            assert got, "the broker closed the connection"
            size -= got

    def ask(self, api: str, version: int | None = None, **fields: object) -> Any:
        """One request object and the response to it."""
        message = by_name(api)
        version = message.VERSIONS[1] if version is None else version
        self.send(encoded(api, version, **fields))
        answer = self.receive()
        _, position = read_response_header(answer, message.API_KEY, version)
        return message.Response.decode(version, answer, position)

    def taken(self) -> bool:
        """Whether the broker has read all that was sent."""
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if (int(local.partition(":")[2], 16), int(remote.partition(":")[2], 16)) == self._ports:
                return queues.endswith(":00000000")
        return False


def encoded(api: str, version: int | None = None, **fields: object) -> bytes:
    """A whole frame."""
    message = by_name(api)
    version = message.VERSIONS[1] if version is None else version
    return frame([request_header(message.API_KEY, version, 7, "guard"), message.Request(**fields).encode(version)])


def produce(topic: str, size: int) -> bytes:
    """A Produce request with one batch of one record."""
    message = by_name("produce")
    records = batch.build([Record(0, 1_700_000_000_000, None, b"x" * size, ())])
    data = message.PartitionProduceData(index=0, records=records)
    return encoded(
        "produce", acks=-1, timeout_ms=30000, topic_data=[message.TopicProduceData(name=topic, partition_data=[data])]
    )


class Loads:
    """The loads, on a broker that has been warmed up. Each returns how many requests it sent."""

    def __init__(self, broker: CountedBroker, stack: ExitStack) -> None:
        self._broker = broker
        self._client = stack.enter_context(Client(broker.port))
        self._other = stack.enter_context(Client(broker.port))
        topics = by_name("create_topics")
        names = [(TOPIC, 1), (OTHER, 1), ("wide", 100)]
        new = [topics.CreatableTopic(name=n, num_partitions=p, replication_factor=1) for n, p in names]
        created = self._client.ask("create_topics", topics=new, timeout_ms=30000)
        assert [0, 0, 0] == [t.error_code for t in created.topics]
        self._ids = {t.name: t.topic_id for t in created.topics}
        wait_until(lambda: self._led("wide"), what="leaders")
        self._client.send(produce(TOPIC, 16_000))
        self._client.receive()
        self._session = self._fetch(TOPIC, 0, 0, 0).session_id
        self._epoch = 0
        self._end = 0
        self._join()

    def all(self) -> dict[str, Callable[[], int]]:
        """The loads by name."""
        return {
            "produce": lambda: self._produce(100, 500),
            "produce, 50 in a segment": self._produce_many,
            BULK: lambda: self._produce(900_000, 20),
            "fetch from the page cache": self._fetch_cached,
            "fetch that waits for a produce": self._fetch_waiting,
            "heartbeat": self._heartbeats,
            "offset commit": self._commits,
            "metadata of 100 partitions": self._metadata,
        }

    def _led(self, topic: str) -> bool:
        metadata = by_name("metadata")
        answer = self._client.ask("metadata", topics=[metadata.MetadataRequestTopic(name=topic)])
        partitions = answer.topics[0].partitions
        return bool(partitions) and all(p.error_code == 0 and p.leader_id >= 0 for p in partitions)

    def _produce(self, size: int, count: int) -> int:
        request = produce(TOPIC, size)
        for _ in range(count):
            self._client.send(request)
            self._client.receive()
        return count

    def _produce_many(self) -> int:
        one = produce(TOPIC, 100)
        self._client.send(one)
        answer = 4 + len(self._client.receive())
        segments = 40
        for _ in range(segments):
            self._client.send(one * SEGMENT)
            self._client.receive_bytes(answer * SEGMENT)
        return segments * SEGMENT

    def _fetch_request(self, topic: str, offset: int, session: int, epoch: int, wait_ms: int = 0) -> bytes:
        message = by_name("fetch")
        wanted = message.FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=16_000)
        topics = [message.FetchTopic(topic_id=self._ids[topic], partitions=[wanted])]
        return encoded(
            "fetch",
            max_wait_ms=wait_ms,
            min_bytes=1,
            max_bytes=16_000,
            session_id=session,
            session_epoch=epoch,
            topics=topics,
        )

    def _fetch(self, topic: str, offset: int, session: int, epoch: int) -> Any:
        message = by_name("fetch")
        self._client.send(self._fetch_request(topic, offset, session, epoch))
        answer = self._client.receive()
        _, position = read_response_header(answer, 1, message.VERSIONS[1])
        response = message.Response.decode(message.VERSIONS[1], answer, position)
        assert 0 == response.error_code
        return response

    def _fetch_cached(self) -> int:
        """As a consumer does it: a session in which the wanted partition is named each time."""
        count = 500
        for _ in range(count):
            self._epoch += 1
            self._client.send(self._fetch_request(TOPIC, 0, self._session, self._epoch))
            self._client.receive()
        return count

    def _fetch_waiting(self) -> int:
        """Two requests: a Fetch at the end of the log, and the Produce that it waits for."""
        count = 100
        request = produce(OTHER, 100)
        self._other.send(request)
        size = 4 + len(self._other.receive())
        self._end += 1
        for _ in range(count):
            self._client.send(self._fetch_request(OTHER, self._end, 0, -1, 30000))
            while not self._idle():
                time.sleep(0.0005)
            self._other.send(request)
            self._other.receive_bytes(size)
            self._client.receive()
            self._end += 1
        return 2 * count

    def _idle(self) -> bool:
        """Whether the broker has taken what was sent and sleeps."""
        stat = Path(f"/proc/{self._broker.pid}/stat").read_text()
        return self._client.taken() and stat.rpartition(")")[2].split()[0] == "S"

    def _join(self) -> None:
        coordinator = wait_until(self._coordinator, what="a coordinator")
        assert coordinator.port == self._broker.port
        protocols = [by_name("join_group").JoinGroupRequestProtocol(name="range", metadata=b"\0\0")]
        asked = {"group_id": GROUP, "session_timeout_ms": 300_000, "rebalance_timeout_ms": 300_000}

        def join() -> Any:
            answer = self._client.ask(
                "join_group", 3, member_id="", protocol_type="consumer", protocols=protocols, **asked
            )
            # The coordinator may still be loading its groups.
            return answer if answer.error_code not in (14, 15, 16) else None

        joined = wait_until(join, what="the group")
        assert 0 == joined.error_code
        self._member = {"group_id": GROUP, "member_id": joined.member_id}
        self._generation = joined.generation_id
        assignment = [by_name("sync_group").SyncGroupRequestAssignment(member_id=joined.member_id, assignment=b"\0")]
        member = {**self._member, "generation_id": self._generation}
        assert 0 == self._client.ask("sync_group", 3, assignments=assignment, **member).error_code

    def _coordinator(self) -> Any:
        found = self._client.ask("find_coordinator", 3, key=GROUP, key_type=0)
        return found if found.error_code == 0 else None

    def _heartbeats(self) -> int:
        count = 500
        request = encoded("heartbeat", generation_id=self._generation, **self._member)
        for _ in range(count):
            self._client.send(request)
            answer = self._client.receive()
        assert 0 == struct.unpack_from(">h", answer, 9)[0]
        return count

    def _commits(self) -> int:
        count = 200
        message = by_name("offset_commit")
        for n in range(count):
            partition = message.OffsetCommitRequestPartition(
                partition_index=0, committed_offset=n, committed_metadata=""
            )
            topics = [message.OffsetCommitRequestTopic(name=TOPIC, partitions=[partition])]
            fields = {**self._member, "generation_id_or_member_epoch": self._generation}
            answer = self._client.ask("offset_commit", topics=topics, **fields)
            assert 0 == answer.topics[0].partitions[0].error_code
        return count

    def _metadata(self) -> int:
        count = 100
        request = encoded("metadata", topics=[by_name("metadata").MetadataRequestTopic(name="wide")])
        for _ in range(count):
            self._client.send(request)
            self._client.receive()
        return count


@contextmanager
def traced(pid: int, output: Path) -> Iterator[None]:
    """Writes the system calls of all threads of a process as long as this lasts."""
    words = [tool("strace", "strace"), "-f", "-q", "-s", "0", "-e", "signal=none", "-o", str(output), "-p", str(pid)]
    with (output.parent / "strace.err").open("wb") as errors:
        process = subprocess.Popen(words, stderr=errors, start_new_session=True)

    def attached() -> bool:
        if process.poll() is not None:
            why = (output.parent / "strace.err").read_text().strip()
            require(False, f"the right to trace processes: {why}")
        return all("TracerPid:\t0\n" not in t.read_text() for t in Path(f"/proc/{pid}/task").glob("*/status"))

    try:
        wait_until(attached, 20, "strace to attach")
        yield
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(20)


def system_calls(trace: str) -> tuple[Counter[str], int]:
    """The calls by name, and the bytes that crossed into or out of the kernel."""
    calls: Counter[str] = Counter()
    crossed = 0
    for line in trace.splitlines():
        if (match := FINISHED.match(line)) is None or match[1] in IGNORED:
            continue
        calls[match[1]] += 1
        if match[1] in CROSSING:
            crossed += max(int(match[2], 0), 0)
    return calls, crossed


class Guard:
    """Counts loads. `details` has, by load, what was called how often for a request."""

    def __init__(self, broker: CountedBroker, loads: Loads) -> None:
        self.loads = loads.all()
        self.details: dict[str, Counter[str]] = {}
        self._broker = broker

    def count(self, name: str) -> Counts:
        """Counts one round of one load."""
        load = self.loads[name]
        self._broker.signal(signal.SIGUSR1)
        requests = load()
        counted = self._broker.signal(signal.SIGUSR2)
        output = self._broker.directory / "trace"
        with traced(self._broker.pid, output):
            load()
        calls, crossed = system_calls(output.read_text())
        names = counted.pop("functions") | {f"{call}(2)": n for call, n in calls.items()}
        self.details[name] = Counter({call: round(n / requests, 2) for call, n in names.items()})  # type: ignore[misc]
        found = {
            "python": counted["python"] / requests,
            "native": counted["native"] / requests,
            "system": calls.total() / requests,
            "crossed": crossed / requests,
            "copied": counted["copied"] / requests,
        }
        return {key: value for key, value in found.items() if name != BULK or key in BYTES}

    def least(self, name: str, rounds: int, enough: Callable[[Counts], bool] = lambda _: False) -> Counts:
        """The least of some rounds, or of as many as are enough."""
        best = self.count(name)
        for _ in range(rounds - 1):
            if enough(best):
                break
            best = {key: min(value, best[key]) for key, value in self.count(name).items()}
        return best

    def account(self, name: str, most: int = 30) -> str:
        """What is called most often for a request."""
        return "\n".join(f"{n:8.2f}  {call}" for call, n in self.details[name].most_common(most))


@contextmanager
def guarding(home: Path) -> Iterator[Guard]:
    """A broker ready to be counted."""
    tool("strace", "strace")
    tool("cc", "gcc libc6-dev")
    with ExitStack() as stack:
        zookeeper = stack.enter_context(EmbeddedZooKeeper(home / "zookeeper"))
        settings = {"group_initial_rebalance_delay_ms": 0, "offsets_topic_num_partitions": 1}
        broker = stack.enter_context(CountedBroker(home / "broker", zookeeper.connect, **settings))
        guard = Guard(broker, Loads(broker, stack))
        for load in guard.loads.values():
            load()
        yield guard


def grown(found: Counts, base: Counts) -> dict[str, str]:
    """What is more than a tenth above the baseline, and by more than what the odd timer or index entry makes."""
    return {
        key: f"{found[key]:.2f} instead of {base[key]:.2f}"
        for key in base
        if found[key] > max(base[key] * GROWTH, base[key] + (100 if key in BYTES else 0.3))
    }


def baseline() -> dict[str, Counts]:
    """What is committed."""
    loads: dict[str, Counts] = json.loads(BASELINE.read_text())["loads"]
    return loads


def main() -> None:
    """Prints, and writes if asked."""
    base = baseline() if BASELINE.exists() else {}
    home = Path(tempfile.mkdtemp(prefix="kafkalike-guard-"))
    found = {}
    try:
        with guarding(home) as guard:
            for name in guard.loads:
                found[name] = guard.least(name, 3)
                print(f"\n{name}")
                for key, value in found[name].items():
                    print(f"    {key:<8} {value:12.2f}   baseline {base.get(name, {}).get(key, float('nan')):12.2f}")
                if "--functions" in sys.argv:
                    print(guard.account(name, 60))
    finally:
        shutil.rmtree(home)
    if "--write" in sys.argv:
        rounded = {name: {key: round(value, 2) for key, value in counts.items()} for name, counts in found.items()}
        version = ".".join(map(str, sys.version_info[:2]))
        BASELINE.write_text(json.dumps({"python": version, "loads": rounded}, indent=2) + "\n")


if __name__ == "__main__":
    main()
