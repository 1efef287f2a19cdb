"""When leaders are elected: because ElectLeaders or an old tool's znode /admin/preferred_replica_election asks for it,
because partitions have no leader, or because too many leaders are not the preferred ones
(auto.leader.rebalance.enable).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from kafkalike.cluster.znodes.admin import PreferredElectionNode
from kafkalike.cluster.znodes.encoding import decode_or_none
from kafkalike.cluster.znodes.topics import NO_LEADER
from kafkalike.controller.admin_znodes import delete_if_unchanged
from kafkalike.controller.context import Context, Partition, PartitionState
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import SLICE, Later, Pause, Read, Steps, slices
from kafkalike.controller.partition_state_machine import bring_online, offline_strategy, preferred_strategy
from kafkalike.controller.reassignment import partitions_being_reassigned
from kafkalike.controller.unclean_recovery import compare
from kafkalike.errors import Error, KafkaError

log = logging.getLogger(__name__)

PREFERRED, UNCLEAN = 0, 1
# The error for each kind of election, and Kafka's name for its strategy.
FAILURES = {
    PREFERRED: (Error.PREFERRED_LEADER_NOT_AVAILABLE, "PreferredReplicaPartitionLeaderElectionStrategy"),
    UNCLEAN: (Error.ELIGIBLE_LEADERS_NOT_AVAILABLE, "OfflinePartitionLeaderElectionStrategy(true)"),
}

BALANCE = "leader balance"
FIRST_BALANCE_MS = 5000


def elect(context: Context, partitions: Iterable[Partition], kind: int) -> Steps[dict[Partition, int | KafkaError]]:
    """Elections of one kind; the leader of each partition, or why there was none."""
    results: dict[Partition, int | KafkaError] = {}
    wanted = []
    for at, partition in enumerate(partitions):
        if at and at % SLICE == 0:
            yield Pause()
        leadership = context.leaderships.get(partition)
        leader = leadership.leader if leadership is not None else NO_LEADER
        if partition not in context.partition_states:
            results[partition] = KafkaError(Error.UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.")
        elif context.is_being_deleted(partition[0]):
            results[partition] = KafkaError(Error.INVALID_TOPIC_EXCEPTION, "The topic is being deleted")
        elif leader == context.replicas_of(partition)[0] if kind == PREFERRED else leader in context.live:
            results[partition] = KafkaError(Error.ELECTION_NOT_NEEDED)
        else:
            wanted.append(partition)
    for some in slices(wanted):
        batch = Batch(context)
        if kind == PREFERRED:
            strategy = preferred_strategy(context)
        else:
            strategy = yield from offline_strategy(context, some, unclean=True)
        done = yield from bring_online(context, batch, some, strategy)
        yield batch.send()
        for partition in some:
            results[partition] = (
                context.leaderships[partition].leader if partition in done else _failed(partition, kind)
            )
    return results


def _failed(partition: Partition, kind: int) -> KafkaError:
    error, strategy = FAILURES[kind]
    named = f"{partition[0]}-{partition[1]}"
    return KafkaError(error, f"Failed to elect leader for partition {named} under strategy {strategy}")


def elect_where_needed(context: Context) -> Steps[None]:
    """Tries to find a leader for every new or offline partition of a topic that stays."""
    wanting = leaderless(context)
    if wanting:
        yield from elect_and_compare(context, Batch(context), wanting)


def leaderless(context: Context) -> list[Partition]:
    return [
        p
        for p in context.partitions_in(PartitionState.NEW, PartitionState.OFFLINE)
        if not context.is_being_deleted(p[0])
    ]


def elect_and_compare(context: Context, batch: Batch, partitions: list[Partition]) -> Steps[None]:
    yield from bring_online(context, batch, partitions)
    yield batch.send()
    yield from compare(context, partitions)


# /admin/preferred_replica_election


def request_changed(context: Context) -> Steps[None]:
    """An old tool asks for preferred leaders of some partitions. Its znode is deleted, whatever became of them."""
    (found,) = yield Read([PreferredElectionNode.path()])
    if found is None:
        return
    partitions = decode_or_none(PreferredElectionNode, found.data) or []
    results = yield from elect(context, partitions, PREFERRED)
    for partition, outcome in results.items():
        if isinstance(outcome, KafkaError) and outcome.error is not Error.ELECTION_NOT_NEEDED:
            log.warning("partition %s-%d in %s: %s", *partition, PreferredElectionNode.path(), outcome.error.name)
    yield from delete_if_unchanged({PreferredElectionNode.path(): found})


# Balance.


def begin_balance(context: Context) -> Steps[None]:
    """Has the balance of leaders looked at soon, when automatic rebalancing is on."""
    if context.balance_ms:
        yield Later(FIRST_BALANCE_MS, BALANCE)


def balance(context: Context) -> Steps[None]:
    """Elects the preferred leaders of brokers that lead too few of the partitions whose preferred replica they have."""
    yield Later(context.balance_ms, BALANCE)
    if partitions_being_reassigned(context):
        return
    preferring: dict[int, list[Partition]] = {}
    for partition in context.leaderships:
        replicas = context.replicas_of(partition)
        if replicas and not context.is_being_deleted(partition[0]):
            preferring.setdefault(replicas[0], []).append(partition)
    wanted: list[Partition] = []
    for broker_id, partitions in sorted(preferring.items()):
        misplaced = [p for p in partitions if context.leaderships[p].leader != broker_id]
        if len(misplaced) * 100 > context.imbalance_percentage * len(partitions):
            wanted += [p for p in misplaced if _could_lead(context, p, broker_id)]
    if wanted:
        log.info("%d partitions go back to their preferred leaders", len(wanted))
        yield from elect(context, sorted(wanted), PREFERRED)


def _could_lead(context: Context, partition: Partition, broker_id: int) -> bool:
    return context.is_online(broker_id, partition) and broker_id in context.leaderships[partition].node.trusted
