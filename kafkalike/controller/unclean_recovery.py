"""How a partition gets a leader when all of its live in-sync replicas are suspect (unclean_shutdown.py).

The controller asks the suspects, the rest of the ISR and the former members (kept in the state znode) how far their
logs reach, as (leader epoch, log end offset), and the longest leads. It waits until all have answered, or for
unclean.recovery.timeout.ms. (KIP-966, with ZooKeeper.)

The longest log is not simply the one with the newest record. Unlike in Raft, a leader is elected without a look at
logs: a leader of a later epoch may commit records of an earlier one, while a deposed leader that has left the ISR keeps
newer records that no other replica ever had. Every member of the ISR at the last commit has all committed records, or
as many of the first ones as its disk has kept. So the longest log in the ISR counts, and a former member's log (those
who left last come first) only if it continues where that one ends. Committed records are lost only when every member of
that ISR has lost them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kafkalike.controller.context import Context, LogEnd, Partition, PartitionState, shown
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import Later, Send, Steps
from kafkalike.controller.election_strategies import Elected
from kafkalike.controller.partition_state_machine import bring_online
from kafkalike.controller.reassignment import isr_grew
from kafkalike.protocol import ANY_REPLICA, LATEST
from kafkalike.protocol.messages import list_offsets, offset_for_leader_epoch

log = logging.getLogger(__name__)

# The subject of the reminder that a comparison has waited long enough.
COMPARISON = "logs to compare"
# In place of an epoch: the end of the whole log.
WHOLE = -1


class Undecided(NamedTuple):
    """A comparison that needs one more answer: where this replica's log has the end of this epoch."""

    replica: int
    epoch: int


def compare(context: Context, partitions: Iterable[Partition]) -> Steps[None]:
    """Finds leaders for those of the partitions that have none and whose live in-sync replicas are all suspect."""
    ready: dict[Partition, Elected] = {}
    asked: dict[int, dict[Partition, int]] = {}
    begun = []
    for partition in partitions:
        candidates = _candidates(context, partition)
        if not candidates:
            continue
        ends = {r: end for r in candidates if (end := _known_end(context, partition, r)) is not None}
        isr = context.leaderships[partition].isr
        all_there = len(ends) == len(candidates)
        if all_there or (partition in context.given_up_waiting and any(r in ends for r in isr)):
            outcome = _longest(context, partition, ends)
            if isinstance(outcome, Elected):
                ready[partition] = outcome
            else:
                _ask(context, partition, *outcome, asked)
            continue
        for replica in candidates:
            if replica not in ends and context.is_online(replica, partition):
                _ask(context, partition, replica, WHOLE, asked)
        if partition not in context.comparing:
            context.comparing[partition] = context.comparisons + 1
            begun.append(partition)
    if asked:
        yield Send([(broker_id, q) for broker_id, wanted in sorted(asked.items()) for q in _questions(wanted)])
    if begun:
        log.warning("nobody in sync is known to be whole, comparing logs: %s", shown(begun))
        context.comparisons += 1
        yield Later(context.unclean_recovery_ms, COMPARISON, context.comparisons)
    if ready:
        batch = Batch(context)
        yield from bring_online(context, batch, sorted(ready), lambda partition, state: ready[partition])
        yield batch.send()
        for partition in ready:
            # Also when no leader could be elected: the next comparison asks all replicas again.
            context.end_comparison(partition)


def _ask(
    context: Context, partition: Partition, replica: int, epoch: int, asked: dict[int, dict[Partition, int]]
) -> None:
    """Notes the question, unless the broker was asked before in its present life."""
    known = context.asked_for_end.setdefault(partition, set())
    question = (replica, context.brokers[replica].epoch, epoch)
    if question not in known:
        known.add(question)
        asked.setdefault(replica, {})[partition] = epoch


def log_ends_answered(
    context: Context,
    broker_id: int,
    broker_epoch: int,
    ends: Mapping[Partition, tuple[int, int]],
    epochs: Mapping[Partition, int] | None = None,
) -> Steps[None]:
    """A broker has answered how far its logs reach, or where they have the ends of `epochs`. Answers that come too late
    are dropped: by the next comparison, and after a restart of the broker, its log may end elsewhere."""
    broker = context.brokers.get(broker_id)
    if broker is None or broker.epoch != broker_epoch:
        return
    for partition, (leader_epoch, end) in ends.items():
        if partition not in context.comparing:
            continue
        known = context.log_ends.setdefault(partition, {})
        known[broker_id, epochs[partition] if epochs else WHOLE] = LogEnd(broker.epoch, leader_epoch, end)
    yield from _compare_and_go_on(context, list(ends))


def comparison_timed_out(context: Context, serial: int) -> Steps[None]:
    """The comparison with this serial number has waited long enough: it decides without the replicas that are
    missing."""
    context.given_up_waiting |= {partition for partition, begun in context.comparing.items() if begun == serial}
    yield from _compare_and_go_on(context, sorted(context.given_up_waiting))


def _compare_and_go_on(context: Context, partitions: list[Partition]) -> Steps[None]:
    yield from compare(context, partitions)
    # Suspects are in sync now, and a reassignment may have waited for just that.
    yield from isr_grew(context, partitions)


def _candidates(context: Context, partition: Partition) -> list[int]:
    """The replicas whose logs are compared; none when the partition has a leader, or needs no comparison."""
    leadership = context.leaderships.get(partition)
    if leadership is None or context.partition_states.get(partition) is not PartitionState.OFFLINE:
        return []
    if not leadership.suspects or context.is_being_deleted(partition[0]):
        return []
    return [
        r
        for r in context.replicas_of(partition)
        if r in leadership.isr or (r in leadership.former and not _is_apaches(context, r))
    ]


def _is_apaches(context: Context, replica: int) -> bool:
    """Whether the replica is on an Apache broker. Such a broker answers with the partition's leader epoch in place of
    its last record's, so that logs cannot be compared. Then Apache's rule holds: a remaining member of the ISR
    leads."""
    broker = context.brokers.get(replica)
    return broker is not None and broker.node.is_apaches


def _known_end(context: Context, partition: Partition, replica: int, epoch: int = WHOLE) -> LogEnd | None:
    """The log end that the replica answered in its broker's present life."""
    end = context.log_ends.get(partition, {}).get((replica, epoch))
    online = context.is_online(replica, partition)
    return end if end is not None and online and end.broker_epoch == context.brokers[replica].epoch else None


def _longest(context: Context, partition: Partition, ends: Mapping[int, LogEnd]) -> Elected | Undecided:
    """Elects the replica with the longest log, into an ISR with those whose logs end at the same offset in the same
    epoch."""
    place = {replica: (end.leader_epoch, end.offset) for replica, end in ends.items()}
    leadership = context.leaderships[partition]
    best = max((place[replica] for replica in leadership.isr if replica in place), default=(-1, 0))
    for replica in reversed(leadership.former):
        goes_on = replica in place and _continues(context, partition, replica, place[replica], best)
        if goes_on is None:
            return Undecided(replica, best[0])
        if goes_on:
            best = place[replica]
    isr = tuple(replica for replica in place if place[replica] == best)
    shown = ", ".join(f"{r}: {offset} in epoch {epoch}" for r, (epoch, offset) in place.items())
    log.warning("partition %s-%d: log ends are %s; %d leads", *partition, shown, isr[0])
    recipients = tuple(r for r in context.replicas_of(partition) if context.is_online(r, partition))
    return Elected(isr[0], isr, recipients)


def _continues(
    context: Context, partition: Partition, replica: int, place: tuple[int, int], best: tuple[int, int]
) -> bool | None:
    """Whether the replica's log, which ends at `place`, has all records of the log that ends at `best`, and more; None
    while the replica has to be asked."""
    epoch, offset = best
    if place[0] < epoch or place[1] <= offset:
        return False
    if place[0] == epoch or epoch < 0:
        return True
    # The log has records of the same epoch at least as far: one leader wrote both logs' records, after the same ones.
    end = _known_end(context, partition, replica, epoch)
    return None if end is None else end.leader_epoch == epoch and end.offset >= offset


def _questions(wanted: Mapping[Partition, int]) -> list[Any]:
    wholes: dict[str, list[Any]] = {}
    epochs: dict[str, list[Any]] = {}
    for (topic, p), epoch in wanted.items():
        if epoch == WHOLE:
            wholes.setdefault(topic, []).append(
                list_offsets.ListOffsetsPartition(partition_index=p, current_leader_epoch=-1, timestamp=LATEST)
            )
        else:
            epochs.setdefault(topic, []).append(
                offset_for_leader_epoch.OffsetForLeaderPartition(
                    partition=p, current_leader_epoch=-1, leader_epoch=epoch
                )
            )
    questions: list[Any] = []
    if wholes:
        topics = [list_offsets.ListOffsetsTopic(name=topic, partitions=asked) for topic, asked in wholes.items()]
        questions.append(list_offsets.Request(replica_id=ANY_REPLICA, topics=topics))
    if epochs:
        of_epochs = [
            offset_for_leader_epoch.OffsetForLeaderTopic(topic=topic, partitions=asked)
            for topic, asked in epochs.items()
        ]
        questions.append(offset_for_leader_epoch.Request(replica_id=ANY_REPLICA, topics=of_epochs))
    return questions


def answered_ends(response: list_offsets.Response) -> dict[Partition, tuple[int, int]]:
    """The (leader epoch, log end offset) of each partition in a response to ListOffsets."""
    return {
        (topic.name, answer.partition_index): (answer.leader_epoch, answer.offset)
        for topic in response.topics
        for answer in topic.partitions
        if not answer.error_code
    }


def answered_epochs(
    request: offset_for_leader_epoch.Request, response: offset_for_leader_epoch.Response
) -> tuple[dict[Partition, tuple[int, int]], dict[Partition, int]]:
    """The (leader epoch, end offset) of each partition in a response to OffsetForLeaderEpoch, and the epochs asked for.
    A broker that answers with an error, or has no records that old, counts as (-1, -1): its log does not continue
    there."""
    epochs = {
        (topic.topic, asked.partition): asked.leader_epoch for topic in request.topics for asked in topic.partitions
    }
    ends = {
        (topic.topic, answer.partition): (answer.leader_epoch, answer.end_offset)
        for topic in response.topics
        for answer in topic.partitions
        if (topic.topic, answer.partition) in epochs
    }
    return ends, epochs
