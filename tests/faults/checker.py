"""The judge: what acknowledged, read and stored records must have in common. Pure functions over `Evidence`.

    C1   no loss            what was acknowledged is in the final read
    C2   no phantoms        what is read was sent, and not refused
    C3   agreement          one partition and offset holds one value, whoever looks
    C4   no duplicates      one value is at one offset
    C5   real-time order    what was acknowledged before another was sent lies before it
    C6   producer order     an idempotent producer's records lie in the order of its sends
    C7   polls              what one consumer reads in one go is a piece of the log without holes
    C8   stability          what was read once stays; the end of a partition never goes back
    C12  groups             commits stay committed; one owner a generation; what is committed was processed
    C13  one leader         one leader an epoch, one controller an epoch, and epochs only grow
    C14  replicas           byte for byte the same below the high watermark
    C16  liveness           after healing everything is whole again within a time
    C17  progress           while enough replicas can talk to each other, records go on being acknowledged
    C0   clients            no client was told that all is lost, none of ours fell over

Partitions are those of one topic. The topic is neither compacted nor short-lived, and nothing is transactional, so
offsets have no holes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from tests.faults.history import FAIL, OK, Commit, Committed, Evidence, Fault, Replica

SHOWN = 5


class Violation(NamedTuple):
    """A property that does not hold, and where one sees it."""

    property: str
    text: str


def check(evidence: Evidence) -> list[Violation]:
    """All properties that need nothing but the evidence; C16 has figures of its own (`live`)."""
    found = []
    for name, judge in PROPERTIES.items():
        texts = list(judge(evidence))
        found += [Violation(name, text) for text in texts[:SHOWN]]
        if len(texts) > SHOWN:
            found.append(Violation(name, f"... and {len(texts) - SHOWN} more"))
    return found


def clients_unharmed(evidence: Evidence) -> Iterator[str]:
    """C0: no fatal error of a client library, no exception in a client of ours."""
    yield from evidence.troubles


def no_loss(evidence: Evidence) -> Iterator[str]:
    """C1: vals(A) ⊆ vals(F)."""
    final = {(p, value) for p, records in evidence.final.items() for _, value in records}
    for s in evidence.acknowledged():
        if (s.partition, s.value) not in final:
            yield f"lost: {s.value}, acknowledged at {s.partition}:{s.offset}, is not in the final read"


def no_phantoms(evidence: Evidence) -> Iterator[str]:
    """C2: vals(F ∪ P) ⊆ vals(A) ∪ I, and none of it was refused."""
    sent = {s.value: s for s in evidence.sends}
    for who, partition, offset, value in _read(evidence):
        s = sent.get(value)
        if s is None or s.partition != partition:
            yield f"phantom: {who} found {value} at {partition}:{offset}, and nobody sent it there"
        elif s.outcome == FAIL:
            yield f"phantom: {who} found {value} at {partition}:{offset}, and it had been refused"


def offsets_agree(evidence: Evidence) -> Iterator[str]:
    """C3: A ∪ P ∪ F ∪ ⋃D below the high watermark is a function from offset to value."""
    seen: dict[tuple[int, int], tuple[str, str]] = {}
    for who, partition, offset, value in _facts(evidence):
        first = seen.setdefault((partition, offset), (value, who))
        if first[0] != value:
            yield f"disagreement at {partition}:{offset}: {first[0]} for {first[1]}, {value} for {who}"


def no_duplicates(evidence: Evidence) -> Iterator[str]:
    """C4: the inverse is a function too."""
    seen: dict[tuple[int, str], tuple[int, str]] = {}
    for who, partition, offset, value in _facts(evidence):
        first = seen.setdefault((partition, value), (offset, who))
        if first[0] != offset:
            yield f"duplicate: {value} at {partition}:{first[0]} for {first[1]}, at {partition}:{offset} for {who}"


def realtime_order(evidence: Evidence) -> Iterator[str]:
    """C5: s₁.end < s₂.begin ⇒ o(s₁) < o(s₂)."""
    for acknowledged in _by_partition(s for s in evidence.acknowledged() if s.offset >= 0).values():
        by_end = sorted(acknowledged, key=lambda s: s.end)
        ended, highest = 0, None
        for s in sorted(acknowledged, key=lambda s: s.begin):
            while by_end[ended].end < s.begin:
                highest = max(highest or by_end[ended], by_end[ended], key=lambda e: e.offset)
                ended += 1
            if highest is not None and highest.offset >= s.offset:
                yield (
                    f"order: {highest.value} was acknowledged at {s.partition}:{highest.offset} before {s.value} was "
                    f"sent, which got {s.partition}:{s.offset}"
                )


def producer_order(evidence: Evidence) -> Iterator[str]:
    """C6: the sequence in the log is that of the sends."""
    for partition, records in evidence.final.items():
        last: dict[str, int] = {}
        for offset, value in records:
            producer, _, number = value.rpartition(":")
            if producer in evidence.producers and evidence.producers[producer].ordered:
                if int(number) <= last.get(producer, -1):
                    yield f"order: {value} at {partition}:{offset} comes after {producer}:{last[producer]}"
                last[producer] = max(int(number), last.get(producer, -1))


def polls_contiguous(evidence: Evidence) -> Iterator[str]:
    """C7: each run of polls is a slice of F."""
    runs: dict[tuple[str, int, int], int] = {}
    for r in evidence.reads:
        before = runs.get((r.consumer, r.run, r.partition))
        if before is not None and r.offset != before + 1:
            what = "skipped" if r.offset > before else "went back"
            yield f"{r.consumer} {what} from {r.partition}:{before} to {r.partition}:{r.offset}"
        runs[r.consumer, r.run, r.partition] = r.offset
    for partition, records in evidence.final.items():
        for (before, _), (offset, _) in pairwise(records):
            if offset != before + 1:
                yield f"the final read went from {partition}:{before} to {partition}:{offset}"


def stable(evidence: Evidence) -> Iterator[str]:
    """C8: P ⊆ F, and the end of a partition never goes back under one leader or its successors."""
    final = {(p, offset): value for p, records in evidence.final.items() for offset, value in records}
    for r in evidence.reads:
        if final.get((r.partition, r.offset)) != r.value:
            now = final.get((r.partition, r.offset), "nothing")
            yield f"unstable: {r.consumer} read {r.value} at {r.partition}:{r.offset}, where now is {now}"
    for partition, ends in _by_partition(evidence.ends).items():
        by_end = sorted(ends, key=lambda e: e.end)
        ended: list[Any] = []
        at = 0
        for e in sorted(ends, key=lambda e: e.begin):
            while by_end[at].end < e.begin:
                ended.append(by_end[at])
                at += 1
            highest = max((x.offset for x in ended if x.leader_epoch <= e.leader_epoch), default=0)
            if e.offset < highest:
                yield f"unstable: the end of {partition} went back from {highest} to {e.offset}"


def groups(evidence: Evidence) -> Iterator[str]:
    """C12: an acknowledged commit is there until a later one; one owner a generation; committed ⊆ processed."""
    commits: dict[tuple[str, int], list[Commit]] = {}
    for c in evidence.commits:
        commits.setdefault((c.group, c.partition), []).append(c)
    for fetched in evidence.committed:
        mine = commits.get((fetched.group, fetched.partition), [])
        if fetched.offset not in _possible(mine, fetched):
            before = [c for c in mine if c.outcome == OK and c.end < fetched.begin]
            known = f"{max(before, key=lambda c: c.end).offset} had been" if before else "nothing was"
            yield f"commit lost: {fetched.group} is at {fetched.partition}:{fetched.offset}, where {known} committed"
    owners: dict[tuple[str, int, int], str] = {}
    for o in evidence.owned:
        first = owners.setdefault((o.group, o.generation, o.partition), o.member)
        if first != o.member:
            yield f"two owners: {first} and {o.member} have partition {o.partition} in generation {o.generation}"
    processed: dict[tuple[str, int], dict[int, float]] = {}
    for r in evidence.reads:
        if r.group:
            processed.setdefault((r.group, r.partition), {}).setdefault(r.offset, r.time)
    for (group, partition), mine in commits.items():
        first_reads = processed.get((group, partition), {})
        # done[o] is when all below o had been read; offsets behind a hole are missing.
        done = [0.0]
        while len(done) - 1 in first_reads:
            done.append(max(done[-1], first_reads[len(done) - 1]))
        for c in mine:
            if c.offset >= len(done) or done[c.offset] > c.begin:
                missing = min(c.offset, len(done)) - 1
                yield f"not processed: {group} committed {partition}:{c.offset} before {partition}:{missing} was read"


def one_leader(evidence: Evidence) -> Iterator[str]:
    """C13: a leader epoch has one leader, a controller epoch one controller, and epochs only grow."""
    leaders: dict[tuple[int, int], Any] = {}
    newest: dict[int, Any] = {}
    for led in evidence.led:
        if led.leader >= 0:
            first = leaders.setdefault((led.partition, led.epoch), led)
            if first.leader != led.leader:
                yield (
                    f"two leaders of {led.partition} in epoch {led.epoch}: {first.leader} for {first.source}, "
                    f"{led.leader} for {led.source}"
                )
        if led.source == "zookeeper":
            if led.partition in newest and newest[led.partition] > led.epoch:
                yield f"the leader epoch of {led.partition} went back from {newest[led.partition]} to {led.epoch}"
            newest[led.partition] = led.epoch
    controllers: dict[int, int] = {}
    for before, now in pairwise(evidence.controlled):
        if now.epoch < before.epoch:
            yield f"the controller epoch went back from {before.epoch} to {now.epoch}"
    for c in evidence.controlled:
        if controllers.setdefault(c.epoch, c.broker) != c.broker:
            yield f"two controllers in epoch {c.epoch}: {controllers[c.epoch]} and {c.broker}"
    for (broker, partition), replica in evidence.replicas.items():
        for batch, after in pairwise(replica.batches):
            if after.leader_epoch < batch.leader_epoch:
                yield (
                    f"in broker {broker}'s log of {partition} epoch {after.leader_epoch} at {after.base_offset} "
                    f"follows {batch.leader_epoch}"
                )


def replicas_equal(evidence: Evidence) -> Iterator[str]:
    """C14: D_r = D_s below the high watermark, byte for byte, and each file is sound in itself."""
    first: dict[int, tuple[int, Replica]] = {}
    for (broker, partition), replica in sorted(evidence.replicas.items()):
        yield from (f"broker {broker}, partition {partition}: {problem}" for problem in replica.problems)
        mark = evidence.high_watermarks.get(partition, 0)
        other, reference = first.setdefault(partition, (broker, replica))
        yield from _compare(partition, mark, other, reference, broker, replica)


def _compare(partition: int, mark: int, a: int, one: Replica, b: int, two: Replica) -> Iterator[str]:
    ours, theirs = ([x for x in r.batches if x.last_offset < mark] for r in (one, two))
    if not ours or not theirs or ours[-1].last_offset != theirs[-1].last_offset or ours[-1].last_offset != mark - 1:
        ends = [x[-1].last_offset + 1 if x else 0 for x in (ours, theirs)]
        if ends != [mark, mark]:
            yield f"partition {partition} ends at {ends[0]} on {a}, {ends[1]} on {b}; the high watermark is {mark}"
    for x, y in zip(ours, theirs, strict=False):
        if x.data != y.data:
            yield f"partition {partition} differs on {a} and {b}: batches at {x.base_offset} and {y.base_offset}"
            return


def progress(evidence: Evidence, window: float = 30, least: int = 100) -> Iterator[str]:
    """C17: in each 30 s of a fault that leaves enough replicas, 100 acknowledgements (in all of a shorter one)."""
    acked = sorted(s.end for s in evidence.acknowledged())
    for fault in evidence.faults:
        if fault.majority:
            for begin, end in _windows(fault, window):
                count = sum(begin <= t < end for t in acked)
                if count < least:
                    yield f"{count} acknowledgements in {end - begin:.0f} s of {fault.name}"


def _windows(fault: Fault, window: float) -> Iterable[tuple[float, float]]:
    whole = max(1, int((fault.end - fault.begin) // window))
    starts = [fault.begin + i * window for i in range(whole)]
    return [(s, fault.end if i == whole - 1 else s + window) for i, s in enumerate(starts)]


PROPERTIES: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "C0": clients_unharmed,
    "C1": no_loss,
    "C2": no_phantoms,
    "C3": offsets_agree,
    "C4": no_duplicates,
    "C5": realtime_order,
    "C6": producer_order,
    "C7": polls_contiguous,
    "C8": stable,
    "C12": groups,
    "C13": one_leader,
    "C14": replicas_equal,
    "C17": progress,
}


@dataclass(frozen=True)
class Recovery:
    """How long after the healing what was true; None when it never was. Seconds."""

    led: float | None
    in_sync: float | None
    sent: float | None
    """100 sends were acknowledged."""
    seen: float | None
    """The readers that were there all the time had seen everything acknowledged."""


@dataclass(frozen=True)
class Limits:
    """What C16 allows."""

    led: float
    in_sync: float
    sent: float
    seen: float


def live(recovery: Recovery, limits: Limits) -> Iterator[str]:
    """C16."""
    for what, name in LIVENESS.items():
        took, limit = getattr(recovery, what), getattr(limits, what)
        if took is None:
            yield f"{name} never came"
        elif took > limit:
            yield f"{name} took {took:.1f} s, {limit:.1f} s are allowed"


LIVENESS = {
    "led": "a leader for every partition",
    "in_sync": "the full ISR of every partition",
    "sent": "100 acknowledged sends",
    "seen": "the sight of everything acknowledged",
}


def _read(evidence: Evidence) -> Iterator[tuple[str, int, int, str]]:
    """P ∪ F as (who, partition, offset, value)."""
    for partition, records in evidence.final.items():
        for offset, value in records:
            yield "the final read", partition, offset, value
    for r in evidence.reads:
        yield r.consumer, r.partition, r.offset, r.value


def _facts(evidence: Evidence) -> Iterator[tuple[str, int, int, str]]:
    """A ∪ P ∪ F ∪ ⋃D below the high watermark."""
    yield from _read(evidence)
    for s in evidence.acknowledged():
        if s.offset >= 0:
            yield s.producer, s.partition, s.offset, s.value
    for (broker, partition), replica in evidence.replicas.items():
        mark = evidence.high_watermarks.get(partition, 0)
        for offset, value in replica.records:
            if offset < mark:
                yield f"broker {broker}'s file", partition, offset, value


def _by_partition(items: Iterable[Any]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for item in items:
        found.setdefault(item.partition, []).append(item)
    return found


def _possible(commits: list[Commit], fetched: Committed) -> set[int]:
    """The offsets that an answer may name: of a commit that had begun, and was not certainly overwritten by then."""
    settled = [c for c in commits if c.outcome == OK and c.end < fetched.begin]
    latest = max((c.begin for c in settled), default=None)
    possible = {
        c.offset
        for c in commits
        if c.outcome != FAIL and c.begin < fetched.end and (c.outcome != OK or latest is None or c.end >= latest)
    }
    return possible | {-1} if latest is None else possible
