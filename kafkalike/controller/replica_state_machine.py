"""The state machine of replicas: new, online, offline, and the states of their deletion.

A transition that is not in the table is logged and skipped; the other replicas go on. What has to be written is
written before the state in the context changes, and what brokers have to be told is put into the batch, which the
caller sends when all replicas of the step have changed their state.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import groupby

from kafkalike.controller.context import Context, Partition, Replica, ReplicaState
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import Steps
from kafkalike.controller.partition_znodes import remove_from_isr

log = logging.getLogger(__name__)

R = ReplicaState

# For each state, the states from which it may be entered.
REPLICA_PREVIOUS: dict[ReplicaState, frozenset[ReplicaState]] = {
    R.NEW: frozenset({R.NONEXISTENT}),
    R.ONLINE: frozenset({R.NEW, R.ONLINE, R.OFFLINE, R.DELETION_INELIGIBLE}),
    R.OFFLINE: frozenset({R.NEW, R.ONLINE, R.OFFLINE, R.DELETION_INELIGIBLE}),
    R.DELETION_STARTED: frozenset({R.OFFLINE}),
    R.DELETION_SUCCESSFUL: frozenset({R.DELETION_STARTED}),
    R.DELETION_INELIGIBLE: frozenset({R.OFFLINE, R.DELETION_STARTED}),
    R.NONEXISTENT: frozenset({R.DELETION_SUCCESSFUL}),
}


def move_replicas(context: Context, batch: Batch, replicas: Iterable[Replica], target: ReplicaState) -> Steps[None]:
    """Moves replicas to a state, broker by broker."""
    by_broker = sorted(replicas, key=lambda replica: replica[2])
    for broker_id, group in groupby(by_broker, key=lambda replica: replica[2]):
        legal = _legal_replicas(context, group, target)
        if not legal:
            continue
        partitions = [(topic, p) for topic, p, _ in legal]
        if target is R.NEW:
            _new_replicas(context, batch, broker_id, partitions)
        elif target is R.ONLINE:
            _online_replicas(context, batch, broker_id, partitions)
        elif target is R.OFFLINE:
            yield from _offline_replicas(context, batch, broker_id, partitions)
        else:
            for partition in partitions:
                context.replica_states[*partition, broker_id] = target
                if target is R.DELETION_STARTED:
                    batch.stop_replica([broker_id], partition, delete=True)
                elif target is R.NONEXISTENT:
                    context.set_assignment(partition, context.assignment(partition).without(broker_id))
                    del context.replica_states[*partition, broker_id]


def _legal_replicas(context: Context, replicas: Iterable[Replica], target: ReplicaState) -> list[Replica]:
    legal = []
    for replica in replicas:
        state = context.replica_state(replica)
        if state in REPLICA_PREVIOUS[target]:
            legal.append(replica)
        else:
            log.error("replica %s-%d on broker %d cannot go from %s to %s", *replica, state.value, target.value)
    return legal


def _new_replicas(context: Context, batch: Batch, broker_id: int, partitions: list[Partition]) -> None:
    for partition in partitions:
        leadership = context.leaderships.get(partition)
        if leadership is not None and leadership.leader == broker_id:
            log.error("replica %s-%d on broker %d cannot be new: it leads", *partition, broker_id)
            continue
        if leadership is not None:
            batch.leader_and_isr([broker_id], partition, is_new=True)
        context.replica_states[*partition, broker_id] = R.NEW


def _online_replicas(context: Context, batch: Batch, broker_id: int, partitions: list[Partition]) -> None:
    for partition in partitions:
        if context.replica_state((*partition, broker_id)) is R.NEW:
            assignment = context.assignment(partition)
            if broker_id not in assignment.replicas:
                log.error("replica %s-%d on broker %d is online and was not assigned", *partition, broker_id)
        elif partition in context.leaderships:
            batch.leader_and_isr([broker_id], partition, is_new=False)
        context.replica_states[*partition, broker_id] = R.ONLINE


def _offline_replicas(context: Context, batch: Batch, broker_id: int, partitions: list[Partition]) -> Steps[None]:
    for partition in partitions:
        batch.stop_replica([broker_id], partition, delete=False)
    led = [partition for partition in partitions if partition in context.leaderships]
    current = yield from remove_from_isr(context, broker_id, led)
    for partition in current:
        if not context.is_being_deleted(partition[0]):
            others = [r for r in context.replicas_of(partition) if r != broker_id]
            batch.leader_and_isr(others, partition, is_new=False)
    # All brokers have been told that a topic is being deleted: it is not in their metadata any more.
    staying = [partition for partition in partitions if not context.is_being_deleted(partition[0])]
    if staying:
        batch.update_metadata(context.live_or_shutting_down, staying)
    for partition in partitions:
        context.replica_states[*partition, broker_id] = R.OFFLINE


def move_and_send(context: Context, replicas: Iterable[Replica], target: ReplicaState) -> Steps[None]:
    """Moves replicas to a state, and sends the control requests that this takes."""
    replicas = list(replicas)
    if replicas:
        batch = Batch(context)
        yield from move_replicas(context, batch, replicas, target)
        yield batch.send()
