"""What brokers tell the controller: which replicas lie on failed log directories, which ISRs old brokers changed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from kafkalike.cluster.znodes.brokers import LogDirEvent
from kafkalike.cluster.znodes.topics import ISR_CHANGES
from kafkalike.controller import reassignment
from kafkalike.controller.broker_changes import replicas_failed, resume_deletions_of
from kafkalike.controller.context import Context, Partition, PartitionState, ReplicaState
from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import Children, DeleteNode, Read, Steps, Write
from kafkalike.controller.leader_election import elect_where_needed
from kafkalike.controller.partition_znodes import read_leaderships
from kafkalike.controller.replica_state_machine import move_and_send, move_replicas

log = logging.getLogger(__name__)

P, R = PartitionState, ReplicaState


def log_dir_answered(
    context: Context, broker_id: int, broker_epoch: int, failed: Iterable[Partition], fine: Iterable[Partition]
) -> Steps[None]:
    """A broker's response to LeaderAndIsr says which of its replicas lie on a log directory that has failed."""
    known = context.brokers.get(broker_id)
    if known is None or known.epoch != broker_epoch:
        return
    offline = context.offline_replicas.setdefault(broker_id, set())
    before = set(offline)
    offline.difference_update(fine)
    offline.update(failed)
    newly = sorted(offline - before)
    if newly:
        log.warning("broker %d has lost the directories of %d replicas", broker_id, len(newly))
        yield from replicas_failed(context, [(*partition, broker_id) for partition in newly])
    back = [partition for partition in sorted(before - offline) if not context.is_being_deleted(partition[0])]
    if back:
        log.info("broker %d has %d replicas again", broker_id, len(back))
        replicas = [(*partition, broker_id) for partition in back]
        yield from move_and_send(context, [r for r in replicas if context.replica_state(r) is R.OFFLINE], R.ONLINE)
        yield from elect_where_needed(context)
    yield from resume_deletions_of(context, {topic for topic, _ in before - offline})


def log_dirs_failed(context: Context) -> Steps[None]:
    """Brokers say that they lost a directory, or have one again. The controller sends them LeaderAndIsr for all their
    replicas, and learns from the responses which ones are concerned."""
    (names,) = yield Children([LogDirEvent.directory()])
    paths = [f"{LogDirEvent.directory()}/{name}" for name in sorted(names)]
    nodes = (yield Read(paths)) if paths else []
    broker_ids = {_broker_of(node.data) for node in nodes if node is not None}
    replicas = context.replicas_on(i for i in broker_ids if i in context.brokers)
    batch = Batch(context)
    yield from move_replicas(context, batch, [r for r in replicas if context.replica_state(r) is R.ONLINE], R.ONLINE)
    for topic, p, broker_id in replicas:
        if (topic, p) in context.offline_replicas.get(broker_id, ()) and (topic, p) in context.leaderships:
            batch.leader_and_isr([broker_id], (topic, p), is_new=False)
    yield batch.send()
    if paths:
        yield Write([DeleteNode(path) for path in paths])


def isr_changed(context: Context) -> Steps[None]:
    """Leaders on brokers before 2.7 write the ISR themselves and notify the controller of it."""
    (names,) = yield Children([ISR_CHANGES])
    paths = [f"{ISR_CHANGES}/{name}" for name in sorted(names)]
    if not paths:
        return
    nodes = yield Read(paths)
    changed = sorted({p for node in nodes if node is not None for p in _partitions_of(node.data)})
    known = [partition for partition in changed if partition in context.leaderships]
    yield from read_leaderships(context, known)
    batch = Batch(context)
    batch.update_metadata(context.live_or_shutting_down, known)
    yield batch.send()
    yield Write([DeleteNode(path) for path in paths])
    yield from reassignment.isr_grew(context, known)


def _broker_of(data: bytes | None) -> int:
    value = _json(data).get("broker")
    return value if isinstance(value, int) else -1


def _partitions_of(data: bytes | None) -> list[Partition]:
    entries = _json(data).get("partitions")
    return [
        (entry["topic"], entry["partition"])
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("topic"), str) and isinstance(entry.get("partition"), int)
    ]


def _json(data: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        log.warning("a notification that is no JSON is dropped: %.80r", data)
        return {}
    return value if isinstance(value, dict) else {}
