"""How large a znode would become, found by arithmetic before anything of it is built.

ZooKeeper takes requests of up to jute.maxbuffer bytes, 1 MiB unless its servers are told otherwise, and closes the
connection of whoever sends more: with it go the watches, and what others had under way. So a znode that would not fit
is refused while it is only a number in a request. The same number bounds all that one request creates: what comes of
it, leaders and logs and metadata for every client, grows with it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping

from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.topics import Assignment
from kafkalike.errors import Error, KafkaError

# What remains of 1 MiB is for the paths, headers and ACLs of the request that writes it.
LIMIT = 1_000_000
# A topic's znode without its partitions, and the paths of what is written with it; a topic has 249 characters at most.
TOPIC = 200


def partitions(first: int, count: int, replication_factor: int, brokers: Collection[int]) -> int:
    """Bytes of `count` partitions from number `first` on, whose replicas are spread evenly over the brokers."""
    id_digits = -(-sum(len(str(broker_id)) for broker_id in brokers) // max(len(brokers), 1))
    return _digits(first, first + count) + count * (6 + replication_factor * (id_digits + 1) - 1)


def assigned(assignments: Mapping[int, Assignment]) -> int:
    """Bytes of partitions with these replicas; those that are being moved are in three lists."""
    return sum(
        sum(_entry(partition, ids) for ids in (a.replicas, a.adding, a.removing) if ids)
        for partition, a in assignments.items()
    )


def _entry(partition: int, ids: Collection[int]) -> int:
    """`"7":[1,2],`"""
    return 6 + len(str(partition)) + sum(len(str(broker_id)) + 1 for broker_id in ids) - 1


def _digits(start: int, end: int) -> int:
    """How many digits the numbers from `start` to before `end` have together."""
    digits, width, low = 0, 1, 0
    while low < end:
        high = 10**width
        digits += width * max(min(end, high) - max(start, low), 0)
        low, width = high, width + 1
    return digits


def configs(values: Mapping[str, str]) -> int:
    """Bytes of an entity's configuration, at least: what is too large anyway is not encoded."""
    size = sum(len(name) + len(value) for name, value in values.items())
    return size if size > LIMIT else len(EntityConfig.encode(values))


def check_new(
    name: str, count: int, replication_factor: int, brokers: Collection[int], first: int = 0, taken: int = 0
) -> None:
    """INVALID_PARTITIONS when a topic with so many partitions from `first` on does not fit beside the `taken` bytes."""
    base = TOPIC + len(name.encode()) + taken
    size = base + partitions(first, count, replication_factor, brokers)
    if size > LIMIT:
        most = bisect_right(range(count), LIMIT, key=lambda n: base + partitions(first, n, replication_factor, brokers))
        raise KafkaError(
            Error.INVALID_PARTITIONS,
            f"Topic '{name}' with {first + count} partitions would take {size} bytes in ZooKeeper, where a znode holds "
            f"{LIMIT}: at most {first + max(most - 1, 0)} partitions with replication factor {replication_factor}.",
        )


def check_assigned(
    name: str, assignments: Mapping[int, Assignment], taken: int = 0, error: Error = Error.INVALID_REPLICA_ASSIGNMENT
) -> None:
    """An error when a topic with these replicas does not fit beside the `taken` bytes."""
    size = TOPIC + len(name.encode()) + taken + assigned(assignments)
    if size > LIMIT:
        why = f"The assignment of topic '{name}' would take {size} bytes in ZooKeeper, where a znode holds {LIMIT}."
        raise KafkaError(error, why)


def check_configs(what: str, values: Mapping[str, str], error: Error = Error.INVALID_CONFIG) -> None:
    """An error when a configuration does not fit."""
    size = configs(values)
    if size > LIMIT:
        why = f"The configuration of {what} would take {size} bytes in ZooKeeper, where a znode holds {LIMIT}."
        raise KafkaError(error, why)


def check_together(count: int, topics: Iterable[int]) -> None:
    """POLICY_VIOLATION when what one request writes for its topics is too much at a time. `topics` has the bytes of
    each, which are not asked for when it is clear from their number."""
    if count < 2:
        return
    size = count * TOPIC
    if size <= LIMIT:
        size = sum(topics)
    if size > LIMIT:
        why = f"The topics of this request would take {size} bytes in ZooKeeper, and one request may write {LIMIT}."
        raise KafkaError(Error.POLICY_VIOLATION, why)
