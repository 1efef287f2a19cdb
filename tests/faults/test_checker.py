"""The checker bites: a sound history passes, and each property has histories that break it and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.checker import Limits, Recovery, check, live
from tests.faults.history import (
    FAIL,
    INFO,
    OK,
    Batch,
    Commit,
    Committed,
    Controlled,
    End,
    Evidence,
    Fault,
    Led,
    Owned,
    Promise,
    Read,
    Replica,
    Send,
)

SHARED = [(0, "a:0"), (1, "b:0"), (2, "a:1"), (3, "a:2")]


def replica(*values: str, epoch: int = 0, start: int = 0) -> Replica:
    """Each value as one batch."""
    records = tuple(enumerate(values, start))
    return Replica(tuple(Batch(o, o, epoch, f"{o} {epoch} {v}".encode()) for o, v in records), records)


def sound() -> Evidence:
    """Two producers, a reader that was moved once, a group of two, two faults' worth of leaders; all is well."""
    values = [value for _, value in SHARED]
    return Evidence(
        producers={"a": Promise(True, True), "b": Promise(True, False), "weak": Promise(False, False)},
        sends=[
            Send("a", "a:0", 0, 1.0, 2.0, OK, 0),
            Send("b", "b:0", 0, 1.5, 2.5, INFO, -1),
            Send("a", "a:1", 0, 3.0, 6.0, OK, 2),
            Send("a", "a:2", 0, 3.1, 5.0, OK, 3),
            Send("b", "b:1", 0, 4.0, 4.5, FAIL, -1),
            Send("b", "b:2", 0, 4.6, float("inf"), INFO, -1),
            Send("weak", "weak:0", 0, 1.0, 2.0, OK, 1),
        ],
        reads=[
            Read("c", 0, 0, 0, "a:0", 3.0, ""),
            Read("c", 0, 0, 1, "b:0", 3.0, ""),
            Read("c", 1, 0, 0, "a:0", 4.0, ""),
            Read("m1", 0, 0, 0, "a:0", 3.0, "g"),
            Read("m1", 0, 0, 1, "b:0", 3.0, "g"),
            Read("m2", 0, 0, 1, "b:0", 5.0, "g"),
            Read("m2", 0, 0, 2, "a:1", 7.0, "g"),
        ],
        commits=[Commit("g", 0, 1, 3.5, 4.0, OK), Commit("g", 0, 2, 5.5, 6.0, INFO), Commit("g", 0, 3, 8.0, 9.0, OK)],
        committed=[
            Committed("g", 0, -1, 1.0, 2.0),
            Committed("g", 0, 1, 4.5, 5.0),
            Committed("g", 0, 1, 8.5, 9.5),
            Committed("g", 0, 3, 10.0, 10.5),
        ],
        owned=[Owned("g", "m1", 1, 0), Owned("g", "m1", 1, 0), Owned("g", "m2", 2, 0)],
        ends=[End(0, 2, 1, 2.0, 2.5), End(0, 4, 2, 6.0, 6.5), End(0, 3, 1, 6.6, 6.8), End(0, 4, 2, 7.0, 7.5)],
        led=[
            Led(0, 1, 1, "zookeeper", 1.0),
            Led(0, 1, 1, "broker 1", 1.0),
            Led(0, 2, -1, "zookeeper", 2.0),
            Led(0, 3, 2, "zookeeper", 3.0),
            Led(0, 1, 1, "broker 1", 4.0),
        ],
        controlled=[Controlled(1, 1, 1.0), Controlled(1, 1, 2.0), Controlled(3, 2, 3.0)],
        faults=[Fault("cut", 0.0, 10.0, False)],
        final={0: list(SHARED)},
        replicas={(1, 0): replica(*values), (2, 0): replica(*values, "b:9"), (3, 0): replica(*values)},
        high_watermarks={0: 4},
    )


def test_a_sound_history_passes() -> None:
    assert [] == check(sound())


def with_(**changes: Any) -> Evidence:
    """The sound history and more, or other values of a field."""
    evidence = sound()
    for name, change in changes.items():
        value = getattr(evidence, name)
        setattr(evidence, name, [*value, *change] if isinstance(value, list) else {**value, **change})
    return evidence


BROKEN: dict[str, tuple[str, Evidence]] = {
    "C0 a client was told that all is lost": ("C0", with_(troubles=["a: fatal"])),
    "C1 an acknowledged value is gone": ("C1", with_(sends=[Send("a", "a:3", 0, 7.0, 8.0, OK, 4)])),
    "C2 nobody sent it": ("C2", with_(final={0: [*SHARED, (4, "x:0")]})),
    "C2 it had been refused": ("C2", with_(final={0: [*SHARED, (4, "b:1")]})),
    "C2 a reader saw it in a partition it was not sent to": ("C2", with_(final={1: [(0, "b:2")]})),
    "C4 one value twice in the log": (
        "C4",
        with_(final={0: [*SHARED, (4, "b:0")]}),
    ),
    "C5 sent after an acknowledgement, stored before it": (
        "C5",
        with_(
            sends=[Send("b", "b:3", 0, 7.0, 8.0, OK, 5), Send("b", "b:4", 0, 9.0, 9.5, OK, 4)],
            final={0: [*SHARED, (4, "b:4"), (5, "b:3")]},
        ),
    ),
    "C6 an idempotent producer's records change places": (
        "C6",
        with_(
            sends=[Send("a", "a:3", 0, 7.0, 8.0, INFO, -1), Send("a", "a:4", 0, 7.0, 8.0, INFO, -1)],
            final={0: [*SHARED, (4, "a:4"), (5, "a:3")]},
        ),
    ),
    "C7 a poll skips": (
        "C7",
        with_(reads=[Read("d", 0, 0, 0, "a:0", 3.0, ""), Read("d", 0, 0, 2, "a:1", 4.0, "")]),
    ),
    "C7 a poll goes back": (
        "C7",
        with_(reads=[Read("d", 0, 0, 1, "b:0", 3.0, ""), Read("d", 0, 0, 0, "a:0", 4.0, "")]),
    ),
    "C7 a poll repeats": (
        "C7",
        with_(reads=[Read("d", 0, 0, 1, "b:0", 3.0, ""), Read("d", 0, 0, 1, "b:0", 4.0, "")]),
    ),
    "C7 the log has a hole": (
        "C7",
        with_(final={0: [*SHARED, (5, "b:2")]}),
    ),
    "C8 what was read has gone": ("C8", with_(reads=[Read("d", 0, 0, 4, "b:2", 3.0, "")])),
    "C8 the end goes back under one leader": ("C8", with_(ends=[End(0, 3, 2, 8.0, 8.5)])),
    "C8 the end goes back under the next leader": ("C8", with_(ends=[End(0, 3, 3, 8.0, 8.5)])),
    "C12 a commit is lost": ("C12", with_(committed=[Committed("g", 0, 1, 11.0, 11.5)])),
    "C12 all commits are lost": ("C12", with_(committed=[Committed("g", 0, -1, 11.0, 11.5)])),
    "C12 an offset that nobody committed": ("C12", with_(committed=[Committed("g", 0, 4, 11.0, 11.5)])),
    "C12 two owners in a generation": ("C12", with_(owned=[Owned("g", "m1", 2, 0)])),
    "C12 committed and never read": ("C12", with_(commits=[Commit("g", 0, 4, 12.0, 13.0, OK)])),
    "C12 committed before it was read": ("C12", with_(commits=[Commit("g", 0, 2, 2.0, 13.0, OK)])),
    "C13 two leaders in an epoch": ("C13", with_(led=[Led(0, 3, 1, "broker 1", 5.0)])),
    "C13 the epoch in ZooKeeper goes back": ("C13", with_(led=[Led(0, 1, 1, "zookeeper", 5.0)])),
    "C13 two controllers in an epoch": ("C13", with_(controlled=[Controlled(3, 1, 5.0)])),
    "C13 the controller epoch goes back": ("C13", with_(controlled=[Controlled(2, 1, 5.0)])),
    "C14 a replica is short": ("C14", with_(replicas={(3, 0): replica("a:0", "b:0", "a:1")})),
    "C14 a replica is empty": ("C14", with_(replicas={(3, 0): Replica((), ())})),
    "C14 a file is broken": (
        "C14",
        with_(replicas={(3, 0): replace(replica("a:0", "b:0", "a:1", "a:2"), problems=("CRC",))}),
    ),
    "C14 bytes differ where values agree": (
        "C14",
        with_(replicas={(3, 0): replica("a:0", "b:0", "a:1", "a:2", epoch=1)}),
    ),
    "C17 nothing goes on while a majority is there": ("C17", with_(faults=[Fault("kill", 20.0, 50.0, True)])),
    "C17 a window of a long fault stands still": (
        "C17",
        with_(
            sends=[Send("a", f"a:{i}", 0, 20.0, 21.0, OK, i) for i in range(4, 124)],
            final={0: [*SHARED, *((i, f"a:{i}") for i in range(4, 124))]},
            faults=[Fault("kill", 20.0, 80.0, True)],
        ),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_history_breaks_its_property_and_no_other(name: str) -> None:
    expected, evidence = BROKEN[name]
    assert {expected} == {v.property for v in check(evidence)}


def test_two_values_at_one_offset_are_told() -> None:
    """C3, whoever sees it: an acknowledgement, a reader, a replica's file."""
    acknowledged = with_(sends=[Send("b", "b:2", 0, 4.6, 8.0, OK, 0)])
    assert "C3" in {v.property for v in check(acknowledged)}
    reader = with_(reads=[Read("d", 0, 0, 1, "a:1", 3.0, "")])
    assert "C3" in {v.property for v in check(reader)}
    file = with_(replicas={(3, 0): replica("a:0", "b:2", "a:1", "a:2")})
    assert {"C3", "C14"} == {v.property for v in check(file)}


def test_a_replicas_epochs_only_grow() -> None:
    one, two = replica("a:0", "b:0", epoch=2), replica("a:1", "a:2", epoch=1, start=2)
    mixed = Replica(one.batches + two.batches, one.records + two.records)
    evidence = with_(replicas={(b, 0): mixed for b in (1, 2, 3)})
    assert {"C13"} == {v.property for v in check(evidence)}


def test_what_acks_1_was_told_binds_nobody() -> None:
    evidence = with_(sends=[Send("weak", "weak:1", 0, 7.0, 8.0, OK, 9)])
    assert [] == check(evidence)


def test_an_acknowledgement_may_lack_its_offset() -> None:
    sends = [Send("b", "b:5", 0, 7.0, 8.0, OK, -1), Send("b", "b:6", 0, 9.0, 9.5, OK, 4)]
    assert {"C1"} == {v.property for v in check(with_(sends=sends))}
    assert [] == check(with_(sends=sends, final={0: [*SHARED, (4, "b:6"), (5, "b:5")]}, high_watermarks={0: 4}))


def test_records_above_the_high_watermark_bind_nobody() -> None:
    evidence = with_(replicas={(2, 0): replica(*(v for _, v in SHARED), "b:0", "x:1")})
    assert [] == check(evidence)


def test_many_violations_are_counted() -> None:
    evidence = with_(sends=[Send("a", f"a:{i}", 0, 7.0, 8.0, OK, i) for i in range(10, 30)])
    found = check(evidence)
    assert 6 == len(found)
    assert "... and 15 more" == found[-1].text


LIMITS = Limits(led=5, in_sync=30, sent=10, seen=60)


def test_liveness() -> None:
    assert [] == list(live(Recovery(1, 2, 3, 4), LIMITS))
    assert ["a leader for every partition took 6.0 s, 5.0 s are allowed"] == list(live(Recovery(6, 2, 3, 4), LIMITS))
    assert ["the sight of everything acknowledged never came"] == list(live(Recovery(1, 2, 3, None), LIMITS))
