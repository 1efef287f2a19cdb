"""What brokers' responses to control requests ask of the controller: steps, for the responses that change something."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kafkalike.controller import notifications, topic_deletion, unclean_recovery
from kafkalike.controller.context import Context, Partition, Replica
from kafkalike.controller.effects import Request, Steps
from kafkalike.errors import Error
from kafkalike.protocol.messages import leader_and_isr, list_offsets, offset_for_leader_epoch, stop_replica

log = logging.getLogger(__name__)

After = Callable[[Context], Steps[Any]]


def steps_after(context: Context, broker_id: int, request: Request, response: Any) -> After | None:
    """The steps that follow from a broker's response, None when nothing follows. The response is of the broker's
    present life: the queue to the broker was closed when the controller saw a later one."""
    if getattr(response, "error_code", 0):
        name = type(request).__module__.rpartition(".")[2]
        log.warning("broker %d answers %s to %s", broker_id, Error(response.error_code).name, name)
    if isinstance(request, stop_replica.Request):
        return _after_stop_replica(broker_id, request, response)
    if isinstance(request, leader_and_isr.Request):
        return _after_leader_and_isr(context, broker_id, request.broker_epoch, response)
    known = context.brokers.get(broker_id)
    epoch = known.epoch if known is not None else -1
    if isinstance(request, list_offsets.Request):
        ends = unclean_recovery.answered_ends(response)
        return lambda context: unclean_recovery.log_ends_answered(context, broker_id, epoch, ends)
    if isinstance(request, offset_for_leader_epoch.Request):
        ends, epochs = unclean_recovery.answered_epochs(request, response)
        return lambda context: unclean_recovery.log_ends_answered(context, broker_id, epoch, ends, epochs)
    return None


def _after_stop_replica(broker_id: int, request: stop_replica.Request, response: stop_replica.Response) -> After | None:
    errors = {(e.topic_name, e.partition_index): e.error_code for e in response.partition_errors}
    deleted: list[Replica] = []
    failed: list[Replica] = []
    for topic in request.topic_states:
        for state in topic.partition_states:
            if state.delete_partition:
                error = response.error_code or errors.get((topic.topic_name, state.partition_index), 0)
                replica = (topic.topic_name, state.partition_index, broker_id)
                (failed if error else deleted).append(replica)
    if not (deleted or failed):
        return None
    return lambda context: topic_deletion.replicas_deleted(context, broker_id, request.broker_epoch, deleted, failed)


def _after_leader_and_isr(
    context: Context, broker_id: int, epoch: int, response: leader_and_isr.Response
) -> After | None:
    names = {topic_id: topic for topic, topic_id in context.topic_ids.items()} if response.topics else {}
    errors: dict[Partition, int] = {}
    for error in response.partition_errors:
        errors[error.topic_name, error.partition_index] = error.error_code
    for topic in response.topics:
        for error in topic.partition_errors:
            if topic.topic_id in names:
                errors[names[topic.topic_id], error.partition_index] = error.error_code
    failed = [partition for partition, error in errors.items() if error == Error.KAFKA_STORAGE_ERROR]
    fine = [partition for partition, error in errors.items() if error == Error.NONE]
    if not (failed or context.offline_replicas.get(broker_id)):
        return None
    return lambda context: notifications.log_dir_answered(context, broker_id, epoch, failed, fine)
