"""How a controller begins its term.

The order in `take_over` matters: the controller listens before it reads, tells every broker which brokers are alive
before it tells any of them who leads, and moves replicas before partitions. The znodes say what the predecessor left
half done.
"""

from __future__ import annotations

import logging

from kafkalike.cluster.znodes.admin import DeleteTopicNode, PreferredElectionNode, ReassignNode
from kafkalike.cluster.znodes.brokers import BrokerNode, LogDirEvent
from kafkalike.cluster.znodes.cluster import FeatureNode
from kafkalike.cluster.znodes.topics import ISR_CHANGES, TopicNode
from kafkalike.controller import leader_election, reassignment
from kafkalike.controller.admin_znodes import delete_names
from kafkalike.controller.broker_changes import read_brokers
from kafkalike.controller.context import Context, PartitionState, ReplicaState
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import (
    AwaitAnswer,
    Children,
    Connect,
    DeleteNode,
    Listen,
    Probe,
    PutFeatures,
    Read,
    Steps,
    Write,
)
from kafkalike.controller.leader_election import elect_and_compare, leaderless
from kafkalike.controller.partition_znodes import read_leaderships
from kafkalike.controller.replica_state_machine import move_replicas
from kafkalike.controller.topic_creation import NewId, load_topics
from kafkalike.controller.topic_deletion import resume_deletions
from kafkalike.controller.unclean_shutdown import remove_unclean_brokers

log = logging.getLogger(__name__)

P, R = PartitionState, ReplicaState

DIRECTORIES = (
    BrokerNode.directory(),
    TopicNode.directory(),
    DeleteTopicNode.directory(),
    LogDirEvent.directory(),
    ISR_CHANGES,
)


def take_over(context: Context, new_id: NewId) -> Steps[None]:
    """Everything a new controller does before it attends to events."""
    (features,) = yield Read([FeatureNode.path()])
    if features is None or not FeatureNode.is_current(features.data):
        yield PutFeatures(FeatureNode.encode())
    yield Listen(DIRECTORIES, (ReassignNode.path(), PreferredElectionNode.path()))
    yield from _forget_notifications(LogDirEvent.directory())
    yield from _forget_notifications(ISR_CHANGES)

    context.brokers = yield from read_brokers()
    refusing = yield Probe(tuple(sorted(context.brokers.keys() - {context.controller_id})))
    for broker_id in sorted(refusing):
        context.presumed_dead[broker_id] = context.brokers.pop(broker_id)
        log.warning("broker %d is registered, and nobody listens at its address: presumed dead", broker_id)
    if refusing:
        yield AwaitAnswer(tuple(sorted(refusing)))
    (topics,) = yield Children([TopicNode.directory()])
    partitions = yield from load_topics(context, sorted(topics), new_id)
    yield Listen(nodes=tuple(BrokerNode.path(broker_id) for broker_id in sorted(context.brokers)))
    yield from read_leaderships(context, partitions)
    yield from remove_unclean_brokers(context, context.brokers, context.brokers)
    for broker_id in sorted(context.brokers):
        yield Connect(broker_id)

    more_deletions = yield from _read_deletions(context)
    batch = Batch(context)
    batch.update_metadata(context.live_or_shutting_down, [])
    yield batch.send()
    # Each broker is told all of it by one request: no client shall hear in between that a partition has no leader, for
    # librdkafka does not ask again for a second.
    batch = Batch(context)
    batch.tell_everything(context.live_or_shutting_down)
    yield from _start_replicas(context, batch)
    yield from _start_partitions(context, batch)
    yield from reassignment.request_changed(context)
    yield from reassignment.resume(context)
    yield from resume_deletions(context)
    if more_deletions:
        yield from reassignment.deletions_changed(context, new_id)
    yield from leader_election.request_changed(context)
    yield from leader_election.begin_balance(context)


def _forget_notifications(directory: str) -> Steps[None]:
    (names,) = yield Children([directory])
    if names:
        yield Write([DeleteNode(f"{directory}/{name}") for name in sorted(names)])


def _read_deletions(context: Context) -> Steps[bool]:
    """Reads which topics are to be deleted; whether some of them are unknown, as they were created after topics were
    read."""
    (names,) = yield Children([DeleteTopicNode.directory()])
    if not context.deletion_enabled:
        yield from delete_names([DeleteTopicNode.path(name) for name in sorted(names)])
        return False
    context.topics_to_delete = {name for name in names if name in context.assignments}
    for topic in context.topics_to_delete:
        replicas = context.replicas_of_topic(topic)
        if any(not context.is_online(replica[2], replica[:2]) for replica in replicas):
            context.deletion_ineligible.add(topic)
    return not set(names) <= context.topics_to_delete


def _start_replicas(context: Context, batch: Batch) -> Steps[None]:
    online, offline = [], []
    for topic, p in context.all_partitions():
        for broker_id in context.replicas_of((topic, p)):
            replica = (topic, p, broker_id)
            if context.is_online(broker_id, (topic, p)):
                context.replica_states[replica] = R.ONLINE
                online.append(replica)
            else:
                # Replicas of topics that stay get this state too: from here they may become offline or online.
                context.replica_states[replica] = R.DELETION_INELIGIBLE
                offline.append(replica)
    yield from move_replicas(context, batch, online, R.ONLINE)
    yield from move_replicas(context, batch, offline, R.OFFLINE)


def _start_partitions(context: Context, batch: Batch) -> Steps[None]:
    for partition in context.all_partitions():
        leadership = context.leaderships.get(partition)
        if leadership is None:
            context.partition_states[partition] = P.NEW
        elif context.is_online(leadership.leader, partition):
            context.partition_states[partition] = P.ONLINE
        else:
            context.partition_states[partition] = P.OFFLINE
    yield from elect_and_compare(context, batch, leaderless(context))
