"""New topics and new partitions: the controller finds them in the znodes, and gives each partition its first leader.

That may be interrupted anywhere: the next controller finds in the znodes how far it got, and goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from kafkalike.cluster.znodes.encoding import decode_or_none
from kafkalike.cluster.znodes.topics import NO_TOPIC_ID, TopicNode
from kafkalike.controller.context import Context, Partition, PartitionState, ReplicaState, shown
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import Children, Ignore, Listen, Read, SetNode, Steps, Write, slices
from kafkalike.controller.partition_state_machine import bring_online, move_partitions
from kafkalike.controller.replica_state_machine import move_and_send

log = logging.getLogger(__name__)

P, R = PartitionState, ReplicaState
NewId = Callable[[], bytes]


def topics_changed(context: Context, new_id: NewId) -> Steps[None]:
    """The children of /brokers/topics have changed: new topics get leaders, vanished ones are forgotten."""
    (names,) = yield Children([TopicNode.directory()])
    found = set(names)
    context.unreadable_topics &= found
    for topic in sorted(context.assignments.keys() - found):
        yield Ignore((TopicNode.path(topic),))
        context.forget_topic(topic)
    new = sorted(found - context.assignments.keys())
    if new:
        partitions = yield from load_topics(context, new, new_id)
        yield from create_partitions(context, partitions)


def load_topics(context: Context, topics: list[str], new_id: NewId) -> Steps[list[Partition]]:
    """Reads topics into the context and listens to them; a topic without an id is given one. Gives the partitions."""
    yield Listen(nodes=tuple(TopicNode.path(topic) for topic in topics))
    nodes = yield Read([TopicNode.path(topic) for topic in topics])
    writes = []
    loaded = []
    for topic, found in zip(topics, nodes, strict=True):
        if found is None:
            continue
        node = decode_or_none(TopicNode, found.data, topic)
        if node is None:
            context.unreadable_topics.add(topic)
            continue
        context.unreadable_topics.discard(topic)
        if node.topic_id == NO_TOPIC_ID:
            node = TopicNode(node.partitions, new_id())
            writes.append(SetNode(TopicNode.path(topic), node.encode()))
        context.topic_ids[topic] = node.topic_id
        context.assignments[topic] = {}
        for partition, assignment in node.partitions.items():
            context.set_assignment((topic, partition), assignment)
            loaded.append((topic, partition))
    if writes:
        yield Write(list(writes))
    return loaded


def create_partitions(context: Context, partitions: list[Partition]) -> Steps[None]:
    """Gives assigned partitions their first leader: the first live replica leads, all live ones are in sync."""
    if not partitions:
        return
    log.info("new partitions: %s", shown(partitions))
    # Clients hear of all partitions at once: the partition of a key depends on how many there are.
    told = Batch(context)
    for some in slices(partitions):
        replicas = [(*partition, r) for partition in some for r in context.replicas_of(partition)]
        move_partitions(context, some, P.NEW)
        yield from move_and_send(context, replicas, R.NEW)
        batch = Batch(context)
        yield from bring_online(context, batch, some)
        batch.withhold_metadata(told)
        yield batch.send()
        yield from move_and_send(context, replicas, R.ONLINE)
    yield told.send()


def topic_changed(context: Context, topic: str) -> Steps[None]:
    """A topic's znode has changed: partitions that are in it and not in the context are new."""
    (found,) = yield Read([TopicNode.path(topic)])
    node = decode_or_none(TopicNode, found.data, topic) if found is not None else None
    if node is None:
        return
    if topic not in context.assignments:
        # The znode was garbage when the controller first read it, or the topic has been created anew since.
        context.unreadable_topics.discard(topic)
        yield Listen(nodes=(TopicNode.path(topic),))
        context.topic_ids[topic] = node.topic_id
        context.assignments[topic] = {}
    known = context.assignments[topic]
    added = {p: assignment for p, assignment in node.partitions.items() if p not in known}
    if not added:
        return
    if context.is_being_deleted(topic):
        log.warning("topic %s is being deleted: its new partitions are taken back", topic)
        old = TopicNode(known, context.topic_id(topic))
        yield Write([SetNode(TopicNode.path(topic), old.encode())])
        return
    for partition, assignment in added.items():
        context.set_assignment((topic, partition), assignment)
    yield from create_partitions(context, [(topic, partition) for partition in sorted(added)])
