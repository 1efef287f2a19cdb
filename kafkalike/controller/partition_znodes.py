"""Partitions' state znodes (/brokers/topics/T/partitions/P/state), which hold leader, leader epoch and ISR: how the
controller reads them, and how it changes them under the version that it knows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.cluster.znodes.encoding import decode_or_none
from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller.context import Context, Leadership, Partition
from kafkalike.controller.effects import BAD_VERSION, Node, Read, SetNode, Steps, Superseded, Write

log = logging.getLogger(__name__)


def read_states(context: Context, partitions: list[Partition]) -> Steps[dict[Partition, tuple[PartitionNode, int]]]:
    """Reads states from ZooKeeper, with their versions; a znode that is absent or garbage has none."""
    nodes = yield Read([PartitionNode.path(*partition) for partition in partitions])
    states = {}
    for partition, found in zip(partitions, nodes, strict=True):
        state = decode(context, partition, found)
        if state is None:
            continue
        if state.controller_epoch > context.epoch:
            yield from check_controller_epoch(partition, state)
            continue
        states[partition] = (state, found.version)
    return states


def current_states(
    context: Context, partitions: list[Partition], again: bool
) -> Steps[dict[Partition, tuple[PartitionNode, int]]]:
    """The states to decide on, and the versions to write under: those in the context, which are read only where the
    context has none, or `again`, when they have turned out to be old. A wrong one does no harm, for the write's version
    check refuses it."""
    current: dict[Partition, tuple[PartitionNode, int]] = {}
    unknown = []
    for partition in partitions:
        known = context.leaderships.get(partition)
        if known is None or again:
            unknown.append(partition)
        else:
            current[partition] = (known.node, known.partition_epoch)
    found = (yield from read_states(context, unknown)) if unknown else {}
    for partition, (state, version) in found.items():
        context.leaderships[partition] = leadership_of(state, version)
    return current | found


def raise_leader_epochs(context: Context, partitions: list[Partition]) -> Steps[set[Partition]]:
    """Adds one to leader epochs and changes nothing else, so that brokers obey the next LeaderAndIsr. Gives the
    partitions whose epoch has grown."""

    def raised(state: PartitionNode) -> PartitionNode:
        return replace(state, leader_epoch=state.leader_epoch + 1, controller_epoch=context.epoch)

    return (yield from _rewrite(context, partitions, raised))


def remove_from_isr(context: Context, broker_id: int, partitions: list[Partition]) -> Steps[set[Partition]]:
    """Takes a broker out of each ISR, whose last member stays, and from the lead. Gives the partitions whose state is
    known then. The leader epoch grows where anything was written."""

    def reduced(state: PartitionNode) -> PartitionNode | None:
        if broker_id not in state.isr:
            return None
        return state.reduced(tuple(r for r in state.isr if r != broker_id), context.epoch)

    return (yield from _rewrite(context, partitions, reduced))


def _rewrite(
    context: Context, partitions: list[Partition], change: Callable[[PartitionNode], PartitionNode | None]
) -> Steps[set[Partition]]:
    """Writes what `change` makes of each state (None: the state stays), and of the newer state where the znode has
    changed in between. Gives the partitions whose state is known then."""
    done: set[Partition] = set()
    remaining, again = partitions, False
    while remaining:
        current = yield from current_states(context, remaining, again)
        writes: dict[Partition, tuple[PartitionNode, int]] = {}
        for partition, (state, version) in current.items():
            new = change(state)
            if new is None:
                context.leaderships[partition] = leadership_of(state, version)
                done.add(partition)
            else:
                writes[partition] = (new, version)
        written, remaining = yield from write_states(writes)
        for partition, version in written.items():
            context.leaderships[partition] = leadership_of(writes[partition][0], version)
            done.add(partition)
        again = True
    return done


def write_states(
    writes: Mapping[Partition, tuple[PartitionNode, int]],
) -> Steps[tuple[dict[Partition, int], list[Partition]]]:
    """Writes each state under the version that goes with it. Gives the versions that the written nodes have now, and
    the partitions whose nodes had another version; what fails otherwise is logged, and is in neither."""
    if not writes:
        return {}, []
    results = yield Write(
        [
            SetNode(PartitionNode.path(*partition), node.encode(), version)
            for partition, (node, version) in writes.items()
        ]
    )
    done: dict[Partition, int] = {}
    stale: list[Partition] = []
    for partition, written in zip(writes, results, strict=True):
        if written.error is None:
            done[partition] = written.version
        elif written.error == BAD_VERSION:
            stale.append(partition)
        else:
            log.error("cannot write the state of partition %s-%d: %s", *partition, written.error)
    return done, stale


def check_controller_epoch(partition: Partition, state: PartitionNode) -> Steps[None]:
    """A state with a newer controller's epoch ends this term. An epoch that no controller ever had is garbage: every
    controller that is elected later would give up, too."""
    path = PartitionNode.path(*partition)
    (found,) = yield Read([ControllerEpoch.path()])
    newest = decode_or_none(ControllerEpoch, found.data) if found is not None else None
    if newest is not None and newest >= state.controller_epoch:
        raise Superseded(f"{path} was written in controller epoch {state.controller_epoch}")
    log.warning("znode %s is ignored: there is no controller epoch %d", path, state.controller_epoch)


def leadership_of(node: PartitionNode, partition_epoch: int) -> Leadership:
    """The leadership that a state znode of this version holds."""
    return Leadership(
        node.leader,
        node.leader_epoch,
        node.isr,
        node.controller_epoch,
        partition_epoch,
        node.recovering,
        node.former,
        node.suspects,
    )


def decode(context: Context, partition: Partition, found: Node | None) -> PartitionNode | None:
    """The state in a znode; None when it is absent, or garbage, which is logged and noted."""
    state = decode_or_none(PartitionNode, found.data, *partition) if found is not None else None
    if found is not None and state is None:
        context.unusable_states.add(partition)
    return state


def read_leaderships(context: Context, partitions: list[Partition]) -> Steps[None]:
    """Reads the leaderships of these partitions into the context."""
    nodes = (yield Read([PartitionNode.path(*partition) for partition in partitions])) if partitions else []
    for partition, found in zip(partitions, nodes, strict=True):
        node = decode(context, partition, found)
        if found is None or node is None:
            continue
        if node.controller_epoch > context.epoch:
            yield from check_controller_epoch(partition, node)
            context.unusable_states.add(partition)
            continue
        context.leaderships[partition] = leadership_of(node, found.version)
