"""Moving partitions to other brokers (KIP-455), as steps.

A partition's znode holds all its replicas (RS), those that are added (AR) and those that go (RR); without the added
ones they are the origin, without the removed ones the target. The topic's znode is final only when all is done, so
that a controller which dies on the way leaves to its successor what to go on with: until every target replica is in
sync nothing but the assignment has changed, and what comes then can be repeated.

    U       the wanted assignment is written; replicas that are wanted no longer are removed
    A1, A2  the leader epoch grows, origin and added replicas are told; the added ones are made
            until every target replica is in the ISR
    B1, B2  added replicas are online; the target is the assignment, in memory
    B3      another leader if the present one is not a target, else a greater leader epoch
    B4, B5  the removed replicas leave the ISR and are deleted
    B6      the target is the assignment, in the znode
    B7      out of /admin/reassign_partitions, B8 told to everybody, B9 deletions of the topic go on
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping

from kafkalike.cluster.znodes import Assignment, Garbage, ReassignNode, TopicNode
from kafkalike.controller import elections
from kafkalike.controller.changes import moved, resume_deletions
from kafkalike.controller.context import Context, Partition, ReplicaState
from kafkalike.controller.effects import BAD_VERSION, DeleteNode, Read, SetNode, Steps, Write, Written
from kafkalike.controller.requests import Batch
from kafkalike.controller.transitions import bring_online, raise_leader_epoch
from kafkalike.errors import Error, KafkaError

log = logging.getLogger(__name__)

R = ReplicaState

# Partition -> the wanted replicas, or None to call the move off.
Wanted = Mapping[Partition, tuple[int, ...] | None]


def reassign(context: Context, wanted: Wanted) -> Steps[dict[Partition, KafkaError | None]]:
    """What AlterPartitionReassignments asks for; the error of each partition."""
    results: dict[Partition, KafkaError | None] = {}
    for partition, target in wanted.items():
        try:
            assignment = _wanted_assignment(context, partition, target)
            yield from _strike_from_node(context, {partition: None})
            yield from _advance(context, partition, assignment)
            results[partition] = None
        except KafkaError as error:
            results[partition] = error
    return results


def _wanted_assignment(context: Context, partition: Partition, target: tuple[int, ...] | None) -> Assignment:
    """Kafka's checks, in its order and its words."""
    known = context.assignment(partition)
    if target is not None:
        shown = ",".join(map(str, target))
        if not target:
            raise _refused("Empty replica list specified in partition reassignment.")
        if len(set(target)) != len(target):
            raise _refused(f"Duplicate replica ids in partition reassignment replica list: {shown}")
        if min(target) < 0:
            raise _refused(f"Invalid broker id in replica list: {shown}")
        if known.replicas:
            adding = known.reassigned(target).adding
            if not set(adding) <= context.live:
                raise _refused(
                    "Replica assignment has brokers that are not alive. Replica list: "
                    f"{','.join(map(str, adding))}, live broker list: {','.join(map(str, sorted(context.live)))}"
                )
    elif not known.being_reassigned:
        raise KafkaError(Error.NO_REASSIGNMENT_IN_PROGRESS)
    if not known.replicas or context.is_being_deleted(partition[0]):
        raise KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.")
    if partition not in context.leaderships:
        raise KafkaError(Error.UNKNOWN_SERVER_ERROR, "The partition has no leader yet.")
    return known.reassigned(known.origin if target is None else target)


def _refused(why: str) -> KafkaError:
    return KafkaError(Error.INVALID_REPLICA_ASSIGNMENT, why)


# The phases.


def _advance(context: Context, partition: Partition, assignment: Assignment) -> Steps[None]:
    """Takes one partition as far as it can go now."""
    context.deletion_ineligible |= {partition[0]} & context.topics_to_delete
    known = context.assignment(partition)
    if known != assignment:
        yield from _write_assignment(context, partition, assignment)
        context.set_assignment(partition, assignment)
        log.info("partition %s-%d is moved from %s to %s", *partition, list(known.origin), list(assignment.target))
        yield from _remove(context, partition, [r for r in known.replicas if r not in assignment.replicas])
    if _is_complete(context, partition, assignment):
        yield from _complete(context, partition, assignment)
        return
    yield from _tell(context, partition, assignment)
    new = [(*partition, r) for r in assignment.adding if context.replica_state((*partition, r)) is R.NONEXISTENT]
    yield from moved(context, new, R.NEW)


def _is_complete(context: Context, partition: Partition, assignment: Assignment) -> bool:
    leadership = context.leaderships.get(partition)
    # While logs are to be compared, nobody is known to have everything.
    in_sync = leadership is not None and set(assignment.target) <= set(leadership.node.trusted)
    return in_sync or not assignment.being_reassigned


def _complete(context: Context, partition: Partition, assignment: Assignment) -> Steps[None]:
    yield from moved(context, [(*partition, r) for r in assignment.adding], R.ONLINE)
    final = Assignment(assignment.target)
    context.set_assignment(partition, final)
    leader = context.leaderships[partition].leader
    if leader in final.replicas and context.is_online(leader, partition):
        yield from _tell(context, partition, final)
    else:
        batch = Batch(context)
        yield from bring_online(
            context,
            batch,
            [partition],
            lambda partition, state: elections.reassign(
                final.replicas, state.trusted, lambda r: context.is_online(r, partition)
            ),
        )
        yield batch.send()
    yield from _remove(context, partition, assignment.removing)
    yield from _write_assignment(context, partition, final)
    yield from _strike_from_node(context, {partition: final.replicas})
    batch = Batch(context)
    batch.update_metadata(context.live_or_shutting_down, [partition])
    yield batch.send()
    log.info("partition %s-%d is on %s now", *partition, list(final.replicas))
    if context.is_being_deleted(partition[0]) and not context.being_reassigned(partition[0]):
        context.deletion_ineligible.discard(partition[0])
        yield from resume_deletions(context)


def _tell(context: Context, partition: Partition, assignment: Assignment) -> Steps[None]:
    """A greater leader epoch, told to the origin and to the added replicas, which are made where they are missing."""
    if (yield from raise_leader_epoch(context, partition)):
        batch = Batch(context)
        batch.leader_and_isr(assignment.origin, partition, is_new=False)
        batch.leader_and_isr(assignment.adding, partition, is_new=True)
        yield batch.send()


def _remove(context: Context, partition: Partition, broker_ids: Iterable[int]) -> Steps[None]:
    """Nobody waits for the answers: a replica that cannot be deleted now is a stray that nobody counts on."""
    replicas = [(*partition, r) for r in broker_ids]
    for state in (R.OFFLINE, R.DELETION_STARTED, R.DELETION_SUCCESSFUL, R.NONEXISTENT):
        yield from moved(context, [r for r in replicas if context.replica_state(r) is not R.NONEXISTENT], state)


def _write_assignment(context: Context, partition: Partition, assignment: Assignment) -> Steps[None]:
    """Changes one partition in the topic's znode; the others are as they are there, which may be more than we know."""
    topic, number = partition
    while True:
        (found,) = yield Read([TopicNode.path(topic)])
        try:
            node = TopicNode.decode(topic, found.data) if found is not None else None
        except Garbage as error:
            raise KafkaError(Error.UNKNOWN_SERVER_ERROR, str(error)) from None
        if found is None or node is None:
            raise KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.")
        if node.partitions.get(number) == assignment:
            return
        changed = TopicNode({**node.partitions, number: assignment}, context.topic_id(topic))
        results: list[Written] = yield Write([SetNode(TopicNode.path(topic), changed.encode(), found.version)])
        if results[0].error is None:
            return
        if results[0].error != BAD_VERSION:
            raise KafkaError(Error.UNKNOWN_SERVER_ERROR, f"{TopicNode.path(topic)}: {results[0].error}")


# When they go on.


def going_on(context: Context) -> list[Partition]:
    """Every partition that is on its way."""
    return [p for p in context.all_partitions() if context.assignment(p).being_reassigned]


def resume(context: Context, broker_ids: Collection[int] | None = None) -> Steps[None]:
    """Goes on with what was begun, everywhere, or where the target has one of these brokers."""
    for partition in going_on(context):
        assignment = context.assignment(partition)
        if broker_ids is None or not set(broker_ids).isdisjoint(assignment.target):
            yield from _go_on(context, partition, assignment)


def isr_grew(context: Context, partitions: Iterable[Partition]) -> Steps[None]:
    """Other replicas are in sync: a move may be complete."""
    for partition in partitions:
        assignment = context.assignment(partition)
        if assignment.being_reassigned and _is_complete(context, partition, assignment):
            yield from _go_on(context, partition, assignment)


def _go_on(context: Context, partition: Partition, assignment: Assignment) -> Steps[None]:
    if partition not in context.leaderships or context.is_being_deleted(partition[0]):
        return
    try:
        yield from _advance(context, partition, assignment)
    except KafkaError as error:
        log.error("partition %s-%d cannot be moved on: %s", *partition, error.message)


# /admin/reassign_partitions


def node_changed(context: Context) -> Steps[None]:
    """An old tool has written what is to be moved; the node is gone when all of it is done."""
    (found,) = yield Read([ReassignNode.PATH])
    if found is None:
        return
    try:
        wanted = ReassignNode.decode(found.data)
    except Garbage as error:
        log.warning("%s", error)
        yield Write([DeleteNode(ReassignNode.PATH)])
        return
    refused: dict[Partition, tuple[int, ...] | None] = {}
    for partition, target in wanted.items():
        assignment = context.assignment(partition)
        try:
            if assignment.being_reassigned and assignment.target == target:
                yield from _go_on(context, partition, assignment)
            else:
                yield from _advance(context, partition, _wanted_assignment(context, partition, target))
        except KafkaError as error:
            log.warning("partition %s-%d in %s: %s", *partition, ReassignNode.PATH, error.message)
            refused[partition] = None
    if refused:
        yield from _strike_from_node(context, refused)
    elif not wanted:
        yield Write([DeleteNode(ReassignNode.PATH)])


def _strike_from_node(context: Context, done: Wanted) -> Steps[None]:
    """Takes partitions out of the node, if they are there with this target (None: whatever the target)."""
    (found,) = yield Read([ReassignNode.PATH])
    if found is None:
        return
    try:
        wanted = ReassignNode.decode(found.data)
    except Garbage:
        return
    matches: Callable[[Partition], bool] = lambda p: p in done and done[p] in (None, wanted[p])  # noqa: E731
    kept = {partition: target for partition, target in wanted.items() if not matches(partition)}
    if len(kept) == len(wanted):
        return
    if kept:
        yield Write([SetNode(ReassignNode.PATH, ReassignNode.encode(kept), found.version)])
    else:
        yield Write([DeleteNode(ReassignNode.PATH)])
