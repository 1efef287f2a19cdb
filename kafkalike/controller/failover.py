"""How a controller begins its term, and what it does when brokers come and go.

The order of `take_over` matters: listen before reading, tell every broker who is alive before telling anybody who
leads, replicas before partitions. All that the predecessor left half done is found in the znodes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from kafkalike.cluster.znodes.admin import DELETE_TOPICS, DeleteTopicNode, PreferredElectionNode, ReassignNode
from kafkalike.cluster.znodes.brokers import BROKER_IDS, LOG_DIR_EVENTS, BrokerNode
from kafkalike.cluster.znodes.cluster import FeatureNode
from kafkalike.cluster.znodes.consumers import Garbage
from kafkalike.cluster.znodes.encoding import numbers
from kafkalike.cluster.znodes.topics import ISR_CHANGES, TOPICS, PartitionNode
from kafkalike.controller import leader_election, reassignment
from kafkalike.controller.admin_znodes import delete_names
from kafkalike.controller.changes import NewId, load_topics, moved, resume_deletions
from kafkalike.controller.context import Context, LiveBroker, Partition, PartitionState, ReplicaState
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import (
    AwaitAnswer,
    Children,
    Connect,
    DeleteNode,
    Disconnect,
    Ignore,
    Listen,
    Probe,
    PutFeatures,
    Read,
    Steps,
    Write,
)
from kafkalike.controller.transitions import (
    bring_online,
    ignore_or_end,
    leadership_of,
    move_partitions,
    move_replicas,
    shutdown_strategy,
)
from kafkalike.controller.unclean import compare, take_out

log = logging.getLogger(__name__)

P, R = PartitionState, ReplicaState

DIRECTORIES = (BROKER_IDS, TOPICS, DELETE_TOPICS, LOG_DIR_EVENTS, ISR_CHANGES)


# The term begins.


def take_over(context: Context, new_id: NewId) -> Steps[None]:
    """Everything a new controller does before it attends to events."""
    (features,) = yield Read([FeatureNode.path()])
    if features is None or not FeatureNode.is_current(features.data):
        yield PutFeatures(FeatureNode.encode())
    yield Listen(DIRECTORIES, (ReassignNode.path(), PreferredElectionNode.path()))
    yield from _forget_notifications(LOG_DIR_EVENTS)
    yield from _forget_notifications(ISR_CHANGES)

    context.brokers = yield from _read_brokers()
    refusing = yield Probe(tuple(sorted(context.brokers.keys() - {context.controller_id})))
    for broker_id in sorted(refusing):
        context.presumed_dead[broker_id] = context.brokers.pop(broker_id)
        log.warning("broker %d is registered, and nobody listens at its address: presumed dead", broker_id)
    if refusing:
        yield AwaitAnswer(tuple(sorted(refusing)))
    (topics,) = yield Children([TOPICS])
    partitions = yield from load_topics(context, sorted(topics), new_id)
    yield Listen(nodes=tuple(BrokerNode.path(broker_id) for broker_id in sorted(context.brokers)))
    yield from _read_leaderships(context, partitions)
    yield from take_out(context, context.brokers, context.brokers)
    for broker_id in sorted(context.brokers):
        yield Connect(broker_id)

    more_deletions = yield from _read_deletions(context)
    batch = Batch(context)
    batch.update_metadata(context.live_or_shutting_down, [])
    yield batch.send()
    # One letter to each broker for all of it: no client shall hear in between that a partition has no leader, for
    # librdkafka does not ask again for a second.
    batch = Batch(context)
    batch.tell_everything(context.live_or_shutting_down)
    yield from _start_replicas(context, batch)
    yield from _start_partitions(context, batch)
    yield from reassignment.node_changed(context)
    yield from reassignment.resume(context)
    yield from resume_deletions(context)
    if more_deletions:
        yield from reassignment.deletions_changed(context, new_id)
    yield from leader_election.node_changed(context)
    yield from leader_election.begin_balance(context)


def _forget_notifications(directory: str) -> Steps[None]:
    (names,) = yield Children([directory])
    if names:
        yield Write([DeleteNode(f"{directory}/{name}") for name in sorted(names)])


def _read_brokers() -> Steps[dict[int, LiveBroker]]:
    (names,) = yield Children([BROKER_IDS])
    ids = numbers(names)
    nodes = (yield Read([BrokerNode.path(broker_id) for broker_id in ids])) if ids else []
    brokers = {}
    for broker_id, found in zip(ids, nodes, strict=True):
        if found is None:
            continue
        try:
            node = BrokerNode.decode(broker_id, found.data)
            if not node.endpoints:
                raise Garbage(BrokerNode.path(broker_id), "no endpoints")
        except Garbage as error:
            log.warning("%s", error)
            continue
        brokers[broker_id] = LiveBroker(broker_id, found.czxid, node)
    return brokers


def _read_leaderships(context: Context, partitions: Sequence[Partition]) -> Steps[None]:
    nodes = (yield Read([PartitionNode.path(*partition) for partition in partitions])) if partitions else []
    for partition, found in zip(partitions, nodes, strict=True):
        if found is None:
            continue
        try:
            node = PartitionNode.decode(*partition, found.data)
        except Garbage:
            # Said when a leader is sought, which will be in vain.
            continue
        if node.controller_epoch > context.epoch:
            yield from ignore_or_end(partition, node)
            continue
        context.leaderships[partition] = leadership_of(node, found.version)


def _read_deletions(context: Context) -> Steps[bool]:
    """Whether there are orders for topics that are not known: they may have been made since topics were read."""
    (names,) = yield Children([DELETE_TOPICS])
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
                # Not only of topics that are being deleted: from here it may become offline or online.
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
    yield from _elect(context, batch, _leaderless(context))


def elect_where_needed(context: Context) -> Steps[None]:
    """Tries to find a leader for every new or offline partition of a topic that stays."""
    wanting = _leaderless(context)
    if wanting:
        yield from _elect(context, Batch(context), wanting)


def _leaderless(context: Context) -> list[Partition]:
    return [p for p in context.partitions_in(P.NEW, P.OFFLINE) if not context.is_being_deleted(p[0])]


def _elect(context: Context, batch: Batch, partitions: list[Partition]) -> Steps[None]:
    yield from bring_online(context, batch, partitions)
    yield batch.send()
    yield from compare(context, partitions)


# Brokers.


def brokers_changed(context: Context) -> Steps[None]:
    """The children of /brokers/ids are others. A broker that is there with a newer czxid was away in between."""
    found = yield from _read_brokers()
    buried = []
    for broker_id, presumed in list(context.presumed_dead.items()):
        if broker_id in found and found[broker_id].epoch == presumed.epoch:
            del found[broker_id]
        else:
            del context.presumed_dead[broker_id]
            buried.append(broker_id)
    new = sorted(found.keys() - context.brokers.keys())
    dead = sorted(context.brokers.keys() - found.keys())
    bounced = sorted(i for i in found.keys() & context.brokers.keys() if found[i].epoch > context.brokers[i].epoch)
    if buried:
        # Who is only presumed dead is still in everybody's metadata (control_requests.py).
        batch = Batch(context)
        batch.update_metadata(context.live_or_shutting_down, [])
        yield batch.send()
        # What a presumption does not allow may be allowed now.
        yield from elect_where_needed(context)
    if not (new or dead or bounced):
        return
    log.info("brokers: new %s, gone %s, back %s", new, dead, bounced)
    for broker_id in bounced + dead:
        yield Disconnect(broker_id)
    yield from take_out(context, found, new + bounced)
    for broker_id in new + bounced:
        yield Connect(broker_id)
    context.brokers.update({broker_id: found[broker_id] for broker_id in new})
    if new:
        yield from _brokers_started(context, new)
    if bounced:
        for broker_id in bounced:
            del context.brokers[broker_id]
        yield from _brokers_failed(context, bounced)
        context.brokers.update({broker_id: found[broker_id] for broker_id in bounced})
        yield from _brokers_started(context, bounced)
    if dead:
        for broker_id in dead:
            del context.brokers[broker_id]
        yield from _brokers_failed(context, dead)


def presume_dead(context: Context, broker_id: int, epoch: int) -> Steps[None]:
    """Nobody listens any more where a broker was: it is treated as dead, though its session may last for a while,
    until it answers again or its registration is another. Only an unclean election is not made for that."""
    known = context.brokers.get(broker_id)
    if known is None or known.epoch != epoch or broker_id == context.controller_id:
        return
    log.warning("broker %d is presumed dead: its connection ended and nobody listens at its address", broker_id)
    yield Disconnect(broker_id)
    context.presumed_dead[broker_id] = context.brokers.pop(broker_id)
    yield from _brokers_failed(context, [broker_id])
    yield AwaitAnswer((broker_id,))


def broker_answers(context: Context, broker_id: int, epoch: int) -> Steps[None]:
    """A broker that was presumed dead is not."""
    presumed = context.presumed_dead.get(broker_id)
    if presumed is None or presumed.epoch != epoch:
        return
    log.info("broker %d, presumed dead, answers", broker_id)
    context.brokers[broker_id] = context.presumed_dead.pop(broker_id)
    yield from take_out(context, context.brokers, [broker_id])
    yield Connect(broker_id)
    yield from _brokers_started(context, [broker_id])


def _brokers_started(context: Context, broker_ids: Sequence[int]) -> Steps[None]:
    started = set(broker_ids)
    for broker_id in started:
        context.offline_replicas.pop(broker_id, None)
    batch = Batch(context)
    batch.update_metadata(context.live_or_shutting_down - started, [])
    yield batch.send()
    batch = Batch(context)
    batch.tell_everything(started)
    yield batch.send()
    yield Listen(nodes=tuple(BrokerNode.path(broker_id) for broker_id in broker_ids))
    replicas = context.replicas_on(started)
    for replica in replicas:
        # A topic can have been created with a replica on a broker that was never seen.
        context.replica_states.setdefault(replica, R.NEW)
    yield from moved(context, replicas, R.ONLINE)
    yield from elect_where_needed(context)
    yield from reassignment.resume(context, started)
    yield from _delete_what_is_back(context, {replica[0] for replica in replicas})


def _delete_what_is_back(context: Context, topics: Collection[str]) -> Steps[None]:
    """Replicas of these topics are there again: deletions that wait for them go on."""
    resumable = {topic for topic in topics if context.is_being_deleted(topic)}
    if resumable:
        context.deletion_ineligible -= resumable
        yield from resume_deletions(context)


def _brokers_failed(context: Context, broker_ids: Sequence[int]) -> Steps[None]:
    for broker_id in broker_ids:
        context.offline_replicas.pop(broker_id, None)
        context.shutting_down.discard(broker_id)
    yield Ignore(tuple(BrokerNode.path(broker_id) for broker_id in broker_ids))
    changed = yield from _replicas_failed(context, context.replicas_on(broker_ids))
    if not changed:
        batch = Batch(context)
        batch.update_metadata(context.live_or_shutting_down, [])
        yield batch.send()


def _replicas_failed(context: Context, replicas: Sequence[tuple[str, int, int]]) -> Steps[bool]:
    """Replicas are gone: their partitions get other leaders, then the ISRs shrink."""
    deleted = [replica for replica in replicas if context.is_being_deleted(replica[0])]
    kept = [replica for replica in replicas if not context.is_being_deleted(replica[0])]
    leaderless = []
    for topic, p, broker_id in kept:
        leadership = context.leaderships.get((topic, p))
        if leadership is not None and leadership.leader == broker_id:
            leaderless.append((topic, p))
    move_partitions(context, leaderless, P.OFFLINE)
    yield from elect_where_needed(context)
    yield from moved(context, kept, R.OFFLINE)
    stuck = {
        state: [replica for replica in deleted if context.replica_state(replica) is state]
        for state in (R.OFFLINE, R.DELETION_STARTED)
    }
    for replicas_in_state in stuck.values():
        yield from moved(context, replicas_in_state, R.DELETION_INELIGIBLE)
    context.deletion_ineligible |= {replica[0] for replica in deleted}
    return bool(leaderless or kept)


def broker_modified(context: Context, broker_id: int) -> Steps[None]:
    """A registration was rewritten: new endpoints are told to everybody. A new czxid is not this, but a new start."""
    known = context.brokers.get(broker_id)
    found = (yield from _read_brokers()).get(broker_id)
    if known is None or found is None or found.epoch != known.epoch or found.node.endpoints == known.node.endpoints:
        return
    context.brokers[broker_id] = found
    batch = Batch(context)
    batch.update_metadata(context.live_or_shutting_down, [])
    yield batch.send()


def shut_down(context: Context, broker_id: int) -> Steps[list[Partition]]:
    """A broker asks to leave: its leaderships go elsewhere, its replicas leave the ISRs. Gives what it still leads."""
    context.shutting_down.add(broker_id)
    concerned = []
    for topic, p, _ in context.replicas_on([broker_id]):
        several = len(context.replicas_of((topic, p))) > 1
        if several and (topic, p) in context.leaderships and not context.is_being_deleted(topic):
            concerned.append((topic, p))
    led = [partition for partition in concerned if context.leaderships[partition].leader == broker_id]
    followed = [partition for partition in concerned if context.leaderships[partition].leader != broker_id]
    if led:
        batch = Batch(context)
        yield from bring_online(context, batch, led, shutdown_strategy(context))
        yield batch.send()
    if followed:
        batch = Batch(context)
        for partition in followed:
            batch.stop_replica([broker_id], partition, delete=False)
        yield batch.send()
        yield from moved(context, [(*partition, broker_id) for partition in followed], R.OFFLINE)
    return [partition for partition in led if context.leaderships[partition].leader == broker_id]


# Notifications and answers.


def log_dir_answered(
    context: Context, broker_id: int, broker_epoch: int, failed: Iterable[Partition], fine: Iterable[Partition]
) -> Steps[None]:
    """A broker's answer to LeaderAndIsr says which replicas lie on a log directory that has failed, in that life."""
    known = context.brokers.get(broker_id)
    if known is None or known.epoch != broker_epoch:
        return
    offline = context.offline_replicas.setdefault(broker_id, set())
    before = set(offline)
    offline.difference_update(fine)
    offline.update(failed)
    newly = sorted(offline - before)
    if newly:
        log.warning("broker %d has lost the directories of %d replicas", broker_id, len(newly))
        yield from _replicas_failed(context, [(*partition, broker_id) for partition in newly])
    back = [partition for partition in sorted(before - offline) if not context.is_being_deleted(partition[0])]
    if back:
        log.info("broker %d has %d replicas again", broker_id, len(back))
        replicas = [(*partition, broker_id) for partition in back]
        yield from moved(context, [r for r in replicas if context.replica_state(r) is R.OFFLINE], R.ONLINE)
        yield from elect_where_needed(context)
    yield from _delete_what_is_back(context, {topic for topic, _ in before - offline})


def log_dirs_failed(context: Context) -> Steps[None]:
    """Brokers say that they lost a directory, or have again what they lacked: asking for all their replicas is how to
    learn which."""
    (names,) = yield Children([LOG_DIR_EVENTS])
    paths = [f"{LOG_DIR_EVENTS}/{name}" for name in sorted(names)]
    nodes = (yield Read(paths)) if paths else []
    broker_ids = {_broker_of(node.data) for node in nodes if node is not None}
    replicas = context.replicas_on(i for i in broker_ids if i in context.brokers)
    batch = Batch(context)
    yield from move_replicas(context, batch, [r for r in replicas if context.replica_state(r) is R.ONLINE], R.ONLINE)
    for topic, p, broker_id in replicas:
        if (topic, p) in context.offline_replicas.get(broker_id, ()) and (topic, p) in context.leaderships:
            batch.leader_and_isr([broker_id], (topic, p), is_new=False)
    yield batch.send()
    if paths:
        yield Write([DeleteNode(path) for path in paths])


def isr_changed(context: Context) -> Steps[None]:
    """Leaders of brokers before 2.7 write their ISR themselves and say so here."""
    (names,) = yield Children([ISR_CHANGES])
    paths = [f"{ISR_CHANGES}/{name}" for name in sorted(names)]
    if not paths:
        return
    nodes = yield Read(paths)
    changed = sorted({p for node in nodes if node is not None for p in _partitions_of(node.data)})
    known = [partition for partition in changed if partition in context.leaderships]
    yield from _read_leaderships(context, known)
    batch = Batch(context)
    batch.update_metadata(context.live_or_shutting_down, known)
    yield batch.send()
    yield Write([DeleteNode(path) for path in paths])
    yield from reassignment.isr_grew(context, known)


def _broker_of(data: bytes | None) -> int:
    value = _json(data).get("broker")
    return value if isinstance(value, int) else -1


def _partitions_of(data: bytes | None) -> list[Partition]:
    entries = _json(data).get("partitions")
    return [
        (entry["topic"], entry["partition"])
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("topic"), str) and isinstance(entry.get("partition"), int)
    ]


def _json(data: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        log.warning("a notification that is no JSON is dropped: %.80r", data)
        return {}
    return value if isinstance(value, dict) else {}
