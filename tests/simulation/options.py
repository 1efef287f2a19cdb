"""What one run is like. Everything is drawn from the seed, "swarm": sizes, knobs, and which faults there are at all.

A tenth of the seeds has one kind of fault only. Options can be overridden, which is how a failing seed is shrunk.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

# Kinds of faults, and how often a seed has each.
FAULTS = {
    "kill": 0.6,  # the process dies, at any time
    "crash": 0.4,  # the process dies at a step: as it writes to ZooKeeper
    "stop": 0.4,  # it is told to stop
    "power": 0.4,  # the machine loses power, and the disk what it had not written
    "wipe": 0.15,  # it comes back with an empty disk
    "pause": 0.4,  # it hangs
    "cut": 0.4,  # two machines do not reach each other
    "one_way": 0.3,  # one does not reach the other
    "isolate": 0.3,  # one reaches nobody
    "break": 0.4,  # connections break
    "away": 0.3,  # one does not reach ZooKeeper
    "expire": 0.3,  # its session is ended
    "reply": 0.4,  # ZooKeeper's replies get lost
    "lag": 0.4,  # ZooKeeper's servers lag
    "slow": 0.3,  # packets are late
    "skew": 0.3,  # clocks are wrong
    "move": 0.3,  # leadership is sent to and fro
    "reassign": 0.2,  # a partition is to have other replicas
}
# Drawn after everything else, so that what was drawn before stays as it was.
LATER_FAULTS = {
    "recreate": 0.25,  # a topic is deleted, and made anew under its name
}
# What members of groups do, in seeds that have some.
FATES = {
    "leave": 0.6,  # a member leaves its group
    "die": 0.6,  # it is gone without a word
    "hang": 0.5,  # it does nothing for a while
}


@dataclass
class Options:
    """The options of one run."""

    seed: int
    brokers: int = 3
    partitions: int = 1
    replication: int = 3
    min_isr: int = 2
    producers: int = 1  # per partition
    consumers: int = 1
    noise: bool = False  # somebody writes with acks=1, which may be lost
    duration_s: float = 40.0  # of faults
    interval_s: float = 3.0  # between faults, on average
    session_timeout_ms: int = 3000
    lag_ms: int = 2000
    fetch_wait_ms: int = 200
    fetch_bytes: int = 10_000
    zookeepers: int = 1
    zookeeper_lag_ms: int = 0
    lose_reply: float = 0.0
    low_ms: float = 0.2
    high_ms: float = 2.0
    spike: float = 0.0
    spike_ms: float = 0.0
    thread_ms: float = 5.0
    skew_s: float = 0.0
    drift: float = 0.0
    produce_pause_s: float = 0.1
    produce_records: int = 2
    from_followers: bool = False
    codec: bool = False
    groups: int = 0  # that commit offsets
    balance_s: int = 300  # how often leaders go back to the preferred replicas
    memberships: int = 0  # groups with members
    members: int = 0  # of each
    static: float = 0.0  # how many of them have an instance id
    member_session_ms: int = 2000
    rebalance_ms: int = 3000
    join_delay_ms: int = 0  # how long a new group waits for more
    retention_bytes: int = -1
    retention_ms: int = -1
    segment_bytes: int = 1 << 30
    recovery_ms: int = 60_000  # how long a comparison of logs waits
    lasting: bool = False  # some faults last for more than a minute
    calm: bool = False  # nothing fails but ZooKeeper: members of groups do not notice
    faults: frozenset[str] = frozenset()

    def describe(self) -> str:
        """All options on one line."""
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            parts.append(f"{field.name}={','.join(sorted(value)) if isinstance(value, frozenset) else value}")
        return " ".join(parts)


def draw(seed: int, without: frozenset[str] = frozenset(), time_factor: float = 1.0) -> Options:
    """The options of a seed. `without` takes faults out and changes nothing else."""
    r = random.Random(seed * 7919 + 13)
    brokers = r.choice((1, 2, 3, 3, 3, 3, 3, 3, 4, 5))
    replication = min(brokers, r.choice((1, 2, 3, 3, 3, 3, 3)))
    options = Options(
        seed,
        brokers=brokers,
        partitions=r.choice((1, 1, 2, 3)),
        replication=replication,
        min_isr=r.choice((1, 2, 2, 2)),
        producers=r.choice((1, 1, 2)),
        consumers=r.choice((0, 1, 1)),
        duration_s=r.choice((6.0, 12.0, 24.0)),
        interval_s=r.choice((1.0, 2.0, 4.0)),
        session_timeout_ms=r.choice((2000, 3000, 6000)),
        lag_ms=r.choice((1000, 2000, 5000)),
        fetch_wait_ms=r.choice((50, 200, 500)),
        fetch_bytes=r.choice((300, 10_000)),
        zookeepers=r.choice((1, 3)),
        low_ms=r.choice((0.05, 0.5)),
        high_ms=r.choice((1.0, 5.0, 20.0)),
        thread_ms=r.choice((0.0, 5.0, 50.0)),
        produce_pause_s=r.choice((0.05, 0.2, 0.5)),
        produce_records=r.choice((1, 3)),
        from_followers=r.random() < 0.3,
        codec=r.random() < 0.1,
        noise=r.random() < 0.5,
    )
    one = r.choice(sorted(FAULTS))
    alone = r.random() < 0.1
    chosen = {name for name, often in FAULTS.items() if r.random() < often}
    options.faults = frozenset(({one} if alone else chosen) - without)
    lag, reply, spike = r.choice((20, 200)), r.choice((0.01, 0.1)), r.choice((0.001, 0.02))
    skew, drift = r.choice((1.0, 600.0)), r.choice((0.0, 0.05))
    if "lag" in options.faults:
        options.zookeepers, options.zookeeper_lag_ms = 3, lag
    if "reply" in options.faults:
        options.lose_reply = reply
    if "slow" in options.faults:
        options.spike, options.spike_ms = spike, 1000.0
    if "skew" in options.faults:
        options.skew_s, options.drift = skew, drift
    options.balance_s = r.choice((2, 6, 300))
    # Schedules find what is wrong, not bytes: more partitions or writers do not mean more writes.
    writers = options.partitions * options.producers * (1 + options.noise)
    options.produce_pause_s = min(options.produce_pause_s * writers, 1.0)
    options.duration_s *= time_factor
    options.groups = r.choice((0, 0, 1, 2, 3))
    later = {name for name, often in LATER_FAULTS.items() if r.random() < often}
    options.faults |= later - without
    options.memberships = r.choice((0, 0, 1, 1, 2))
    options.members = r.choice((1, 2, 3, 4))
    options.static = r.choice((0.0, 0.5, 1.0))
    options.member_session_ms, options.rebalance_ms = r.choice((1500, 3000, 6000)), r.choice((2000, 5000))
    options.join_delay_ms = r.choice((0, 500))
    fates = {name for name, often in FATES.items() if r.random() < often}
    if options.memberships:
        options.faults |= fates - without
    retains, too_much, too_old = r.random() < 0.3, r.choice((-1, 1000, 4000)), r.choice((-1, 2000, 8000))
    segment_bytes, deletes = r.choice((400, 1500)), r.random() < 0.5
    if retains:
        options.retention_bytes, options.retention_ms, options.segment_bytes = too_much, too_old, segment_bytes
        if deletes:
            options.faults |= {"delete_records"} - without
    if r.random() < 0.2:
        options.faults |= {"outage"} - without
    recovery_ms, lasting = r.choice((3000, 10_000, 60_000)), r.random() < 0.1
    if lasting:
        options.lasting, options.duration_s, options.interval_s = True, 150.0 * time_factor, 6.0
        # The run has as many events as others.
        options.produce_pause_s, options.fetch_wait_ms = 2.0, 500
    # Who is not waited for any longer may have all that another one's disk has lost.
    loses = not options.faults.isdisjoint(("power", "wipe"))
    options.recovery_ms = recovery_ms if not loses else 600_000 if lasting else 60_000
    if r.random() < 0.05:
        options.calm, options.faults = True, (options.faults & {"reply", "lag"}) | ({"outage"} - without)
        # A commit may wait for ZooKeeper for 5 s, and a heartbeat behind it.
        options.memberships, options.member_session_ms = 1, 10_000
        options.skew_s = options.drift = options.spike = 0.0
    return options
