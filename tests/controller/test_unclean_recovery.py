"""The logs of suspect replicas are compared, and the longest leads."""

from __future__ import annotations

import json
from typing import Any

from kafkalike.cluster.znodes.brokers import BrokerNode, Endpoint
from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller import broker_changes, leader_election, reassignment, unclean_recovery
from kafkalike.controller.context import Context
from kafkalike.protocol.messages import offset_for_leader_epoch
from tests.controller.unclean import crashed, has, marked, questions, world_of
from tests.controller.world import World


def epoch_asked(world: World) -> list[tuple[int, int, int]]:
    """The brokers that were asked since the last call, each with the epoch and the replica id of the question."""
    asked = [(b, r) for b, r in world.sent if isinstance(r, offset_for_leader_epoch.Request)]
    world.sent = []
    return [(broker_id, r.topics[0].partitions[0].leader_epoch, r.replica_id) for broker_id, r in asked]


def compared(isr: tuple[int, ...], former: tuple[int, ...]) -> tuple[World, Context]:
    """A world in which all members of the ISR are suspect, and they and the former members can be asked."""
    world, _ = world_of(4, 1, 2, 3)
    world.topic("t", {0: (3, 2, 1)})
    state = PartitionNode(-1, 13, isr, 1, former=former, suspects=isr)
    world.remove(PartitionNode.path("t", 0))
    world.put(PartitionNode.path("t", 0), state.encode())
    context = world.controller(4, epoch=2)
    assert sorted((*isr, *former)) == sorted(questions(world))
    return world, context


def life(context: Context, broker_id: int) -> int:
    """The epoch that a broker is known by."""
    return context.brokers[broker_id].epoch


def ends(world: World, context: Context, told: dict[int, tuple[int, int]]) -> None:
    for broker_id, end in told.items():
        world.perform(unclean_recovery.log_ends_answered(context, broker_id, life(context, broker_id), {("t", 0): end}))


def test_A4_the_last_replica_standing_is_compared_with_former_members_and_the_longest_log_leads() -> None:
    world, context = world_of(4, 1, 2, 3)
    world.topic("t", {0: (1, 2, 3)})
    world.remove(PartitionNode.path("t", 0))
    context = world.controller(4, epoch=2)
    for broker_id in (3, 2):
        world.remove(BrokerNode.path(broker_id))
        world.perform(broker_changes.brokers_changed(context))
    has(world, leader=1, isr=[1], former_isr=[3, 2])
    world.remove(BrokerNode.path(1))
    world.perform(broker_changes.brokers_changed(context))
    has(world, leader=-1, isr=[1])
    world.sent = []
    crashed(world, 1)
    world.perform(broker_changes.brokers_changed(context))
    has(world, leader=-1, isr=[1], suspect_isr=[1], former_isr=[3, 2])
    assert not marked(world, 1)
    assert [1] == questions(world) and ["logs to compare"] == world.reminders
    world.perform(unclean_recovery.log_ends_answered(context, 1, life(context, 1), {("t", 0): (1, 700)}))
    has(world, leader=-1)
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    assert [2] == questions(world)
    world.perform(unclean_recovery.log_ends_answered(context, 2, life(context, 2), {("t", 0): (1, 1000)}))
    has(world, leader=-1)
    world.broker(3)
    world.perform(broker_changes.brokers_changed(context))
    assert [3] == questions(world)
    world.perform(unclean_recovery.log_ends_answered(context, 3, life(context, 3), {("t", 0): (0, 2000)}))
    has(world, leader=2, isr=[2], former_isr=[3, 1], suspect_isr=None)
    assert not context.comparing and not context.log_ends
    # No broker is asked twice, and an answer that comes late changes nothing.
    epoch = world.state("t", 0)["leader_epoch"]
    world.perform(unclean_recovery.log_ends_answered(context, 1, life(context, 1), {("t", 0): (1, 9000)}))
    world.perform(unclean_recovery.comparison_timed_out(context, context.comparisons))
    has(world, leader=2, leader_epoch=epoch)


def test_A4_a_newer_record_that_only_a_former_member_has_does_not_lead_over_what_the_isr_committed_without_it() -> None:
    """Simulation, seed 618120: 2 had led epoch 9, and kept 23 records of it that it could not commit. Then 3 led again
    and committed up to 101 with 1, all in epoch 7, for an election writes no record."""
    world, context = compared(isr=(3, 1), former=(2,))
    ends(world, context, {3: (-1, 0), 1: (7, 101), 2: (9, 96)})
    has(world, leader=1, isr=[1], former_isr=[2, 3])
    # Also when it has more of them: then it says how far it shares epoch 7.
    for epoch, end, leader in ((7, 73, 1), (6, 40, 1), (-1, -1, 1), (7, 101, 2), (7, 104, 2)):
        world, context = compared(isr=(3, 1), former=(2,))
        ends(world, context, {3: (-1, 0), 1: (7, 101), 2: (9, 120)})
        has(world, leader=-1)
        assert [(2, 7, -2)] == epoch_asked(world)
        # The replica is asked once, and waited for though the time is up, as it is live.
        world.perform(unclean_recovery.comparison_timed_out(context, context.comparisons))
        assert [] == epoch_asked(world)
        has(world, leader=-1)
        world.perform(
            unclean_recovery.log_ends_answered(context, 2, life(context, 2), {("t", 0): (epoch, end)}, {("t", 0): 7})
        )
        has(world, leader=leader, isr=[leader])
        assert not context.comparing and not context.log_ends and not context.asked_for_end


def test_A4_the_time_of_one_comparison_is_not_that_of_another() -> None:
    world, context = world_of(4, 1, 2, 3)
    for topic in "tu":
        world.topic(topic, {0: (3, 2, 1)})
        world.remove(PartitionNode.path(topic, 0))
    world.put(PartitionNode.path("t", 0), PartitionNode(-1, 13, (3, 2), 1, former=(1,), suspects=(3, 2)).encode())
    world.put(PartitionNode.path("u", 0), PartitionNode(3, 13, (3,), 1, former=(2, 1)).encode())
    context = world.controller(4, epoch=2)
    earlier = context.comparing["t", 0]
    ends(world, context, {3: (12, 100), 2: (12, 100), 1: (12, 90)})
    has(world, leader=3)
    # The members that left the ISR of u are booting when the last one crashes, and loses its newest records.
    for broker_id in (1, 2):
        world.remove(BrokerNode.path(broker_id))
        world.perform(broker_changes.brokers_changed(context))
    crashed(world, 3)
    world.perform(broker_changes.brokers_changed(context))
    world.perform(unclean_recovery.log_ends_answered(context, 3, life(context, 3), {("u", 0): (13, 10)}))
    world.perform(unclean_recovery.comparison_timed_out(context, earlier))
    assert -1 == world.state("u", 0)["leader"]
    world.perform(unclean_recovery.comparison_timed_out(context, context.comparing["u", 0]))
    assert 3 == world.state("u", 0)["leader"]


def test_A4_what_was_answered_in_an_earlier_life_says_nothing_of_this_one() -> None:
    """The answer came late, and was queued behind the event that the broker is back."""
    world, context = compared(isr=(3, 2), former=())
    ends(world, context, {3: (12, 100)})
    earlier = life(context, 2)
    crashed(world, 2)
    world.perform(broker_changes.brokers_changed(context))
    world.perform(unclean_recovery.log_ends_answered(context, 2, earlier, {("t", 0): (12, 120)}))
    has(world, leader=-1)
    ends(world, context, {2: (12, 80)})
    has(world, leader=3)


def test_A4_the_former_member_that_left_the_isr_last_comes_first() -> None:
    """As above, and 1 died before 3 lost its disk."""
    world, context = compared(isr=(3,), former=(2, 1))
    ends(world, context, {3: (-1, 0), 1: (7, 101), 2: (9, 96)})
    has(world, leader=1, isr=[1], former_isr=[2, 3])
    # One that left before may have more of the same, when all three have lost power.
    world, context = compared(isr=(3,), former=(2, 1))
    ends(world, context, {3: (7, 60), 1: (7, 80), 2: (7, 96)})
    has(world, leader=2, isr=[2], former_isr=[1, 3])


def test_A4_a_replica_that_goes_before_it_answers_for_an_epoch_is_not_waited_for_longer_than_others() -> None:
    world, context = compared(isr=(1,), former=(2,))
    ends(world, context, {1: (7, 101), 2: (9, 120)})
    assert [(2, 7, -2)] == epoch_asked(world)
    world.remove(BrokerNode.path(2))
    world.perform(broker_changes.brokers_changed(context))
    has(world, leader=-1)
    world.perform(unclean_recovery.comparison_timed_out(context, context.comparisons))
    has(world, leader=1, isr=[1], former_isr=[2])


def test_A4_the_next_comparison_asks_the_replicas_again_that_answered_the_last_one() -> None:
    """Simulation, seed 110977: nobody asked 3 again, and 1 was elected with an empty disk."""
    world, context = world_of(4, 1, 3)
    world.topic("t", {0: (1, 3)})
    world.remove(PartitionNode.path("t", 0))
    context = world.controller(4, epoch=2)
    for broker_id in (3, 1):
        world.remove(BrokerNode.path(broker_id))
        world.perform(broker_changes.brokers_changed(context))
    crashed(world, 1)
    world.broker(3)
    world.perform(broker_changes.brokers_changed(context))
    assert [1, 3] == sorted(questions(world))
    world.perform(unclean_recovery.log_ends_answered(context, 3, life(context, 3), {("t", 0): (0, 7)}))
    world.perform(unclean_recovery.log_ends_answered(context, 1, life(context, 1), {("t", 0): (1, 10)}))
    has(world, leader=1, isr=[1], former_isr=[3])
    crashed(world, 1)
    world.perform(broker_changes.brokers_changed(context))
    assert [1, 3] == sorted(questions(world))
    world.perform(unclean_recovery.log_ends_answered(context, 1, life(context, 1), {("t", 0): (-1, 0)}))
    has(world, leader=-1, isr=[1], suspect_isr=[1])
    world.perform(unclean_recovery.log_ends_answered(context, 3, life(context, 3), {("t", 0): (0, 7)}))
    has(world, leader=3, isr=[3])


def test_A4_an_answer_that_comes_after_the_comparison_says_nothing_in_the_next_one() -> None:
    world, context = compared(isr=(3, 2), former=(1,))
    ends(world, context, {3: (12, 100), 2: (12, 100)})
    world.perform(unclean_recovery.comparison_timed_out(context, context.comparisons))
    has(world, leader=3, isr=[3, 2])
    ends(world, context, {1: (11, 40)})
    assert context.log_ends == {}


def test_A4_what_was_answered_in_a_comparison_that_another_leader_ended_says_nothing_in_the_next_one() -> None:
    world, context = compared(isr=(3, 2), former=(1,))
    ends(world, context, {1: (11, 40)})
    world.perform(leader_election.elect(context, [("t", 0)], leader_election.UNCLEAN))
    assert world.state("t", 0)["leader"] > 0
    assert not context.log_ends and not context.asked_for_end and not context.comparing


def test_A4_no_election_but_the_comparison_makes_a_suspect_lead() -> None:
    """Neither the balance of leaders nor a tool, the end of a reassignment, a controlled shutdown."""
    world, context = world_of(1, 2)
    for broker_id in (2, 1):
        world.remove(BrokerNode.path(broker_id))
        world.perform(broker_changes.brokers_changed(context))
    has(world, isr=[1], former_isr=[2])
    crashed(world, 1)
    context = world.controller(3, epoch=2, balance_ms=1000)
    has(world, leader=-1, isr=[1], suspect_isr=[1])
    world.perform(leader_election.balance(context))
    world.perform(leader_election.elect(context, [("t", 0)], leader_election.PREFERRED))
    world.perform(leader_election.elect_where_needed(context))
    world.perform(reassignment.reassign(context, {("t", 0): (1,)}))
    world.perform(broker_changes.shut_down(context, 2))
    has(world, leader=-1, isr=[1], suspect_isr=[1])


def test_A4_brokers_of_apaches_are_not_compared_and_not_waited_for() -> None:
    world, context = world_of(4, 1, 2, 3)
    world.topic("t", {0: (1, 2, 3)})
    world.remove(PartitionNode.path("t", 0))
    context = world.controller(4, epoch=2)
    for broker_id in (3, 2, 1):
        world.remove(BrokerNode.path(broker_id))
        world.perform(broker_changes.brokers_changed(context))
    crashed(world, 1)
    world.perform(broker_changes.brokers_changed(context))
    world.perform(unclean_recovery.log_ends_answered(context, 1, life(context, 1), {("t", 0): (1, 700)}))
    has(world, leader=-1, isr=[1], suspect_isr=[1], former_isr=[3, 2])
    world.sent = []
    for broker_id in (2, 3):
        has(world, leader=-1)
        world.put(BrokerNode.path(broker_id), BrokerNode((Endpoint("PLAINTEXT", "PLAINTEXT", "h", 1),)).encode())
        world.perform(broker_changes.brokers_changed(context))
    assert [] == questions(world)
    has(world, leader=1, isr=[1])


def test_A4_all_crashed_together_and_each_that_is_as_long_as_the_longest_is_in_sync() -> None:
    world, context = world_of(1, 2, 3)
    for broker_id in (1, 2, 3):
        world.remove(BrokerNode.path(broker_id))
    crashed(world, 2)
    context = world.controller(2, epoch=2)
    has(world, leader=-1, isr=[2], suspect_isr=[2], former_isr=[1, 3])
    world.perform(unclean_recovery.log_ends_answered(context, 2, life(context, 2), {("t", 0): (0, 10)}))
    for broker_id in (3, 1):
        crashed(world, broker_id)
        world.perform(broker_changes.brokers_changed(context))
        assert not marked(world, broker_id)
    has(world, leader=-1)
    for broker_id in (3, 1):
        world.perform(
            unclean_recovery.log_ends_answered(context, broker_id, life(context, broker_id), {("t", 0): (0, 12)})
        )
    has(world, leader=1, isr=[1, 3], suspect_isr=None, former_isr=[2])


def test_A4_a_replica_that_does_not_come_in_time_is_not_waited_for_but_a_member_must_be_there() -> None:
    world, context = world_of(1, 2)
    for broker_id in (2, 1):
        world.remove(BrokerNode.path(broker_id))
        world.perform(broker_changes.brokers_changed(context))
    crashed(world, 1)
    context = world.controller(1, epoch=2)
    world.perform(unclean_recovery.comparison_timed_out(context, context.comparisons))
    has(world, leader=-1)
    world.perform(unclean_recovery.log_ends_answered(context, 1, life(context, 1), {("t", 0): (0, 5)}))
    has(world, leader=1, isr=[1], former_isr=[2])


def test_A4_a_trusted_member_that_comes_back_ends_the_comparison() -> None:
    world, context = world_of(1, 2)
    for broker_id in (1, 2):
        world.remove(BrokerNode.path(broker_id))
    world.put(PartitionNode.path("t", 0), PartitionNode(2, 1, (2, 1), 1).encode())
    crashed(world, 1)
    context = world.controller(1, epoch=2)
    has(world, leader=-1, isr=[1], former_isr=[2], suspect_isr=[1])
    # The mark survives its controller: it is in the state now.
    context = world.controller(1, epoch=3)
    has(world, leader=-1, suspect_isr=[1])
    world.put(PartitionNode.path("t", 0), PartitionNode(-1, 3, (1, 2), 3, suspects=(1,)).encode())
    context = world.controller(1, epoch=4)
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    has(world, leader=-1, isr=[1])
    world.put(PartitionNode.path("t", 0), PartitionNode(-1, 5, (1, 2), 4, suspects=(1,)).encode())
    context = world.controller(2, epoch=5)
    has(world, leader=2, isr=[2], suspect_isr=None, former_isr=[1])


def test_an_answer_of_an_earlier_life_does_not_count() -> None:
    world, context = world_of(1, 2)
    for broker_id in (2, 1):
        world.remove(BrokerNode.path(broker_id))
        world.perform(broker_changes.brokers_changed(context))
    world.broker(3)
    crashed(world, 1)
    context = world.controller(3, epoch=2)
    world.perform(unclean_recovery.log_ends_answered(context, 1, life(context, 1), {("t", 0): (0, 50)}))
    world.sent = []
    crashed(world, 1)
    world.perform(broker_changes.brokers_changed(context))
    assert [1] == questions(world)
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    world.perform(unclean_recovery.log_ends_answered(context, 2, life(context, 2), {("t", 0): (0, 30)}))
    has(world, leader=-1)
    world.perform(unclean_recovery.log_ends_answered(context, 1, life(context, 1), {("t", 0): (0, 20)}))
    has(world, leader=2, isr=[2])


def test_a_leader_that_changes_its_isr_makes_those_who_left_before_unnecessary() -> None:
    state = PartitionNode(1, 0, (1, 2, 3), 1)
    lone = state.with_isr((1,), 1)
    assert ((2, 3), 0) == (lone.former, lone.leader_epoch)
    assert () == state.with_isr((1, 2), 1).former == lone.with_isr((1, 2), 1).former
    assert (3,) == state.reduced((1, 2), 1).former
    # The former members stand in the order in which they left.
    assert (3, 2) == state.reduced((1, 2), 1).reduced((1,), 1).former
    assert (2, 1) == state.reduced((1, 3), 1).reduced((3,), 1).former
    assert () == lone.elected(2, (2,), 1, recovering=True).former
    decoded = PartitionNode.decode(lone.encode(), "t", 0)
    assert lone == decoded and [2, 3] == json.loads(lone.encode())["former_isr"]


def test_what_a_broker_says_of_the_end_of_an_epoch() -> None:
    def asked(p: int) -> Any:
        return offset_for_leader_epoch.OffsetForLeaderPartition(partition=p, leader_epoch=5 + p)

    def answer(p: int, **fields: int) -> Any:
        return offset_for_leader_epoch.EpochEndOffset(partition=p, **fields)

    topic = offset_for_leader_epoch.OffsetForLeaderTopic(topic="t", partitions=[asked(0), asked(1)])
    answers = [answer(0, leader_epoch=4, end_offset=70), answer(1, error_code=6), answer(2, end_offset=1)]
    result = offset_for_leader_epoch.OffsetForLeaderTopicResult(topic="t", partitions=answers)
    assert ({("t", 0): (4, 70), ("t", 1): (-1, -1)}, {("t", 0): 5, ("t", 1): 6}) == unclean_recovery.answered_epochs(
        offset_for_leader_epoch.Request(topics=[topic]), offset_for_leader_epoch.Response(topics=[result])
    )


def test_a_move_that_waited_for_the_comparison_goes_on_after_it() -> None:
    """The only replica is suspect while the partition moves away from it (simulation, seed 301527)."""
    world, context = world_of(1)
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    crashed(world, 1)
    context = world.controller(2, epoch=2)
    world.put(PartitionNode.path("t", 0), PartitionNode(-1, 5, (1,), 2, suspects=(1,), former=(2,)).encode())
    context = world.controller(2, epoch=3)
    world.perform(reassignment.reassign(context, {("t", 0): (2,)}))
    assert context.assignment(("t", 0)).being_reassigned
    for broker_id, end in ((1, 0), (2, 0)):
        world.perform(
            unclean_recovery.log_ends_answered(context, broker_id, life(context, broker_id), {("t", 0): (-1, end)})
        )
    assert not context.assignment(("t", 0)).being_reassigned
    has(world, leader=2, isr=[2])
