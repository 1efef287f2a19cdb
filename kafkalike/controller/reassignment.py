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
    B7      out of /admin/reassign_partitions, B8 told to everybody

Partitions that are moved together go through each phase together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping

from kafkalike.cluster import znode_sizes
from kafkalike.cluster.znodes.admin import ReassignNode
from kafkalike.cluster.znodes.encoding import Garbage, decode_or_none
from kafkalike.cluster.znodes.topics import Assignment, TopicNode
from kafkalike.controller import election_strategies, topic_deletion
from kafkalike.controller.admin_znodes import delete_if_unchanged
from kafkalike.controller.context import Context, Partition, Replica, ReplicaState
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import BAD_VERSION, Pause, Read, SetNode, Steps, Write, Written, slices
from kafkalike.controller.partition_state_machine import bring_online
from kafkalike.controller.partition_znodes import raise_leader_epochs
from kafkalike.controller.replica_state_machine import move_and_send
from kafkalike.controller.topic_creation import NewId
from kafkalike.errors import Error, KafkaError

log = logging.getLogger(__name__)

R = ReplicaState

# The wanted replicas of each partition, or None to cancel its reassignment.
Wanted = Mapping[Partition, tuple[int, ...] | None]
Assignments = dict[Partition, Assignment]
Failed = dict[Partition, KafkaError]


def reassign(context: Context, wanted: Wanted) -> Steps[dict[Partition, KafkaError | None]]:
    """Carries out AlterPartitionReassignments; gives the error of each partition."""
    results: dict[Partition, KafkaError | None] = dict.fromkeys(wanted)
    assignments: Assignments = {}
    for some in slices(list(wanted)):
        for partition in some:
            try:
                assignments[partition] = _wanted_assignment(context, partition, wanted[partition])
            except KafkaError as error:
                results[partition] = error
        yield Pause()
    too_large = _too_large(context, assignments)
    assignments = {partition: new for partition, new in assignments.items() if partition not in too_large}
    results |= too_large
    yield from _remove_from_request(context, dict.fromkeys(assignments))
    failed = yield from _advance(context, assignments)
    return results | failed


def _wanted_assignment(context: Context, partition: Partition, target: tuple[int, ...] | None) -> Assignment:
    """The assignment that a partition is to have. Kafka's checks, in its order and its words."""
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


def _too_large(context: Context, assignments: Assignments) -> Failed:
    """The partitions of topics whose znode could not hold all the wanted assignments."""
    failed: Failed = {}
    changed: dict[str, dict[int, Assignment]] = {}
    for (topic, number), assignment in assignments.items():
        changed.setdefault(topic, {})[number] = assignment
    for topic, wanted in changed.items():
        try:
            znode_sizes.check_assigned(topic, context.assignments[topic] | wanted)
        except KafkaError as error:
            failed |= {(topic, number): error for number in wanted}
    return failed


def _refused(why: str) -> KafkaError:
    return KafkaError(Error.INVALID_REPLICA_ASSIGNMENT, why)


# The phases.


def _advance(context: Context, assignments: Assignments) -> Steps[Failed]:
    """Takes the reassignment of partitions as far as it can go now. Gives the partitions that failed, and why."""
    failed: Failed = {}
    for some in slices(list(assignments)):
        failed |= yield from _advance_together(context, {partition: assignments[partition] for partition in some})
    return failed


def _advance_together(context: Context, assignments: Assignments) -> Steps[Failed]:
    """Takes partitions through the phases side by side: each phase is one write or one batch of requests for all."""
    before = {partition: context.assignment(partition) for partition in assignments}
    changed = {partition: new for partition, new in assignments.items() if before[partition] != new}
    failed: Failed = yield from _write_assignments(context, changed)
    unwanted: list[Replica] = []
    for partition, new in changed.items():
        if partition not in failed:
            known = before[partition]
            context.set_assignment(partition, new)
            log.info("partition %s-%d is moved from %s to %s", *partition, list(known.origin), list(new.target))
            unwanted += [(*partition, r) for r in known.replicas if r not in new.replicas]
    yield from _remove(context, unwanted)
    going = {partition: new for partition, new in assignments.items() if partition not in failed}
    complete = {partition: new for partition, new in going.items() if _is_complete(context, partition, new)}
    under_way = {partition: new for partition, new in going.items() if partition not in complete}
    yield from _send_new_epochs(context, under_way)
    added = [(*partition, r) for partition, new in under_way.items() for r in new.adding]
    yield from move_and_send(context, [r for r in added if context.replica_state(r) is R.NONEXISTENT], R.NEW)
    failed |= yield from _complete(context, complete)
    return failed


def _is_complete(context: Context, partition: Partition, assignment: Assignment) -> bool:
    leadership = context.leaderships.get(partition)
    # While logs are to be compared, no replica is known to have all records.
    in_sync = leadership is not None and set(assignment.target) <= set(leadership.node.trusted)
    return in_sync or not assignment.being_reassigned


def _complete(context: Context, assignments: Assignments) -> Steps[Failed]:
    if not assignments:
        return {}
    yield from move_and_send(
        context, [(*p, r) for p, assignment in assignments.items() for r in assignment.adding], R.ONLINE
    )
    final = {partition: Assignment(assignment.target) for partition, assignment in assignments.items()}
    led: Assignments = {}
    leaderless: list[Partition] = []
    for partition, assignment in final.items():
        context.set_assignment(partition, assignment)
        leader = context.leaderships[partition].leader
        if leader in assignment.replicas and context.is_online(leader, partition):
            led[partition] = assignment
        else:
            leaderless.append(partition)
    yield from _send_new_epochs(context, led)
    if leaderless:
        batch = Batch(context)
        yield from bring_online(
            context,
            batch,
            leaderless,
            lambda partition, state: election_strategies.reassign(
                final[partition].replicas, state.trusted, lambda r: context.is_online(r, partition)
            ),
        )
        yield batch.send()
    yield from _remove(context, [(*p, r) for p, assignment in assignments.items() for r in assignment.removing])
    failed = yield from _write_assignments(context, final)
    done = [partition for partition in final if partition not in failed]
    yield from _remove_from_request(context, {partition: final[partition].replicas for partition in done})
    batch = Batch(context)
    batch.update_metadata(context.live_or_shutting_down, done)
    yield batch.send()
    for partition in done:
        log.info("partition %s-%d is on %s now", *partition, list(final[partition].replicas))
    return failed


def _send_new_epochs(context: Context, assignments: Assignments) -> Steps[None]:
    """Raises leader epochs, and tells the origin's and the added replicas, which are created where they are missing."""
    raised = (yield from raise_leader_epochs(context, list(assignments))) if assignments else ()
    batch = Batch(context)
    for partition, assignment in assignments.items():
        if partition in raised:
            batch.leader_and_isr(assignment.origin, partition, is_new=False)
            batch.leader_and_isr(assignment.adding, partition, is_new=True)
    if raised:
        yield batch.send()


def _remove(context: Context, replicas: list[Replica]) -> Steps[None]:
    """Deletes replicas, and does not wait for the responses: one that cannot be deleted now is a stray log."""
    for state in (R.OFFLINE, R.DELETION_STARTED, R.DELETION_SUCCESSFUL, R.NONEXISTENT):
        yield from move_and_send(context, [r for r in replicas if context.replica_state(r) is not R.NONEXISTENT], state)


def _write_assignments(context: Context, assignments: Assignments) -> Steps[Failed]:
    """Changes partitions in their topics' znodes; all other partitions there stay, also those that the context
    lacks."""
    failed: Failed = {}
    remaining: dict[str, dict[int, Assignment]] = {}
    for (topic, number), assignment in assignments.items():
        remaining.setdefault(topic, {})[number] = assignment
    while remaining:
        found = yield Read([TopicNode.path(topic) for topic in remaining])
        writes: dict[str, SetNode] = {}
        for (topic, wanted), node in zip(remaining.items(), found, strict=True):
            try:
                known = TopicNode.decode(node.data, topic) if node is not None else None
            except Garbage as garbage:
                failed |= _all_of(topic, wanted, Error.UNKNOWN_SERVER_ERROR, str(garbage))
                continue
            if known is None:
                gone = "The partition does not exist."
                failed |= _all_of(topic, wanted, Error.UNKNOWN_TOPIC_OR_PARTITION, gone)
                continue
            partitions = {**known.partitions, **wanted}
            if partitions != known.partitions:
                changed = TopicNode(partitions, context.topic_id(topic))
                writes[topic] = SetNode(TopicNode.path(topic), changed.encode(), node.version)
        results: list[Written] = (yield Write(list(writes.values()))) if writes else []
        again = {}
        for topic, written in zip(writes, results, strict=True):
            if written.error == BAD_VERSION:
                again[topic] = remaining[topic]
            elif written.error is not None:
                why = f"{TopicNode.path(topic)}: {written.error}"
                failed |= _all_of(topic, remaining[topic], Error.UNKNOWN_SERVER_ERROR, why)
        remaining = again
    return failed


def _all_of(topic: str, numbers: Iterable[int], error: Error, why: str) -> Failed:
    return {(topic, number): KafkaError(error, why) for number in numbers}


# When they go on.


def partitions_being_reassigned(context: Context) -> list[Partition]:
    """Every partition that is being reassigned."""
    return [p for p in context.all_partitions() if context.assignment(p).being_reassigned]


def resume(context: Context, broker_ids: Collection[int] | None = None) -> Steps[None]:
    """Goes on with reassignments, all of them, or those to one of these brokers."""
    yield from _advance_known(
        context,
        [
            partition
            for partition in partitions_being_reassigned(context)
            if broker_ids is None or not set(broker_ids).isdisjoint(context.assignment(partition).target)
        ],
    )


def deletions_changed(context: Context, new_id: NewId) -> Steps[None]:
    """The topics to be deleted have changed. Unlike in Kafka their deletion does not wait for their reassignments,
    which end with it."""
    before = set(context.topics_to_delete)
    yield from topic_deletion.deletions_changed(context, new_id)
    doomed = [topic for topic in context.topics_to_delete - before if context.being_reassigned(topic)]
    if doomed:
        yield from _remove_from_request(context, dict.fromkeys(context.partitions_of(doomed)))


def isr_grew(context: Context, partitions: Iterable[Partition]) -> Steps[None]:
    """ISRs of these partitions have changed: reassignments may be complete."""
    complete = []
    for partition in partitions:
        assignment = context.assignment(partition)
        if assignment.being_reassigned and _is_complete(context, partition, assignment):
            complete.append(partition)
    yield from _advance_known(context, complete)


def _advance_known(context: Context, partitions: Iterable[Partition]) -> Steps[None]:
    assignments = {
        partition: context.assignment(partition)
        for partition in partitions
        if partition in context.leaderships and not context.is_being_deleted(partition[0])
    }
    failed = yield from _advance(context, assignments)
    for partition, error in failed.items():
        log.error("partition %s-%d cannot be moved on: %s", *partition, error.message)


# /admin/reassign_partitions


def request_changed(context: Context) -> Steps[None]:
    """An old tool asks for reassignments. Its znode goes when all of them are complete."""
    (found,) = yield Read([ReassignNode.path()])
    if found is None:
        return
    wanted = decode_or_none(ReassignNode, found.data)
    if wanted is None:
        yield from delete_if_unchanged({ReassignNode.path(): found})
        return
    refused: Failed = {}
    going, new = [], {}
    for partition, target in wanted.items():
        assignment = context.assignment(partition)
        try:
            doomed = context.is_being_deleted(partition[0])
            if assignment.being_reassigned and assignment.target == target and not doomed:
                going.append(partition)
            else:
                new[partition] = _wanted_assignment(context, partition, target)
        except KafkaError as error:
            refused[partition] = error
    refused |= _too_large(context, new)
    new = {partition: assignment for partition, assignment in new.items() if partition not in refused}
    yield from _advance_known(context, going)
    refused |= yield from _advance(context, new)
    for partition, problem in refused.items():
        log.warning("partition %s-%d in %s: %s", *partition, ReassignNode.path(), problem.message)
    if refused:
        yield from _remove_from_request(context, dict.fromkeys(refused))
    elif not wanted:
        yield from delete_if_unchanged({ReassignNode.path(): found})


def _remove_from_request(context: Context, done: Wanted) -> Steps[None]:
    """Takes partitions out of the old tool's znode, if they have this target there (None: whatever the target)."""
    (found,) = yield Read([ReassignNode.path()])
    wanted = decode_or_none(ReassignNode, found.data) if found is not None else None
    if wanted is None:
        return
    matches: Callable[[Partition], bool] = lambda p: p in done and done[p] in (None, wanted[p])  # noqa: E731
    kept = {partition: target for partition, target in wanted.items() if not matches(partition)}
    if len(kept) == len(wanted):
        return
    if kept:
        yield Write([SetNode(ReassignNode.path(), ReassignNode.encode(kept), found.version)])
    else:
        yield from delete_if_unchanged({ReassignNode.path(): found})
