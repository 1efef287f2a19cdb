"""Brokers that were not stopped cleanly may have lost the ends of their logs: they are not trusted to lead.

The registration of such a broker says so (`BrokerNode.unclean`). When a controller first sees the mark,
`remove_unclean_brokers` takes the broker out of every ISR that has another live member: the broker is in the ISR for
what it had before it was stopped, even where the state is younger than the registration, for the state may have been
written before a controller saw the registration. Where no other member is live the broker stays in the ISR, marked in
the state as suspect. Then the mark in the registration goes. How a suspect becomes leader: unclean_recovery.py.
(KIP-966, with ZooKeeper.)
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.encoding import decode_or_none
from kafkalike.cluster.znodes.topics import NO_LEADER, PartitionNode
from kafkalike.controller.context import Context, LiveBroker, Partition, PartitionState
from kafkalike.controller.effects import Node, Read, SetNode, Steps, Write
from kafkalike.controller.partition_state_machine import move_partitions
from kafkalike.controller.partition_znodes import check_controller_epoch, leadership_of, write_states

log = logging.getLogger(__name__)


def remove_unclean_brokers(
    context: Context, brokers: Mapping[int, LiveBroker], broker_ids: Iterable[int]
) -> Steps[None]:
    """Removes those of `broker_ids` that are marked as unclean; `brokers` are all that are live now."""
    unclean = {i: brokers[i] for i in sorted(broker_ids) if brokers[i].node.unclean}
    if not unclean:
        return
    log.info("brokers %s were not stopped cleanly, or are new", list(unclean))
    remaining = sorted({(topic, p) for topic, p, _ in context.replicas_on(unclean)})
    refused: set[Partition] = set()
    while remaining:
        found: list[Node | None] = yield Read([PartitionNode.path(*partition) for partition in remaining])
        writes = {}
        for partition, node in zip(remaining, found, strict=True):
            struck = yield from _without_unclean(context, partition, node, brokers, unclean)
            if struck is not None and node is not None:
                writes[partition] = (struck, node.version)
            elif partition in refused and node is not None:
                # The write was carried out and its answer was lost, or another writer has made it needless.
                state = decode_or_none(PartitionNode, node.data, *partition)
                if state is not None:
                    _update_leadership(context, partition, state, node.version)
        written, remaining = yield from write_states(writes)
        for partition, version in written.items():
            _update_leadership(context, partition, writes[partition][0], version)
        refused.update(remaining)
    yield from _clear_marks(brokers, unclean)


def _update_leadership(context: Context, partition: Partition, state: PartitionNode, version: int) -> None:
    context.leaderships[partition] = leadership_of(state, version)
    if state.leader == NO_LEADER and context.partition_states.get(partition) is PartitionState.ONLINE:
        move_partitions(context, [partition], PartitionState.OFFLINE)


def _without_unclean(
    context: Context,
    partition: Partition,
    found: Node | None,
    brokers: Mapping[int, LiveBroker],
    unclean: Mapping[int, LiveBroker],
) -> Steps[PartitionNode | None]:
    """The state without its unclean members; None when nothing is to be written."""
    state = decode_or_none(PartitionNode, found.data, *partition) if found is not None else None
    if state is None:
        return None
    if state.controller_epoch > context.epoch:
        yield from check_controller_epoch(partition, state)
        return None
    new = {r for r in state.isr if r in unclean} - set(state.suspects)
    if not new:
        return None
    suspects = new | set(state.suspects)
    trusted = [r for r in state.isr if r not in suspects]
    if len({*state.isr, *state.former}) == 1:
        # There is no log to compare the broker's with: it has the only replica, or Apache's controller wrote the state.
        # But if the broker stays leader, then in a new epoch: a replica that is out of sync may still have records that
        # the leader has lost, and in the same epoch nothing would tell them from those that are written in their place.
        if state.leader not in new or len(context.replicas_of(partition)) == 1:
            return None
        return state.elected(state.leader, state.isr, context.epoch, state.recovering)
    if any(r in brokers and r not in context.shutting_down for r in trusted):
        return state.reduced(tuple(trusted), context.epoch)
    return state.suspecting(tuple(r for r in state.isr if r in suspects), context.epoch)


def _clear_marks(brokers: Mapping[int, LiveBroker], unclean: Mapping[int, LiveBroker]) -> Steps[None]:
    """Takes the mark out of the registrations, for the states have been written."""
    paths = [BrokerNode.path(broker_id) for broker_id in unclean]
    nodes: list[Node | None] = yield Read(paths)
    operations = [
        SetNode(path, BrokerNode.without_mark(node.data), node.version)
        for path, node, broker in zip(paths, nodes, unclean.values(), strict=True)
        if node is not None and node.czxid == broker.epoch
    ]
    if operations:
        # A registration that is gone or was rewritten in between becomes an event of its own.
        yield Write(list(operations))
