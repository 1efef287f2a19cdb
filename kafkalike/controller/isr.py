"""Changes of the in-sync replicas that leaders ask for (AlterPartition, KIP-497).

The leader proposes an ISR under the leader epoch and partition epoch that it knows. The controller alone writes, under
the version of the state znode, so that there is one writer and a proposal is either wholly carried out or not at all.
A broker that enters an ISR must be live, must not be shutting down, and must not have restarted since it caught up: its
broker epoch is compared with that of its present registration (KIP-841, KIP-903).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller.context import Context, Leadership, Partition
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import Steps
from kafkalike.controller.partition_znodes import leadership_of, read_states, write_states
from kafkalike.controller.reassignment import isr_grew
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import alter_partition as messages

log = logging.getLogger(__name__)

TOPIC_IDS = 2  # the first version that names topics by their ids
BROKER_EPOCHS = 3  # the first version that tells the broker epoch of each member
RECOVERING = 1
UNKNOWN_EPOCH = -1  # the broker epoch of a follower that fetches in a version without one

Outcome = Error | Leadership


def alter(context: Context, request: messages.Request, version: int) -> Steps[messages.Response]:
    """Carries out one AlterPartition request; its response. KafkaError when the sender is not a live broker."""
    sender = context.brokers.get(request.broker_id)
    if sender is None or sender.epoch != request.broker_epoch:
        raise KafkaError(Error.STALE_BROKER_EPOCH)
    outcomes: dict[Partition, Outcome] = {}
    accepted: dict[Partition, PartitionNode] = {}
    for partition, asked in _asked(context, request, version):
        outcome = _judge(context, request.broker_id, partition, asked, version)
        if isinstance(outcome, PartitionNode):
            accepted[partition] = outcome
        else:
            outcomes[partition] = outcome
    if accepted:
        outcomes |= yield from _write(context, accepted)
    touched = [partition for partition, outcome in outcomes.items() if isinstance(outcome, Leadership)]
    if touched:
        batch = Batch(context)
        batch.update_metadata(context.live_or_shutting_down, touched)
        yield batch.send()
    response = _response(context, request, version, outcomes)
    yield from isr_grew(context, touched)
    return response


def _asked(
    context: Context, request: messages.Request, version: int
) -> Iterator[tuple[Partition, messages.PartitionData]]:
    for topic in request.topics:
        name = _name(context, topic, version)
        for asked in topic.partitions if name is not None else ():
            yield (name, asked.partition_index), asked  # type: ignore[misc]


def _name(context: Context, topic: messages.TopicData, version: int) -> str | None:
    if version < TOPIC_IDS:
        return topic.topic_name  # type: ignore[no-any-return]
    return context.topic_named(bytes(topic.topic_id))


def _judge(
    context: Context, sender: int, partition: Partition, asked: messages.PartitionData, version: int
) -> Outcome | PartitionNode:
    """The state that a proposal leads to, or the error: Kafka's checks, in its order."""
    known = context.leaderships.get(partition)
    if known is None:
        return Error.UNKNOWN_TOPIC_OR_PARTITION
    if asked.partition_epoch > known.partition_epoch or asked.leader_epoch > known.leader_epoch:
        # The leader knows more than this controller: a newer controller must have been elected.
        return Error.NOT_CONTROLLER
    if asked.leader_epoch < known.leader_epoch:
        return Error.FENCED_LEADER_EPOCH
    if version >= BROKER_EPOCHS:
        epochs = {member.broker_id: member.broker_epoch for member in asked.new_isr_with_epochs}
        isr = tuple(member.broker_id for member in asked.new_isr_with_epochs)
    else:
        epochs = {}
        isr = tuple(asked.new_isr)
    recovering = asked.leader_recovery_state == RECOVERING
    if (sender, isr, recovering) == (known.leader, known.isr, known.recovering):
        return known
    if asked.partition_epoch < known.partition_epoch:
        return Error.INVALID_UPDATE_VERSION
    if recovering and (len(isr) > 1 or not known.recovering):
        return Error.INVALID_REQUEST
    # Apache's controller in ZooKeeper mode trusts the sender here; its KRaft controller checks, and so does this one.
    allowed = {*context.replicas_of(partition), *known.isr}
    if sender != known.leader or sender not in isr or len(set(isr)) != len(isr) or not allowed.issuperset(isr):
        return Error.INVALID_REQUEST
    ineligible = [member for member in isr if not _eligible(context, partition, member, epochs)]
    if ineligible:
        log.info("ISR %s of %s-%d is refused: %s may not be in it now", list(isr), *partition, ineligible)
        return Error.INELIGIBLE_REPLICA if version >= TOPIC_IDS else Error.OPERATION_NOT_ATTEMPTED
    return known.node.with_isr(isr, context.epoch, recovering)


def _eligible(context: Context, partition: Partition, member: int, epochs: dict[int, int]) -> bool:
    epoch = epochs.get(member, UNKNOWN_EPOCH)
    return context.is_online(member, partition) and epoch in (UNKNOWN_EPOCH, context.brokers[member].epoch)


def _write(context: Context, accepted: dict[Partition, PartitionNode]) -> Steps[dict[Partition, Outcome]]:
    outcomes: dict[Partition, Outcome] = dict.fromkeys(accepted, Error.UNKNOWN_SERVER_ERROR)
    written, unsure = yield from write_states(
        {partition: (node, context.leaderships[partition].partition_epoch) for partition, node in accepted.items()}
    )
    for partition, version in written.items():
        outcomes[partition] = context.leaderships[partition] = leadership_of(accepted[partition], version)
    # Another writer was faster, or this very write was carried out and its answer was lost.
    found = (yield from read_states(context, unsure)) if unsure else {}
    for partition in unsure:
        outcomes[partition] = Error.INVALID_UPDATE_VERSION
        if partition in found:
            node, version = found[partition]
            before = context.leaderships[partition].partition_epoch
            context.leaderships[partition] = leadership_of(node, version)
            if node == accepted[partition] and version == before + 1:
                outcomes[partition] = context.leaderships[partition]
    return outcomes


def _response(
    context: Context, request: messages.Request, version: int, outcomes: dict[Partition, Outcome]
) -> messages.Response:
    topics = []
    for topic in request.topics:
        name = _name(context, topic, version)
        partitions = []
        for asked in topic.partitions:
            answer = messages.ResponsePartitionData(partition_index=asked.partition_index)
            outcome = Error.UNKNOWN_TOPIC_ID if name is None else outcomes[name, asked.partition_index]
            if isinstance(outcome, Leadership):
                answer.leader_id = outcome.leader
                answer.leader_epoch = outcome.leader_epoch
                answer.isr = list(outcome.isr)
                answer.leader_recovery_state = RECOVERING if outcome.recovering else 0
                answer.partition_epoch = outcome.partition_epoch
            else:
                answer.error_code = outcome
            partitions.append(answer)
        topics.append(
            messages.ResponseTopicData(topic_name=topic.topic_name, topic_id=topic.topic_id, partitions=partitions)
        )
    return messages.Response(topics=topics)
