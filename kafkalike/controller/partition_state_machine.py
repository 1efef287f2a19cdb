"""The state machine of partitions: new, online, offline; and how a partition gets its leader.

A transition that is not in the table is logged and skipped; the other partitions go on. What has to be written is
written before the state in the context changes, and what brokers have to be told is put into the batch, which the
caller sends when all partitions of the step have changed their state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.encoding import decode_or_none
from kafkalike.cluster.znodes.topics import PartitionNode, TopicNode
from kafkalike.config import parse_topic_overrides, usable
from kafkalike.controller import election_strategies
from kafkalike.controller.context import INITIAL_LEADER_EPOCH, Context, Partition, PartitionState, shown
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import NODE_EXISTS, CreateNode, Read, Steps, Write
from kafkalike.controller.election_strategies import Elected
from kafkalike.controller.partition_znodes import current_states, decode, leadership_of, write_states
from kafkalike.metrics import Meter

log = logging.getLogger(__name__)

UNCLEAN_ELECTIONS = Meter("kafka.controller:type=ControllerStats,name=UncleanLeaderElectionsPerSec")

P = PartitionState

# For each state, the states from which it may be entered.
PARTITION_PREVIOUS: dict[PartitionState, frozenset[PartitionState]] = {
    P.NEW: frozenset({P.NONEXISTENT}),
    P.ONLINE: frozenset({P.NEW, P.ONLINE, P.OFFLINE}),
    P.OFFLINE: frozenset({P.NEW, P.ONLINE, P.OFFLINE}),
    P.NONEXISTENT: frozenset({P.OFFLINE}),
}


# Chooses the next leader of a partition, given what its state znode says.
Strategy = Callable[[Partition, PartitionNode], Elected | None]


def move_partitions(context: Context, partitions: Iterable[Partition], target: PartitionState) -> None:
    """Moves partitions to NEW, OFFLINE or NONEXISTENT, which are states in memory only."""
    assert target is not P.ONLINE, "a partition gets online by an election"
    for partition in _legal_partitions(context, partitions, target):
        context.partition_states[partition] = target


def bring_online(
    context: Context, batch: Batch, partitions: Iterable[Partition], strategy: Strategy | None = None
) -> Steps[set[Partition]]:
    """Moves partitions to ONLINE: new ones get their first leader, the others an election, by the offline strategy
    unless another one is given. Gives the partitions that have a leader now."""
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
    """The strategy for partitions without a leader. The topic's configuration says whether the election may be unclean;
    it is read only for topics with a partition that has no live in-sync replica."""
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
            # The controller does not lose records on a presumption, and compares suspects first; but it obeys an
            # operator who asks for an unclean election.
            unclean
            or partition[0] in allowed
            and not any(r in context.presumed_dead or context.is_online(r, partition) for r in state.isr),
        )

    return choose


def preferred_strategy(context: Context) -> Strategy:
    """The strategy that elects the first replica of the assignment."""
    return lambda partition, state: election_strategies.preferred(
        context.replicas_of(partition), state.trusted, lambda r: context.is_online(r, partition)
    )


def shutdown_strategy(context: Context) -> Strategy:
    """The strategy that elects a replica whose broker is not shutting down."""
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
    # A state that exists already is this controller's when the answer to its creation was lost.
    nodes = (yield Read([PartitionNode.path(*partition) for partition in unsure])) if unsure else []
    for partition, found in zip(unsure, nodes, strict=True):
        state = decode(context, partition, found)
        if found is not None and state == chosen[partition]:
            _lead(context, batch, partition, state, found.version, state.isr, is_new=True)
            done.add(partition)
        elif state is not None:
            log.error("partition %s-%d has a state already: %s", *partition, state)
            context.unusable_states.add(partition)
    return done


def _elect(context: Context, batch: Batch, partitions: list[Partition], choose: Strategy) -> Steps[set[Partition]]:
    done: set[Partition] = set()
    remaining, again = partitions, False
    while remaining:
        current = yield from current_states(context, remaining, again)
        writes: dict[Partition, tuple[PartitionNode, int]] = {}
        chosen: dict[Partition, Elected] = {}
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
            writes[partition] = (new, version)
            chosen[partition] = elected
        if nobody:
            log.warning("no replica may lead: %s; the first is %s", shown(nobody), current[nobody[0]][0])
        written, remaining = yield from write_states(writes)
        for partition, version in written.items():
            if chosen[partition].recovering:
                UNCLEAN_ELECTIONS.mark()
            new, recipients = writes[partition][0], chosen[partition].recipients
            _lead(context, batch, partition, new, version, recipients, is_new=False)
            done.add(partition)
        again = True
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
        config = (decode_or_none(EntityConfig, node.data, "topics", topic) if node is not None else None) or {}
        values = parse_topic_overrides(usable(config)[0])
        if values.get("unclean.leader.election.enable", context.unclean_by_default):
            allowed.add(topic)
    return allowed
