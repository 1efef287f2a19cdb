"""Topics are created, extended and deleted by znodes, which any broker may write (Kafka's AdminZkClient). The
controller then finds the znodes: topic_creation.py, topic_deletion.py.

Called by the APIs that create, extend and delete topics, and by auto_topic_creation.py. All checks that Kafka makes are
made here, in its order and its words. No epoch fences these writes: a topic is created by a create that only one can
win, and extended under the version of its znode.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from kafkalike import config as configuration
from kafkalike.cluster import topic_names, znode_sizes, zookeeper
from kafkalike.cluster.membership import random_uuid
from kafkalike.cluster.metadata import Image
from kafkalike.cluster.znodes.admin import DeleteTopicNode
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.cluster.znodes.topics import NO_LEADER, NO_TOPIC_ID, Assignment, TopicNode
from kafkalike.config import Config
from kafkalike.controller.assignment import assign
from kafkalike.errors import Error, KafkaError
from zk import recipes
from zk.client import BadVersion, ConnectionLoss, Create, NodeExists, NoNode, SessionExpired, Set, ZkClient, gather

DEFAULT = -1

Replicas = Mapping[int, tuple[int, ...]]
P = ParamSpec("P")
T = TypeVar("T")


def not_controller_without_session(order: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Answers NOT_CONTROLLER when the ZooKeeper session is lost: clients look for the controller and ask again."""

    @functools.wraps(order)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await order(*args, **kwargs)
        except (SessionExpired, ConnectionLoss):
            raise KafkaError(Error.NOT_CONTROLLER, "The ZooKeeper session was lost.") from None

    return run


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic that has passed every check."""

    name: str
    replicas: Replicas
    configs: Mapping[str, str] = field(default_factory=dict)
    topic_id: bytes = NO_TOPIC_ID

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that it will have."""
        return frozenset(self.replicas)


@not_controller_without_session
async def check_new(
    zk: ZkClient,
    config: Config,
    image: Image,
    rng: random.Random,
    name: str,
    partitions: int,
    replication_factor: int,
    manual: Replicas | None = None,
    configs: Mapping[str, str | None] | None = None,
) -> NewTopic:
    """Whether the topic can be created, and with which assignment; -1 partitions and replicas are the defaults."""
    if name in image.topics:
        raise _exists(name)
    configs = configs or {}
    nulls = [key for key, value in configs.items() if value is None]
    if nulls:
        raise KafkaError(Error.INVALID_CONFIG, f"Null value not supported for topic configs: {','.join(nulls)}")
    if manual and (partitions != DEFAULT or replication_factor != DEFAULT):
        raise KafkaError(
            Error.INVALID_REQUEST,
            "Both numPartitions or replicationFactor and replicasAssignments were set. "
            "Both cannot be used at the same time.",
        )
    texts = {key: value for key, value in configs.items() if value is not None}
    znode_sizes.check_configs(f"topic '{name}'", texts)
    taken = znode_sizes.configs(texts)  # the configuration travels in the same request to ZooKeeper
    if manual:
        znode_sizes.check_assigned(name, {p: Assignment(tuple(ids)) for p, ids in manual.items()}, taken)
        replicas: Replicas = manual
    else:
        count, factor = numbers_or_defaults(config, partitions, replication_factor)
        racks = {broker.id: broker.rack for broker in image.brokers.values()}
        if 0 < factor <= len(racks):
            znode_sizes.check_new(name, count, factor, racks, taken=taken)
        replicas = assign(racks, count, factor, rng.randrange(1 << 16), rng.randrange(1 << 16))
    reason = topic_names.illegal(name)
    if reason:
        raise KafkaError(Error.INVALID_TOPIC_EXCEPTION, reason)
    await _check_name_is_free(zk, name)
    if manual:
        _check_manual(manual, set(image.brokers))
    try:
        conflict = configuration.check_topic(config, texts)
    except configuration.ConfigException as error:
        conflict = str(error)
    if conflict:
        raise KafkaError(Error.INVALID_CONFIG, conflict)
    return NewTopic(name, replicas, texts, random_uuid(rng))


def size_of_new(config: Config, image: Image, topic: Any) -> int:
    """The bytes that a topic of a CreateTopics request would take in ZooKeeper, at most; 0 when it does not fit."""
    manual = {a.partition_index: Assignment(tuple(a.broker_ids)) for a in topic.assignments}
    count, factor = numbers_or_defaults(config, topic.num_partitions, topic.replication_factor)
    brokers = image.brokers
    factor = max(min(factor, len(brokers)), 0)  # the check of the request refuses any other later
    size = znode_sizes.assigned(manual) if manual else znode_sizes.partitions(0, max(count, 0), factor, brokers)
    size += znode_sizes.TOPIC + 2 * len(topic.name) + sum(len(c.name) + len(c.value or "") + 6 for c in topic.configs)
    return size if size <= znode_sizes.LIMIT else 0


def size_of_added(image: Image, topic: Any) -> int:
    """The bytes that the new partitions of a CreatePartitions request would take; 0 when they do not fit."""
    known = image.topics.get(topic.name)
    old = known.partitions if known is not None else {}
    factor = len(old[0].replicas) if 0 in old else 1
    size = znode_sizes.TOPIC + znode_sizes.partitions(len(old), max(topic.count - len(old), 0), factor, image.brokers)
    return size if size <= znode_sizes.LIMIT else 0


def numbers_or_defaults(config: Config, partitions: int, replication_factor: int) -> tuple[int, int]:
    """Partitions and replication factor, which are the broker's own where the request gives none."""
    count = config["num.partitions"] if partitions == DEFAULT else partitions
    return count, config["default.replication.factor"] if replication_factor == DEFAULT else replication_factor


async def _check_name_is_free(zk: ZkClient, name: str) -> None:
    marked, there = await gather([zk.exists(DeleteTopicNode.path(name)), zk.exists(TopicNode.path(name))])
    if marked is not None:
        raise KafkaError(Error.TOPIC_ALREADY_EXISTS, f"Topic '{name}' is marked for deletion.")
    if there is not None:
        raise _exists(name)
    if topic_names.may_collide(name):
        others = topic_names.colliding(name, await zookeeper.children(zk, TopicNode))
        if others:
            raise KafkaError(
                Error.INVALID_TOPIC_EXCEPTION, f"Topic '{name}' collides with existing topics: {', '.join(others)}"
            )


def _check_manual(manual: Replicas, brokers: set[int]) -> None:
    def refuse(why: str) -> KafkaError:
        return KafkaError(Error.INVALID_REPLICA_ASSIGNMENT, why)

    if len({len(replicas) for replicas in manual.values()}) != 1:
        raise refuse("All partitions should have the same number of replicas")
    if any(len(set(replicas)) != len(replicas) for replicas in manual.values()):
        shown = ", ".join(f"{p} -> [{', '.join(map(str, replicas))}]" for p, replicas in manual.items())
        raise refuse(f"Duplicate replica assignment found: {shown}")
    if sorted(manual) != list(range(len(manual))):
        raise refuse("partitions should be a consecutive 0-based integer sequence")
    # Kafka with ZooKeeper lets these two pass, and makes a partition that can never be led.
    if not all(manual.values()):
        raise refuse("Cannot have replication factor of 0 for partition id 0.")
    unknown = sorted({r for replicas in manual.values() for r in replicas} - brokers)
    if unknown:
        raise refuse(f"Unknown broker(s) in replica assignment: {', '.join(map(str, unknown))}.")


@not_controller_without_session
async def write_new(zk: ZkClient, topic: NewTopic) -> None:
    """Creates the configuration and the topic in one multi. TOPIC_ALREADY_EXISTS when another broker was faster."""
    node = TopicNode({p: Assignment(tuple(replicas)) for p, replicas in topic.replicas.items()}, topic.topic_id)
    config_path, path = EntityConfig.path("topics", topic.name), TopicNode.path(topic.name)
    config = EntityConfig.encode(topic.configs)
    operation: Create | Set = Create(config_path, config)
    while True:
        try:
            await zk.multi([operation, Create(path, node.encode())])
            return
        except NodeExists as error:
            if error.index == 1:
                found = await recipes.get_or_none(zk, path)
                # The topic with our id is ours: the answer to its creation was lost.
                if found is None or found[0] != node.encode():
                    raise _exists(topic.name) from None
                return
            # A configuration without a topic is left over from a deletion.
            operation = Set(config_path, config)
        except ConnectionLoss:
            found = await recipes.get_or_none(zk, path)
            if found is not None and found[0] == node.encode():
                return


def led(image: Image, name: str, partitions: frozenset[int]) -> bool:
    """Whether each of these partitions has a leader."""
    topic = image.topics.get(name)
    if topic is None:
        return False
    known = topic.partitions
    return all(p in known and known[p].leader != NO_LEADER for p in partitions)


def effective_configs(config: Config, overrides: Mapping[str, str]) -> list[tuple[str, str | None, int]]:
    """(key, value, source) of every topic key: 1 the topic's own, 4 from the broker's file, 5 the default."""
    values = configuration.topic_config(config, overrides)
    rows = []
    for name, key in configuration.TOPIC.items():
        from_file = any(synonym in config.originals for synonym, _ in key.synonyms)
        source = 1 if name in overrides else 4 if from_file else 5
        rows.append((name, configuration.text_of(values[name]), source))
    return rows


def _exists(name: str) -> KafkaError:
    return KafkaError(Error.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")


# Extension.


@not_controller_without_session
async def extend(
    zk: ZkClient, image: Image, name: str, count: int, manual: list[tuple[int, ...]] | None, validate_only: bool
) -> frozenset[int]:
    """Gives a topic more partitions, `count` in all; gives the partitions that it has then."""
    while True:
        unknown = KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
        if topic_names.illegal(name):
            raise unknown
        try:
            node, stat = await zookeeper.get(zk, TopicNode, name)
        except NoNode:
            raise unknown from None
        except Garbage as error:
            raise KafkaError(Error.UNKNOWN_SERVER_ERROR, str(error)) from None
        if not node.partitions:
            raise unknown
        added = _check_extension(name, node, image, count, manual)
        partitions = {**node.partitions, **{p: Assignment(tuple(replicas)) for p, replicas in added.items()}}
        if validate_only:
            return frozenset(partitions)
        wanted = TopicNode(partitions, node.topic_id)
        try:
            await zookeeper.write(zk, TopicNode, wanted, name, version=stat.version)
            return frozenset(partitions)
        except BadVersion:
            continue
        except ConnectionLoss:
            now = await recipes.get_or_none(zk, TopicNode.path(name))
            if now is not None and now[0] == wanted.encode():
                return frozenset(partitions)


def _check_extension(
    name: str, node: TopicNode, image: Image, count: int, manual: list[tuple[int, ...]] | None
) -> Replicas:
    def refuse(why: str) -> KafkaError:
        return KafkaError(Error.INVALID_REPLICA_ASSIGNMENT, why)

    if any(assignment.being_reassigned for assignment in node.partitions.values()):
        raise KafkaError(
            Error.REASSIGNMENT_IN_PROGRESS, f"A partition reassignment is in progress for the topic '{name}'."
        )
    old = len(node.partitions)
    if count < old:
        raise KafkaError(
            Error.INVALID_PARTITIONS,
            f"Topic currently has {old} partitions, which is higher than the requested {count}.",
        )
    if count == old:
        raise KafkaError(Error.INVALID_PARTITIONS, f"Topic already has {old} partitions.")
    if 0 not in node.partitions:
        raise KafkaError(
            Error.UNKNOWN_SERVER_ERROR,
            f"Unexpected existing replica assignment for topic '{name}', partition id 0 is missing.",
        )
    first = node.partitions[0].replicas
    if manual is None:
        order = sorted(image.brokers)
        racks = {broker.id: broker.rack for broker in image.brokers.values()}
        start = next((at for at, broker_id in enumerate(order) if broker_id >= first[0]), 0)
        znode_sizes.check_new(name, count - old, len(first), order, old, znode_sizes.assigned(node.partitions))
        return assign(racks, count - old, len(first), start, start, old)
    unknown = sorted({r for replicas in manual for r in replicas} - set(image.brokers))
    if unknown:
        raise refuse(f"Unknown broker(s) in replica assignment: {', '.join(map(str, unknown))}.")
    if len(manual) != count - old:
        raise refuse(f"Increasing the number of partitions by {count - old} but {len(manual)} assignments provided.")
    replicas = {old + at: tuple(added) for at, added in enumerate(manual)}
    znode_sizes.check_assigned(
        name, {p: Assignment(added) for p, added in replicas.items()}, znode_sizes.assigned(node.partitions)
    )
    for partition, ids in replicas.items():
        if not ids:
            raise refuse(f"Cannot have replication factor of 0 for partition id {partition}.")
        if len(set(ids)) != len(ids):
            shown = ", ".join(map(str, ids))
            raise refuse(f"Duplicate brokers not allowed in replica assignment: {shown} for partition id {partition}.")
    bad = {partition: len(ids) for partition, ids in replicas.items() if len(ids) != len(first)}
    if bad:
        raise refuse(
            f"Inconsistent replication factor between partitions, partition 0 has {len(first)} while partitions "
            f"[{', '.join(map(str, bad))}] have replication factors [{', '.join(map(str, bad.values()))}], "
            "respectively."
        )
    return replicas


# Deletion.


@not_controller_without_session
async def delete(zk: ZkClient, name: str) -> None:
    """Asks the controller to delete a topic; a topic that is to be deleted already is as good."""
    if await zk.exists(TopicNode.path(name)) is None:
        raise KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION, f"Topic `{name}` to delete does not exist")
    await recipes.ensure(zk, DeleteTopicNode.path(name))
