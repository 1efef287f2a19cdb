"""AlterPartition: what leaders may change, and what they may not."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller import broker_changes, isr
from kafkalike.controller.context import Context
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import alter_partition as messages
from tests.controller.world import World

TOPIC_ID = b"t".ljust(16, b"-")


def world_of(*broker_ids: int) -> tuple[World, Context]:
    """Topic t with one partition on all of them, led by the first."""
    world = World()
    for broker_id in broker_ids:
        world.broker(broker_id)
    world.topic("t", {0: broker_ids})
    context = world.controller()
    world.requests_sent()
    return world, context


def asking(context: Context, members: dict[int, int] | tuple[int, ...], version: int = 3, **fields: Any) -> Any:
    """A request of broker 1 for an ISR of t-0; `members` may name their broker epochs."""
    epochs = members if isinstance(members, dict) else {m: context.brokers[m].epoch for m in members}
    data = messages.PartitionData(
        partition_index=fields.pop("partition", 0),
        leader_epoch=fields.pop("leader_epoch", 0),
        partition_epoch=fields.pop("partition_epoch", 0),
        leader_recovery_state=fields.pop("recovery", 0),
    )
    if version >= 3:
        data.new_isr_with_epochs = [messages.BrokerState(broker_id=m, broker_epoch=e) for m, e in epochs.items()]
    else:
        data.new_isr = list(epochs)
    topic = messages.TopicData(partitions=[data])
    topic.topic_name = fields.pop("name", "t")
    topic.topic_id = fields.pop("topic_id", TOPIC_ID)
    broker_id = fields.pop("broker_id", 1)
    epoch = fields.pop("broker_epoch", None)
    assert not fields
    return messages.Request(
        broker_id=broker_id,
        broker_epoch=context.brokers[broker_id].epoch if epoch is None else epoch,
        topics=[topic],
    )


def answer(world: World, context: Context, request: Any, version: int = 3) -> Any:
    response = world.perform(isr.alter(context, request, version))
    decoded = messages.Response.decode(version, response.encode(version))
    return decoded.topics[0].partitions[0]


@pytest.mark.parametrize("version", range(4))
def test_a_leader_changes_its_isr_and_everybody_hears_of_it(version: int) -> None:
    world, context = world_of(1, 2, 3)
    shrunk = answer(world, context, asking(context, (1, 3), version), version)
    assert (0, 1, 0, [1, 3], 1) == (
        shrunk.error_code, shrunk.leader_id, shrunk.leader_epoch, shrunk.isr, shrunk.partition_epoch,
    )  # fmt: skip
    assert {"leader": 1, "leader_epoch": 0, "isr": [1, 3], "zk": 1}.items() <= world.state("t", 0).items()
    assert [f"UM>{b} t-0:1[1,3]@0" for b in (1, 2, 3)] == world.requests_sent()
    grown = answer(world, context, asking(context, (1, 3, 2), version, partition_epoch=1), version)
    assert (0, [1, 3, 2], 2) == (grown.error_code, grown.isr, grown.partition_epoch)


def test_what_is_so_already_is_not_written_again() -> None:
    world, context = world_of(1, 2)
    answer(world, context, asking(context, (1,)))
    before = world.state("t", 0)
    repeated = answer(world, context, asking(context, (1,)))
    assert (0, [1], 1) == (repeated.error_code, repeated.isr, repeated.partition_epoch)
    assert before == world.state("t", 0)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"partition": 7}, Error.UNKNOWN_TOPIC_OR_PARTITION),
        ({"topic_id": b"x" * 16}, Error.UNKNOWN_TOPIC_ID),
        ({"leader_epoch": 2}, Error.NOT_CONTROLLER),
        ({"partition_epoch": 9}, Error.NOT_CONTROLLER),
        ({"leader_epoch": 0}, Error.FENCED_LEADER_EPOCH),
        ({"partition_epoch": 0}, Error.INVALID_UPDATE_VERSION),
        ({"recovery": 1}, Error.INVALID_REQUEST),
        ({"members": (1,), "recovery": 1}, Error.INVALID_REQUEST),
        ({"members": ()}, Error.INVALID_REQUEST),
        ({"members": (2,)}, Error.INVALID_REQUEST),
        ({"members": {1: -1, 4: -1}}, Error.INVALID_REQUEST),
        ({"broker_id": 2}, Error.INVALID_REQUEST),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_nothing_changes(fields: dict[str, Any], error: Error) -> None:
    world, context = world_of(1, 2, 3, 4)
    world.topic("t", {0: (1, 2, 3)})
    context = world.controller(epoch=2)
    world.perform(broker_changes.shut_down(context, 4))
    # Leader epoch 1, partition epoch 1, ISR 1 and 2.
    world.put(PartitionNode.path("t", 0), PartitionNode(1, 1, (1, 2), 2).encode())
    context = world.controller(epoch=3)
    world.requests_sent()
    before = world.state("t", 0)
    known = {"leader_epoch": 1, "partition_epoch": before["zk"], "members": (1, 2, 3)} | fields
    assert error == answer(world, context, asking(context, known.pop("members"), **known)).error_code
    assert before == world.state("t", 0) and [] == world.requests_sent()


def test_A5_a_replica_that_was_started_anew_since_it_caught_up_does_not_enter() -> None:
    world, context = world_of(1, 2)
    old = context.brokers[2].epoch
    answer(world, context, asking(context, (1,)))
    world.broker(2)
    world.perform(broker_changes.brokers_changed(context))
    epochs = context.leaderships["t", 0]
    now = {"leader_epoch": epochs.leader_epoch, "partition_epoch": epochs.partition_epoch}
    stale = asking(context, {1: context.brokers[1].epoch, 2: old}, **now)
    assert Error.INELIGIBLE_REPLICA == answer(world, context, stale).error_code
    assert [1] == world.state("t", 0)["isr"]
    fresh = asking(context, {1: context.brokers[1].epoch, 2: context.brokers[2].epoch}, **now)
    assert [1, 2] == answer(world, context, fresh).isr


def test_A6_a_replica_that_is_dead_or_leaving_does_not_enter() -> None:
    world, context = world_of(1, 2, 3)
    world.perform(broker_changes.shut_down(context, 3))
    world.remove("/brokers/ids/2")
    world.perform(broker_changes.brokers_changed(context))
    known = context.leaderships["t", 0]
    now = {"leader_epoch": known.leader_epoch, "partition_epoch": known.partition_epoch}
    for member, version, error in (
        (2, 3, Error.INELIGIBLE_REPLICA),
        (3, 2, Error.INELIGIBLE_REPLICA),
        (3, 1, Error.OPERATION_NOT_ATTEMPTED),
    ):
        request = asking(context, {1: -1, member: -1}, version, **now)
        assert error == answer(world, context, request, version).error_code
    assert [1] == world.state("t", 0)["isr"]


@pytest.mark.parametrize(("broker_id", "epoch"), [(9, 1), (1, 1), (1, -1), (1, 1 << 40)])
def test_B3_a_sender_of_another_life_is_refused_as_a_whole(broker_id: int, epoch: int) -> None:
    world, context = world_of(1, 2)
    with pytest.raises(KafkaError) as caught:
        world.perform(isr.alter(context, asking(context, (1,), broker_id=broker_id, broker_epoch=epoch), 3))
    assert Error.STALE_BROKER_EPOCH == caught.value.error
    assert [] == world.requests_sent()


def test_A18_a_lost_answer_is_not_a_conflict_and_a_conflict_is_no_success() -> None:
    world, context = world_of(1, 2, 3)
    wanted = PartitionNode(1, 0, (1, 2), 1)
    world.put(PartitionNode.path("t", 0), wanted.encode())
    won = answer(world, context, asking(context, (1, 2)))
    assert (0, [1, 2], 1) == (won.error_code, won.isr, won.partition_epoch)
    # A leader of an old version wrote its ISR itself.
    world.put(PartitionNode.path("t", 0), PartitionNode(1, 0, (1,), 1).encode())
    lost = answer(world, context, asking(context, (1, 2, 3), partition_epoch=1))
    assert Error.INVALID_UPDATE_VERSION == lost.error_code
    assert ((1,), 2) == (context.leaderships["t", 0].isr, context.leaderships["t", 0].partition_epoch)


def test_a_recovered_leader_says_so() -> None:
    world, context = world_of(1, 2)
    world.put(PartitionNode.path("t", 0), PartitionNode(1, 1, (1,), 1, recovering=True).encode())
    context = world.controller(epoch=2)
    known = context.leaderships["t", 0]
    request = asking(context, (1,), leader_epoch=known.leader_epoch, partition_epoch=known.partition_epoch)
    assert 0 == answer(world, context, request).error_code
    assert "leader_recovery_state" not in world.state("t", 0)
