"""What the controller does when brokers start, fail, come back, move to other addresses, or ask to stop."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.encoding import decode_or_none, numbers
from kafkalike.controller import reassignment
from kafkalike.controller.context import Context, LiveBroker, Partition, PartitionState, ReplicaState
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import AwaitAnswer, Children, Connect, Disconnect, Ignore, Listen, Read, Steps
from kafkalike.controller.leader_election import elect_where_needed
from kafkalike.controller.partition_state_machine import bring_online, move_partitions, shutdown_strategy
from kafkalike.controller.replica_state_machine import move_and_send
from kafkalike.controller.topic_deletion import resume_deletions
from kafkalike.controller.unclean_shutdown import remove_unclean_brokers

log = logging.getLogger(__name__)

P, R = PartitionState, ReplicaState


def read_brokers() -> Steps[dict[int, LiveBroker]]:
    (names,) = yield Children([BrokerNode.directory()])
    ids = numbers(names)
    nodes = (yield Read([BrokerNode.path(broker_id) for broker_id in ids])) if ids else []
    brokers = {}
    for broker_id, found in zip(ids, nodes, strict=True):
        if found is None:
            continue
        node = decode_or_none(BrokerNode, found.data, broker_id)
        if node is not None and node.endpoints:
            brokers[broker_id] = LiveBroker(broker_id, found.czxid, node)
        elif node is not None:
            log.warning("znode %s is ignored: no endpoints", BrokerNode.path(broker_id))
    return brokers


def brokers_changed(context: Context) -> Steps[None]:
    """The children of /brokers/ids have changed. A broker whose znode has a newer czxid has started again in
    between."""
    found = yield from read_brokers()
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
        # A broker that is only presumed dead is still in the metadata of all brokers (control_requests.py).
        batch = Batch(context)
        batch.update_metadata(context.live_or_shutting_down, [])
        yield batch.send()
        # An unclean election, which no presumption allows, may be allowed now.
        yield from elect_where_needed(context)
    if not (new or dead or bounced):
        return
    log.info("brokers: new %s, gone %s, back %s", new, dead, bounced)
    for broker_id in bounced + dead:
        yield Disconnect(broker_id)
    yield from remove_unclean_brokers(context, found, new + bounced)
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
    """Nobody listens any more at a broker's address. The controller treats the broker as dead, though its session may
    last for a while, until it answers again or registers anew; but it makes no unclean election for that."""
    known = context.brokers.get(broker_id)
    if known is None or known.epoch != epoch or broker_id == context.controller_id:
        return
    log.warning("broker %d is presumed dead: its connection ended and nobody listens at its address", broker_id)
    yield Disconnect(broker_id)
    context.presumed_dead[broker_id] = context.brokers.pop(broker_id)
    yield from _brokers_failed(context, [broker_id])
    yield AwaitAnswer((broker_id,))


def broker_answers(context: Context, broker_id: int, epoch: int) -> Steps[None]:
    """A broker that was presumed dead answers: it is live again."""
    presumed = context.presumed_dead.get(broker_id)
    if presumed is None or presumed.epoch != epoch:
        return
    log.info("broker %d, presumed dead, answers", broker_id)
    context.brokers[broker_id] = context.presumed_dead.pop(broker_id)
    yield from remove_unclean_brokers(context, context.brokers, [broker_id])
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
        # A topic can have been created with a replica on a broker that the controller has never seen.
        context.replica_states.setdefault(replica, R.NEW)
    yield from move_and_send(context, replicas, R.ONLINE)
    yield from elect_where_needed(context)
    yield from reassignment.resume(context, started)
    yield from resume_deletions_of(context, {replica[0] for replica in replicas})


def resume_deletions_of(context: Context, topics: Collection[str]) -> Steps[None]:
    """Goes on with the deletion of those of the topics that waited for replicas, for these are online again."""
    resumable = {topic for topic in topics if context.is_being_deleted(topic)}
    if resumable:
        context.deletion_ineligible -= resumable
        yield from resume_deletions(context)


def _brokers_failed(context: Context, broker_ids: Sequence[int]) -> Steps[None]:
    for broker_id in broker_ids:
        context.offline_replicas.pop(broker_id, None)
        context.shutting_down.discard(broker_id)
    yield Ignore(tuple(BrokerNode.path(broker_id) for broker_id in broker_ids))
    changed = yield from replicas_failed(context, context.replicas_on(broker_ids))
    if not changed:
        batch = Batch(context)
        batch.update_metadata(context.live_or_shutting_down, [])
        yield batch.send()


def replicas_failed(context: Context, replicas: Sequence[tuple[str, int, int]]) -> Steps[bool]:
    """Replicas have failed: their partitions get other leaders, then they leave the ISRs."""
    deleted = [replica for replica in replicas if context.is_being_deleted(replica[0])]
    kept = [replica for replica in replicas if not context.is_being_deleted(replica[0])]
    leaderless = []
    for topic, p, broker_id in kept:
        leadership = context.leaderships.get((topic, p))
        if leadership is not None and leadership.leader == broker_id:
            leaderless.append((topic, p))
    move_partitions(context, leaderless, P.OFFLINE)
    yield from elect_where_needed(context)
    yield from move_and_send(context, kept, R.OFFLINE)
    stuck = {
        state: [replica for replica in deleted if context.replica_state(replica) is state]
        for state in (R.OFFLINE, R.DELETION_STARTED)
    }
    for replicas_in_state in stuck.values():
        yield from move_and_send(context, replicas_in_state, R.DELETION_INELIGIBLE)
    context.deletion_ineligible |= {replica[0] for replica in deleted}
    return bool(leaderless or kept)


def broker_modified(context: Context, broker_id: int) -> Steps[None]:
    """A broker's registration was rewritten in place: all brokers are told its new endpoints."""
    known = context.brokers.get(broker_id)
    found = (yield from read_brokers()).get(broker_id)
    if known is None or found is None or found.epoch != known.epoch or found.node.endpoints == known.node.endpoints:
        return
    context.brokers[broker_id] = found
    batch = Batch(context)
    batch.update_metadata(context.live_or_shutting_down, [])
    yield batch.send()


def shut_down(context: Context, broker_id: int) -> Steps[list[Partition]]:
    """A broker asks to stop: other replicas get its leaderships, and its replicas leave the ISRs. Gives the partitions
    that it still leads."""
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
        yield from move_and_send(context, [(*partition, broker_id) for partition in followed], R.OFFLINE)
    return [partition for partition in led if context.leaderships[partition].leader == broker_id]
