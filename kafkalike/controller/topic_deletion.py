"""How topics are deleted: brokers forget them, delete their replicas, and then their znodes go.

The deletion may be interrupted anywhere: the next controller finds in the znodes how far it got, and goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from kafkalike.cluster.znodes.admin import DeleteTopicNode
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.topics import PartitionNode, TopicNode
from kafkalike.controller.admin_znodes import delete_names
from kafkalike.controller.context import Context, PartitionState, Replica, ReplicaState
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import NO_NODE, Children, CreateNode, DeleteNode, Ignore, Read, SetNode, Steps, Write
from kafkalike.controller.partition_state_machine import move_partitions
from kafkalike.controller.replica_state_machine import move_and_send
from kafkalike.controller.topic_creation import NewId, topics_changed

log = logging.getLogger(__name__)

P, R = PartitionState, ReplicaState


def deletions_changed(context: Context, new_id: NewId) -> Steps[None]:
    """The children of /admin/delete_topics have changed. A topic may have been created and marked for deletion before
    the controller looked for new topics."""
    (names,) = yield Children([DeleteTopicNode.directory()])
    unknown = {name for name in names if name not in context.assignments}
    if unknown and context.deletion_enabled:
        found = yield Read([TopicNode.path(name) for name in unknown])
        if any(node is not None for node in found):
            yield from topics_changed(context, new_id)
            unknown -= context.assignments.keys()
    refused = unknown if context.deletion_enabled else set(names)
    yield from delete_names([DeleteTopicNode.path(name) for name in sorted(refused)])
    wanted = set(names) - refused
    if wanted:
        context.topics_to_delete |= wanted
        yield from resume_deletions(context)


def resume_deletions(context: Context) -> Steps[None]:
    """Takes the deletion of every queued topic as far as it can go now."""
    retry: list[str] = []
    eligible: list[str] = []
    for topic in sorted(context.topics_to_delete):
        states = {context.replica_state(replica) for replica in context.replicas_of_topic(topic)}
        if states <= {R.DELETION_SUCCESSFUL}:
            yield from _complete_deletion(context, topic)
            continue
        if R.DELETION_STARTED in states:
            continue
        if R.DELETION_INELIGIBLE in states:
            retry.append(topic)
        if topic not in context.deletion_ineligible:
            eligible.append(topic)
    for topic in retry:
        yield from move_and_send(context, context.replicas_in(topic, R.DELETION_INELIGIBLE), R.OFFLINE)
    if eligible:
        yield from _start_deletion(context, eligible)


def _start_deletion(context: Context, topics: list[str]) -> Steps[None]:
    unseen = [topic for topic in topics if topic not in context.deletion_started]
    partitions = context.partitions_of(unseen)
    log.info("deleting topics %s", ", ".join(topics))
    move_partitions(context, partitions, P.OFFLINE)
    move_partitions(context, partitions, P.NONEXISTENT)
    context.deletion_started |= set(unseen)
    # Every broker drops the topic from what it tells clients; the answer to DeleteTopics waits for that.
    batch = Batch(context)
    batch.update_metadata(context.live_or_shutting_down, context.partitions_of(topics))
    yield batch.send()
    dead: list[Replica] = []
    alive: list[Replica] = []
    for topic in topics:
        for replica in context.replicas_of_topic(topic):
            if not context.is_online(replica[2], replica[:2]):
                dead.append(replica)
                context.deletion_ineligible.add(topic)
            elif context.replica_state(replica) is not R.DELETION_SUCCESSFUL:
                alive.append(replica)
    yield from move_and_send(
        context, [r for r in dead if context.replica_state(r) is not R.DELETION_INELIGIBLE], R.DELETION_INELIGIBLE
    )
    yield from move_and_send(context, alive, R.OFFLINE)
    yield from move_and_send(context, alive, R.DELETION_STARTED)


def replicas_deleted(
    context: Context, broker_id: int, broker_epoch: int, deleted: Iterable[Replica], failed: Iterable[Replica]
) -> Steps[None]:
    """A broker has answered a StopReplica that deletes replicas. An answer from before the broker's restart does not
    count: the controller has asked again since, or will."""
    known = context.brokers.get(broker_id)
    if known is None or known.epoch != broker_epoch:
        return
    queued = context.topics_to_delete
    failed = [replica for replica in failed if replica[0] in queued]
    deleted = [replica for replica in deleted if replica[0] in queued]
    if failed:
        log.warning("replicas could not be deleted: %s", ", ".join(f"{t}-{p} on {b}" for t, p, b in failed))
        yield from move_and_send(context, failed, R.DELETION_INELIGIBLE)
        context.deletion_ineligible |= {replica[0] for replica in failed}
    if deleted:
        yield from move_and_send(context, deleted, R.DELETION_SUCCESSFUL)
    if failed or deleted:
        yield from resume_deletions(context)


def _complete_deletion(context: Context, topic: str) -> Steps[None]:
    yield Ignore((TopicNode.path(topic),))
    partitions = context.partitions_of([topic])
    yield from move_and_send(context, context.replicas_in(topic, R.DELETION_SUCCESSFUL), R.NONEXISTENT)
    nodes = [PartitionNode.path(*partition) for partition in partitions]
    nodes += [PartitionNode.parent(*partition) for partition in partitions]
    order = DeleteTopicNode.path(topic)
    below = [DeleteNode(path) for path in [*nodes, TopicNode.partitions_path(topic)]]
    (marked, *_) = yield Write([SetNode(order, None), *below])
    if marked.error == NO_NODE:
        # Somebody has removed the request, but the replicas are deleted already. The request is put back, to end with
        # the topic.
        (marked,) = yield Write([CreateNode(order)])
    yield from _delete_below(TopicNode.path(topic))
    # These three travel in one multi: a controller that dies leaves all of them or none. When the answer is lost and
    # they are sent again, somebody may have created a topic of that name and asked for its deletion since
    # (admin_znodes.py).
    last = (TopicNode.path(topic), EntityConfig.path("topics", topic))
    witness = (order, marked.version)
    yield Write([*(DeleteNode(path, witness=witness) for path in last), DeleteNode(order, marked.version)])
    context.forget_topic(topic)
    log.info("topic %s is deleted", topic)


def _delete_below(path: str) -> Steps[None]:
    """Deletes whatever is still below a path: znodes of other programs, or of a partition that the controller never
    saw."""
    levels = [[path]]
    while levels[-1]:
        names = yield Children(levels[-1])
        levels.append([f"{parent}/{name}" for parent, below in zip(levels[-1], names, strict=True) for name in below])
    below = [node for level in reversed(levels[1:]) for node in level]
    if below:
        yield Write([DeleteNode(node) for node in below])
