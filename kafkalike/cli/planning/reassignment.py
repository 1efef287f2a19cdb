"""Moving partitions between brokers, as kafka-reassign-partitions plans it: what may be asked, what is throttled.

A throttle names, for each topic, the replicas that send (`partition:broker` of every present replica) and those that
receive (of every added one); the rate itself is a setting of each broker that takes part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kafkalike.cli.planning.partition_json import duplicates, name
from kafkalike.client.admin.replicas import OngoingReassignment
from kafkalike.client.cluster import Partition

LEADER_RATE = "leader.replication.throttled.rate"
FOLLOWER_RATE = "follower.replication.throttled.rate"
LOG_DIRS_RATE = "replica.alter.log.dirs.io.max.bytes.per.second"
BROKER_THROTTLES = (LEADER_RATE, FOLLOWER_RATE, LOG_DIRS_RATE)

LEADER_REPLICAS = "leader.replication.throttled.replicas"
FOLLOWER_REPLICAS = "follower.replication.throttled.replicas"
TOPIC_THROTTLES = (LEADER_REPLICAS, FOLLOWER_REPLICAS)


class Move(NamedTuple):
    """From which brokers to which others a partition's records go."""

    sources: frozenset[int]
    destinations: frozenset[int]


def executable(targets: Sequence[tuple[Partition, Sequence[int]]]) -> dict[Partition, list[int]]:
    """The targets if they can be asked for; ValueError in Kafka's words if not."""
    if not targets:
        raise ValueError("Partition reassignment list cannot be empty")
    if not all(replicas for _, replicas in targets):
        raise ValueError("Partition replica list cannot be empty")
    twice = duplicates(partition for partition, _ in targets)
    if twice:
        raise ValueError(
            f"Partition reassignment contains duplicate topic partitions: {','.join(name(p) for p in twice)}"
        )
    doubled = [(partition, duplicates(replicas)) for partition, replicas in targets if duplicates(replicas)]
    if doubled:
        told = ". ".join(f"{name(p)} contains multiple entries for {numbers(brokers)}" for p, brokers in doubled)
        raise ValueError(f"Partition replica lists may not contain duplicate entries: {told}")
    return {partition: list(replicas) for partition, replicas in targets}


def moves(
    ongoing: Mapping[Partition, OngoingReassignment],
    proposed: Mapping[Partition, Sequence[int]],
    current: Mapping[Partition, Sequence[int]],
) -> dict[Partition, Move]:
    """Every move there will be: those that go on, and the proposed ones in place of older ones."""
    found = {
        partition: Move(frozenset(state.replicas) - set(state.adding), frozenset(state.adding))
        for partition, state in ongoing.items()
    }
    for partition, replicas in proposed.items():
        sources = found[partition].sources if partition in found else frozenset(current[partition])
        found[partition] = Move(sources, frozenset(replicas) - sources)
    return found


def leader_throttles(planned: Mapping[Partition, Move]) -> dict[str, str]:
    """The replicas of each topic that send."""
    return _throttles((partition, move.sources) for partition, move in planned.items())


def follower_throttles(planned: Mapping[Partition, Move]) -> dict[str, str]:
    """The replicas of each topic that receive."""
    return _throttles((partition, move.destinations) for partition, move in planned.items())


def _throttles(planned: Iterable[tuple[Partition, frozenset[int]]]) -> dict[str, str]:
    replicas: dict[str, set[str]] = {}
    for (topic, index), brokers in planned:
        replicas.setdefault(topic, set()).update(f"{index}:{broker}" for broker in brokers)
    return {topic: ",".join(sorted(found)) for topic, found in replicas.items()}


def moving_brokers(planned: Mapping[Partition, Move]) -> list[int]:
    """Every broker that takes part."""
    return sorted({broker for move in planned.values() for broker in move.sources | move.destinations})


def status(partition: Partition, replicas: Sequence[int], target: Sequence[int], going_on: bool) -> str:
    """How far a reassignment is, in a line."""
    if going_on:
        return f"Reassignment of partition {name(partition)} is still in progress."
    if list(replicas) == list(target):
        return f"Reassignment of partition {name(partition)} is completed."
    return (
        f"There is no active reassignment of partition {name(partition)}, but replica set is {numbers(replicas)} "
        f"rather than {numbers(target)}."
    )


def listed(partition: Partition, state: OngoingReassignment) -> str:
    """A reassignment that goes on, in a line."""
    adding = f" adding: {numbers(state.adding)}." if state.adding else ""
    removing = f" removing: {numbers(state.removing)}." if state.removing else ""
    return f"{name(partition)}: replicas: {numbers(state.replicas)}.{adding}{removing}"


def numbers(brokers: Iterable[int]) -> str:
    """1,2,3."""
    return ",".join(map(str, brokers))
