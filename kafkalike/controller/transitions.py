"""The two state machines of the controller: partitions and replicas.

A transition that is not in the table is logged and skipped; the rest of the batch goes on. What has to be written is
written before the state changes, and what has to be told is put into the batch, which the caller sends when the whole
batch has moved.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.cluster.znodes.topics import PartitionNode, TopicNode
from kafkalike.config import parse_topic_overrides, usable
from kafkalike.controller import election_strategies
from kafkalike.controller.context import (
    INITIAL_LEADER_EPOCH,
    Context,
    Leadership,
    Partition,
    PartitionState,
    Replica,
    ReplicaState,
)
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import (
    BAD_VERSION,
    NODE_EXISTS,
    CreateNode,
    Node,
    Read,
    SetNode,
    Steps,
    Superseded,
    Write,
)
from kafkalike.controller.election_strategies import Elected

log = logging.getLogger(__name__)

P, R = PartitionState, ReplicaState

# State: the states it may be entered from.
PARTITION_PREVIOUS: dict[PartitionState, frozenset[PartitionState]] = {
    P.NEW: frozenset({P.NONEXISTENT}),
    P.ONLINE: frozenset({P.NEW, P.ONLINE, P.OFFLINE}),
    P.OFFLINE: frozenset({P.NEW, P.ONLINE, P.OFFLINE}),
    P.NONEXISTENT: frozenset({P.OFFLINE}),
}
REPLICA_PREVIOUS: dict[ReplicaState, frozenset[ReplicaState]] = {
    R.NEW: frozenset({R.NONEXISTENT}),
    R.ONLINE: frozenset({R.NEW, R.ONLINE, R.OFFLINE, R.DELETION_INELIGIBLE}),
    R.OFFLINE: frozenset({R.NEW, R.ONLINE, R.OFFLINE, R.DELETION_INELIGIBLE}),
    R.DELETION_STARTED: frozenset({R.OFFLINE}),
    R.DELETION_SUCCESSFUL: frozenset({R.DELETION_STARTED}),
    R.DELETION_INELIGIBLE: frozenset({R.OFFLINE, R.DELETION_STARTED}),
    R.NONEXISTENT: frozenset({R.DELETION_SUCCESSFUL}),
}

# Partitions that a step takes at a time. Each slice waits for ZooKeeper, and this broker serves others meanwhile.
SLICE = 500

# Chooses the next leader of a partition, given what its state znode says.
Strategy = Callable[[Partition, PartitionNode], Elected | None]


def slices(partitions: Sequence[Partition]) -> Iterator[Sequence[Partition]]:
    """The partitions of a long list, a slice at a time."""
    for at in range(0, len(partitions), SLICE):
        yield partitions[at : at + SLICE]


# Partitions.


def move_partitions(context: Context, partitions: Iterable[Partition], target: PartitionState) -> None:
    """To NEW, OFFLINE or NONEXISTENT: those are facts in memory only."""
    assert target is not P.ONLINE, "a partition gets online by an election"
    for partition in _legal_partitions(context, partitions, target):
        context.partition_states[partition] = target


def bring_online(
    context: Context, batch: Batch, partitions: Iterable[Partition], strategy: Strategy | None = None
) -> Steps[set[Partition]]:
    """New partitions get their first leader; the others an election (the one for offline partitions unless another
    strategy is given). Gives those that have a leader now."""
    legal = _legal_partitions(context, partitions, P.ONLINE)
    new = [partition for partition in legal if context.partition_states[partition] is P.NEW]
    others = [partition for partition in legal if context.partition_states[partition] is not P.NEW]
    done: set[Partition] = set()
    if new:
        done |= yield from _first_leaders(context, batch, new)
    if others:
        if strategy is None:
            strategy = yield from offline_strategy(context, others)
        done |= yield from _elect(context, batch, others, strategy)
    return done


def offline_strategy(context: Context, partitions: Iterable[Partition], unclean: bool = False) -> Steps[Strategy]:
    """The election for partitions without a leader. Whether it may be unclean is asked of the topic's configuration,
    and only for topics with a partition that has no live in-sync replica."""
    topics = set()
    for partition in partitions:
        leadership = context.leaderships.get(partition)
        if leadership is None or not any(context.is_online(r, partition) for r in leadership.isr):
            topics.add(partition[0])
    allowed = yield from _unclean_topics(context, sorted(topics))

    def choose(partition: Partition, state: PartitionNode) -> Elected | None:
        return election_strategies.offline(
            context.replicas_of(partition),
            state.trusted,
            lambda r: context.is_online(r, partition),
            # A presumption is no reason to lose records, and a suspect is compared first; but an order is an order.
            unclean
            or partition[0] in allowed
            and not any(r in context.presumed_dead or context.is_online(r, partition) for r in state.isr),
        )

    return choose


def preferred_strategy(context: Context) -> Strategy:
    """The first replica of the assignment leads."""
    return lambda partition, state: election_strategies.preferred(
        context.replicas_of(partition), state.trusted, lambda r: context.is_online(r, partition)
    )


def shutdown_strategy(context: Context) -> Strategy:
    """The leader goes to a replica that stays."""
    return lambda partition, state: election_strategies.controlled_shutdown(
        context.replicas_of(partition),
        state.trusted,
        lambda r: context.is_online(r, partition, even_shutting_down=True),
        context.shutting_down,
    )


def _legal_partitions(context: Context, partitions: Iterable[Partition], target: PartitionState) -> list[Partition]:
    legal = []
    for partition in partitions:
        state = context.partition_states.setdefault(partition, P.NONEXISTENT)
        if state in PARTITION_PREVIOUS[target]:
            legal.append(partition)
        else:
            log.error("partition %s-%d cannot go from %s to %s", *partition, state.value, target.value)
    return legal


def _first_leaders(context: Context, batch: Batch, partitions: list[Partition]) -> Steps[set[Partition]]:
    chosen: dict[Partition, PartitionNode] = {}
    for partition in partitions:
        live = tuple(r for r in context.replicas_of(partition) if context.is_online(r, partition))
        if live:
            chosen[partition] = PartitionNode(live[0], INITIAL_LEADER_EPOCH, live, context.epoch)
        else:
            log.error("partition %s-%d stays without a leader: none of its replicas is live", *partition)
    topics = [topic for topic in sorted({topic for topic, _ in chosen}) if not context.has_leaderships(topic)]
    parents = [CreateNode(TopicNode.partitions_path(topic)) for topic in topics]
    parents += [CreateNode(PartitionNode.parent(*partition)) for partition in chosen]
    states = [CreateNode(PartitionNode.path(*partition), node.encode()) for partition, node in chosen.items()]
    results = (yield Write([*parents, *states]))[len(parents) :]
    done = set()
    unsure = []
    for (partition, node), written in zip(chosen.items(), results, strict=True):
        if written.error is None:
            _lead(context, batch, partition, node, written.version, node.isr, is_new=True)
            done.add(partition)
        elif written.error == NODE_EXISTS:
            unsure.append(partition)
        else:
            log.error("cannot write the state of partition %s-%d: %s", *partition, written.error)
    # A state that is there already is ours when the answer to its creation was lost.
    nodes = (yield Read([PartitionNode.path(*partition) for partition in unsure])) if unsure else []
    for partition, found in zip(unsure, nodes, strict=True):
        state = _decode(partition, found)
        if found is not None and state == chosen[partition]:
            _lead(context, batch, partition, state, found.version, state.isr, is_new=True)
            done.add(partition)
        elif state is not None:
            log.error("partition %s-%d has a state already: %s", *partition, state)
    return done


def _elect(context: Context, batch: Batch, partitions: list[Partition], choose: Strategy) -> Steps[set[Partition]]:
    done: set[Partition] = set()
    remaining = partitions
    stale: set[Partition] = set()
    while remaining:
        current = yield from _current_states(context, remaining, stale)
        chosen: dict[Partition, tuple[PartitionNode, Elected, int]] = {}
        nobody = []
        for partition in remaining:
            if partition not in current:
                log.error("no election for partition %s-%d: it has no state", *partition)
                continue
            state, version = current[partition]
            elected = choose(partition, state)
            if elected is None:
                nobody.append(partition)
                continue
            new = state.elected(elected.leader, elected.isr, context.epoch, elected.recovering)
            chosen[partition] = (new, elected, version)
        if nobody:
            log.warning("no replica may lead: %s; the first is %s", shown(nobody), current[nobody[0]][0])
        results = yield Write(
            [
                SetNode(PartitionNode.path(*partition), new.encode(), version)
                for partition, (new, _, version) in chosen.items()
            ]
        )
        remaining = []
        for (partition, (new, elected, _)), written in zip(chosen.items(), results, strict=True):
            if written.error is None:
                _lead(context, batch, partition, new, written.version, elected.recipients, is_new=False)
                done.add(partition)
            elif written.error == BAD_VERSION:
                remaining.append(partition)
                stale.add(partition)
            else:
                log.error("cannot write the state of partition %s-%d: %s", *partition, written.error)
    return done


def _lead(
    context: Context,
    batch: Batch,
    partition: Partition,
    node: PartitionNode,
    partition_epoch: int,
    recipients: tuple[int, ...],
    is_new: bool,
) -> None:
    context.leaderships[partition] = leadership_of(node, partition_epoch)
    context.partition_states[partition] = P.ONLINE
    context.end_comparison(partition)
    batch.leader_and_isr(recipients, partition, is_new)


def _unclean_topics(context: Context, topics: list[str]) -> Steps[set[str]]:
    nodes = (yield Read([EntityConfig.path("topics", topic) for topic in topics])) if topics else []
    allowed = set()
    for topic, node in zip(topics, nodes, strict=True):
        try:
            config = EntityConfig.decode("topics", topic, node.data if node else None)
        except Garbage as error:
            log.warning("%s", error)
            config = {}
        values = parse_topic_overrides(usable(config)[0])
        if values.get("unclean.leader.election.enable", context.unclean_by_default):
            allowed.add(topic)
    return allowed


# Replicas.


def move_replicas(context: Context, batch: Batch, replicas: Iterable[Replica], target: ReplicaState) -> Steps[None]:
    """Moves replicas, those of one broker after those of the other."""
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
    current = yield from _remove_from_isr(context, broker_id, led)
    for partition in current:
        if not context.is_being_deleted(partition[0]):
            others = [r for r in context.replicas_of(partition) if r != broker_id]
            batch.leader_and_isr(others, partition, is_new=False)
    # That a topic is being deleted everybody has been told: it is metadata no more.
    staying = [partition for partition in partitions if not context.is_being_deleted(partition[0])]
    if staying:
        batch.update_metadata(context.live_or_shutting_down, staying)
    for partition in partitions:
        context.replica_states[*partition, broker_id] = R.OFFLINE


def _remove_from_isr(context: Context, broker_id: int, partitions: list[Partition]) -> Steps[set[Partition]]:
    """Takes a replica out of each ISR (the last member stays) and from the lead; gives the partitions whose state is
    known. The leader epoch grows where anything was written."""

    def reduced(state: PartitionNode) -> PartitionNode | None:
        if broker_id not in state.isr:
            return None
        return state.reduced(tuple(r for r in state.isr if r != broker_id), context.epoch)

    return (yield from _rewrite(context, partitions, reduced))


# Both.


def raise_leader_epochs(context: Context, partitions: list[Partition]) -> Steps[set[Partition]]:
    """Adds one to leader epochs and changes nothing else: whoever is told will listen. Gives where it was done."""

    def raised(state: PartitionNode) -> PartitionNode:
        return replace(state, leader_epoch=state.leader_epoch + 1, controller_epoch=context.epoch)

    return (yield from _rewrite(context, partitions, raised))


def _rewrite(
    context: Context, partitions: list[Partition], change: Callable[[PartitionNode], PartitionNode | None]
) -> Steps[set[Partition]]:
    """Writes what `change` makes of each state (None: it stays), of a newer one where somebody was faster; gives the
    partitions whose state is known then."""
    done: set[Partition] = set()
    remaining = partitions
    stale: set[Partition] = set()
    while remaining:
        current = yield from _current_states(context, remaining, stale)
        writes: dict[Partition, tuple[PartitionNode, int]] = {}
        for partition, (state, version) in current.items():
            new = change(state)
            if new is None:
                context.leaderships[partition] = leadership_of(state, version)
                done.add(partition)
            else:
                writes[partition] = (new, version)
        results = yield Write(
            [
                SetNode(PartitionNode.path(*partition), new.encode(), version)
                for partition, (new, version) in writes.items()
            ]
        )
        remaining = []
        for (partition, (new, _)), written in zip(writes.items(), results, strict=True):
            if written.error is None:
                context.leaderships[partition] = leadership_of(new, written.version)
                done.add(partition)
            elif written.error == BAD_VERSION:
                remaining.append(partition)
                stale.add(partition)
            else:
                log.error("cannot write the state of partition %s-%d: %s", *partition, written.error)
    return done


def _current_states(
    context: Context, partitions: list[Partition], stale: set[Partition]
) -> Steps[dict[Partition, tuple[PartitionNode, int]]]:
    """The states to decide on and the versions to write under: what is believed, and read only where nothing is
    believed or the belief was found stale; what was read is the new belief. A wrong one does no harm, for the write's
    version check refuses it."""
    current: dict[Partition, tuple[PartitionNode, int]] = {}
    unknown = []
    for partition in partitions:
        known = context.leaderships.get(partition)
        if known is None or partition in stale:
            unknown.append(partition)
        else:
            current[partition] = (known.node, known.partition_epoch)
    found = (yield from read_states(context, unknown)) if unknown else {}
    for partition, (state, version) in found.items():
        context.leaderships[partition] = leadership_of(state, version)
    return current | found


def read_states(context: Context, partitions: list[Partition]) -> Steps[dict[Partition, tuple[PartitionNode, int]]]:
    """The states as they are in ZooKeeper, with their versions; none for a node that is absent or garbage."""
    nodes = yield Read([PartitionNode.path(*partition) for partition in partitions])
    states = {}
    for partition, found in zip(partitions, nodes, strict=True):
        state = _decode(partition, found)
        if state is None:
            continue
        if state.controller_epoch > context.epoch:
            yield from ignore_or_end(partition, state)
            continue
        states[partition] = (state, found.version)
    return states


def ignore_or_end(partition: Partition, state: PartitionNode) -> Steps[None]:
    """A state of a newer controller ends the term, one of a controller that there never was is garbage like any other:
    whoever was elected next would give up again."""
    path = PartitionNode.path(*partition)
    (found,) = yield Read([ControllerEpoch.path()])
    with contextlib.suppress(Garbage):
        if found is not None and ControllerEpoch.decode(found.data) >= state.controller_epoch:
            raise Superseded(f"{path} was written in controller epoch {state.controller_epoch}")
    log.warning("znode %s is ignored: there is no controller epoch %d", path, state.controller_epoch)


def shown(partitions: list[Partition]) -> str:
    """Their names, or those of the first."""
    names = ", ".join(f"{topic}-{p}" for topic, p in partitions[:10])
    return names if len(partitions) <= 10 else f"{names} and {len(partitions) - 10} more"


def leadership_of(node: PartitionNode, partition_epoch: int) -> Leadership:
    """The belief that goes with a state znode."""
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


def _decode(partition: Partition, found: Node | None) -> PartitionNode | None:
    if found is None:
        return None
    try:
        return PartitionNode.decode(*partition, found.data)
    except Garbage as error:
        log.warning("%s", error)
        return None
