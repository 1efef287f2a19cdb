"""Which brokers hold the replicas of new partitions: Kafka's round robin, and its rack-aware form.

Leaders go round all brokers; the followers of a partition follow its leader at a distance that grows by one with each
round, so that the load of a failed broker is spread over all others. With racks, brokers are taken from the racks in
turn, and a rack is used twice only when every rack has a replica.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kafkalike.errors import Error, KafkaError


def assign(
    brokers: Mapping[int, str | None],
    partitions: int,
    replication_factor: int,
    start: int,
    shift: int,
    first_partition: int = 0,
) -> dict[int, tuple[int, ...]]:
    """Replicas of `partitions` partitions from `first_partition` on. `brokers` maps ids to racks; `start` and `shift`
    are any numbers (random for a new topic, so that not every topic begins at the same broker)."""
    if partitions <= 0:
        raise KafkaError(Error.INVALID_PARTITIONS, "Number of partitions must be larger than 0.")
    if replication_factor <= 0:
        raise KafkaError(Error.INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0.")
    if replication_factor > len(brokers):
        raise KafkaError(
            Error.INVALID_REPLICATION_FACTOR,
            f"Replication factor: {replication_factor} larger than available brokers: {len(brokers)}.",
        )
    racks = {broker_id: rack for broker_id, rack in brokers.items() if rack is not None}
    if racks and len(racks) < len(brokers):
        raise KafkaError(
            Error.UNKNOWN_SERVER_ERROR,
            "Not all brokers have rack information for replica rack aware assignment.",
        )
    order = _alternating(racks) if racks else sorted(brokers)
    assignment = {}
    for partition in range(first_partition, first_partition + partitions):
        if partition > 0 and partition % len(order) == 0:
            shift += 1
        leader = (partition + start) % len(order)
        if racks:
            assignment[partition] = _spread_over_racks(order, racks, leader, shift, replication_factor)
        else:
            others = (order[_follower(leader, shift, j, len(order))] for j in range(replication_factor - 1))
            assignment[partition] = (order[leader], *others)
    return assignment


def _follower(leader: int, shift: int, j: int, count: int) -> int:
    return (leader + 1 + (shift + j) % (count - 1)) % count


def _spread_over_racks(
    order: Sequence[int], racks: Mapping[int, str], leader: int, shift: int, replication_factor: int
) -> tuple[int, ...]:
    rack_count = len(set(racks.values()))
    replicas = [order[leader]]
    used_racks = {racks[order[leader]]}
    j = 0
    while len(replicas) < replication_factor:
        broker_id = order[_follower(leader, shift * rack_count, j, len(order))]
        j += 1
        rack_is_free = racks[broker_id] not in used_racks or len(used_racks) == rack_count
        if rack_is_free and broker_id not in replicas:
            replicas.append(broker_id)
            used_racks.add(racks[broker_id])
    return tuple(replicas)


def _alternating(racks: Mapping[int, str]) -> list[int]:
    """All brokers, one of each rack in turn: racks by name, brokers by id."""
    shelves = [sorted(i for i, r in racks.items() if r == rack) for rack in sorted(set(racks.values()))]
    return [shelf[at] for at in range(max(map(len, shelves))) for shelf in shelves if at < len(shelf)]
