"""Which steps follow from a broker's response to a control request."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.controller.context import ReplicaState
from kafkalike.controller.control_responses import steps_after
from kafkalike.errors import Error
from kafkalike.protocol.messages import leader_and_isr, stop_replica, update_metadata
from tests.controller.world import World, world_with

STORAGE_ERROR = Error.KAFKA_STORAGE_ERROR


def stop(world: World, delete: bool) -> Any:
    """The order to broker 2 to stop its replica of t-0."""
    state = stop_replica.StopReplicaPartitionState(partition_index=0, leader_epoch=0, delete_partition=delete)
    topic = stop_replica.StopReplicaTopicState(topic_name="t", partition_states=[state])
    return stop_replica.Request(controller_id=1, controller_epoch=1, broker_epoch=7, topic_states=[topic])


def test_nothing_follows_from_success_and_an_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = world_with(1, 2)
    context = world.controller()
    assert steps_after(context, 2, update_metadata.Request(), update_metadata.Response()) is None
    assert steps_after(context, 2, stop(world, delete=False), stop_replica.Response()) is None
    assert steps_after(context, 2, leader_and_isr.Request(), leader_and_isr.Response()) is None
    assert [] == caplog.messages
    refused = update_metadata.Response(error_code=Error.STALE_CONTROLLER_EPOCH)
    assert steps_after(context, 2, update_metadata.Request(), refused) is None
    assert ["broker 2 answers STALE_CONTROLLER_EPOCH to update_metadata"] == caplog.messages


@pytest.mark.parametrize(
    ("error", "state"), [(0, ReplicaState.DELETION_SUCCESSFUL), (STORAGE_ERROR, ReplicaState.OFFLINE)]
)
def test_a_deletion_goes_on_or_fails_by_the_answer_to_stop_replica(error: int, state: ReplicaState) -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (1, 2)})
    context = world.controller()
    context.topics_to_delete.add("t")
    context.replica_states["t", 0, 2] = ReplicaState.DELETION_STARTED
    request = stop(world, delete=True)
    request.broker_epoch = context.brokers[2].epoch
    failed = stop_replica.StopReplicaPartitionError(topic_name="t", partition_index=0, error_code=error)
    steps = steps_after(context, 2, request, stop_replica.Response(partition_errors=[failed]))
    assert steps is not None
    world.perform(steps(context))
    assert state is context.replica_state(("t", 0, 2))


def test_a_storage_error_in_the_answer_to_leader_and_isr_makes_the_replica_offline() -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (2, 1)})
    context = world.controller()
    request = leader_and_isr.Request(broker_epoch=context.brokers[2].epoch)
    partition = leader_and_isr.LeaderAndIsrPartitionError(partition_index=0, error_code=STORAGE_ERROR)
    by_id = leader_and_isr.LeaderAndIsrTopicError(topic_id=context.topic_id("t"), partition_errors=[partition])
    steps = steps_after(context, 2, request, leader_and_isr.Response(topics=[by_id]))
    assert steps is not None
    world.perform(steps(context))
    assert {("t", 0)} == context.offline_replicas[2] and 1 == context.leaderships["t", 0].leader
