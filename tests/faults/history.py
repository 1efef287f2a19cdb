"""What clients did and saw: events with an invocation and an outcome, on one monotonic clock.

    invoke   it begins
    ok       it took effect
    fail     it certainly had no effect
    info     nobody knows

Any thread may record. What the checker judges is derived: `Evidence` pairs invocations with outcomes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

OK, FAIL, INFO = "ok", "fail", "info"


class Event(NamedTuple):
    """One line of a history. `data` is what JSON can hold."""

    time: float
    process: str
    kind: str
    op: str
    data: dict[str, Any]


class Send(NamedTuple):
    """One value and what became of it.

    `end` is infinite while no outcome is known. `offset` is -1 when nobody told it.
    """

    producer: str
    value: str
    partition: int
    begin: float
    end: float
    outcome: str
    offset: int


class Read(NamedTuple):
    """One record as a consumer saw it. A new `run` begins whenever a consumer was put somewhere."""

    consumer: str
    run: int
    partition: int
    offset: int
    value: str
    time: float
    group: str


class Commit(NamedTuple):
    """An offset commit of one partition."""

    group: str
    partition: int
    offset: int
    begin: float
    end: float
    outcome: str


class Committed(NamedTuple):
    """An answer to OffsetFetch: -1 when nothing is committed."""

    group: str
    partition: int
    offset: int
    begin: float
    end: float


class Owned(NamedTuple):
    """A group member was assigned a partition in a generation."""

    group: str
    member: str
    generation: int
    partition: int


class End(NamedTuple):
    """An answer to ListOffsets: the end of a partition for consumers, and the leader epoch it was given under."""

    partition: int
    offset: int
    leader_epoch: int
    begin: float
    end: float


class Led(NamedTuple):
    """Somebody says who leads. `source` is "zookeeper" or the broker that answered Metadata."""

    partition: int
    epoch: int
    leader: int
    source: str
    time: float


class Controlled(NamedTuple):
    """ZooKeeper names the controller of an epoch."""

    epoch: int
    broker: int
    time: float


class Fault(NamedTuple):
    """From the first blow to the healing. `majority`: min.insync.replicas of every partition could go on serving."""

    name: str
    begin: float
    end: float
    majority: bool


class Promise(NamedTuple):
    """What a producer may rely on. `durable`: acks=all. `ordered`: idempotent, so that retries keep the order."""

    durable: bool
    ordered: bool


class Batch(NamedTuple):
    """A record batch in a replica's file."""

    base_offset: int
    last_offset: int
    leader_epoch: int
    data: bytes


@dataclass(frozen=True)
class Replica:
    """One partition in one broker's data directory."""

    batches: tuple[Batch, ...]
    records: tuple[tuple[int, str], ...]
    problems: tuple[str, ...] = ()


@dataclass
class Evidence:
    """Everything that the checker judges."""

    producers: dict[str, Promise] = field(default_factory=dict)
    sends: list[Send] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    committed: list[Committed] = field(default_factory=list)
    owned: list[Owned] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    led: list[Led] = field(default_factory=list)
    controlled: list[Controlled] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    """What a client may never be told: a fatal error, an exception of its own."""
    final: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    """The last read of every partition, from its leader."""
    replicas: dict[tuple[int, int], Replica] = field(default_factory=dict)
    """(broker, partition) -> its files."""
    high_watermarks: dict[int, int] = field(default_factory=dict)

    def durable(self, producer: str) -> bool:
        return self.producers.get(producer, Promise(True, True)).durable

    def acknowledged(self) -> list[Send]:
        """What was acknowledged to producers that asked for acks=all."""
        return [s for s in self.sends if s.outcome == OK and self.durable(s.producer)]


class History:
    """The events of one run."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: list[Event] = list(events)

    def record(self, process: str, kind: str, op: str, **data: Any) -> float:
        """Adds an event that happens now; the time."""
        now = time.monotonic()
        self.events.append(Event(now, process, kind, op, data))
        return now

    def save(self, path: Path) -> None:
        """JSON lines."""
        with path.open("w") as file:
            for event in list(self.events):
                file.write(json.dumps(event._asdict()) + "\n")

    @classmethod
    def load(cls, path: Path) -> History:
        """What `save` wrote."""
        return cls(Event(**json.loads(line)) for line in path.read_text().splitlines())

    def evidence(self) -> Evidence:
        """The events, paired and sorted by what they are about."""
        found = Evidence()
        pending: dict[tuple[str, str, Any], Event] = {}
        for event in sorted(self.events, key=lambda e: e.time):
            _sort(found, pending, event)
        for (_, op, _), event in pending.items():
            if op in _WITH_OUTCOME:
                _WITH_OUTCOME[op](found, event, Event(float("inf"), event.process, INFO, op, {}))
        return found


def _sort(found: Evidence, pending: dict[tuple[str, str, Any], Event], event: Event) -> None:
    """Puts one event where it belongs."""
    time, process, kind, op, data = event
    if kind == "invoke":
        pending[process, op, data.get("id")] = event
    elif op in _WITH_OUTCOME:
        _WITH_OUTCOME[op](found, pending.pop((process, op, data.get("id"))), event)
    elif op == "producer":
        found.producers[process] = Promise(**data)
    elif op == "poll":
        group = data.get("group", "")
        found.reads += [Read(process, data["run"], p, o, value, time, group) for p, o, value in data["records"]]
    elif op == "owned":
        found.owned += [Owned(data["group"], process, data["generation"], p) for p in data["partitions"]]
    elif op == "led":
        found.led.append(Led(data["partition"], data["epoch"], data["leader"], process, time))
    elif op == "controlled":
        found.controlled.append(Controlled(data["epoch"], data["broker"], time))
    elif op == "trouble":
        found.troubles.append(f"{process}: {data['text']}")


def _send(found: Evidence, begin: Event, end: Event) -> None:
    offset = end.data.get("offset", -1)
    value, partition = begin.data["id"], begin.data["partition"]
    found.sends.append(Send(begin.process, value, partition, begin.time, end.time, end.kind, offset))


def _commit(found: Evidence, begin: Event, end: Event) -> None:
    for partition, offset in begin.data["offsets"]:
        found.commits.append(Commit(begin.data["group"], partition, offset, begin.time, end.time, end.kind))


def _committed(found: Evidence, begin: Event, end: Event) -> None:
    for partition, offset in end.data.get("offsets", ()):
        found.committed.append(Committed(begin.data["group"], partition, offset, begin.time, end.time))


def _end(found: Evidence, begin: Event, end: Event) -> None:
    if end.kind == OK:
        data = end.data
        found.ends.append(End(data["partition"], data["offset"], data["leader_epoch"], begin.time, end.time))


def _fault(found: Evidence, begin: Event, end: Event) -> None:
    found.faults.append(Fault(begin.data["id"], begin.time, end.time, begin.data["majority"]))


_WITH_OUTCOME = {"send": _send, "commit": _commit, "committed": _committed, "end": _end, "fault": _fault}
