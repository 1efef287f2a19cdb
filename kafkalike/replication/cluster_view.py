"""What the partitions of this broker want to know of the rest of it and of the cluster, and whom they tell.

The broker makes one `ClusterView` of its parts before it makes `Replication`; nothing is assigned to it later. Only
`isr_vetoes` grows: who has a reason to keep brokers out of the ISR adds it there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from kafkalike.clock import Clock
from kafkalike.replication.partition import Partition
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.log import Log

Ask = Callable[[int, Any, int, Any], Deferred[Any]]  # broker id, message module, version, request
Veto = Callable[[Partition, int], bool]  # partition, broker id -> whether this broker may not join the ISR yet


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What the partitions of one broker know of the cluster."""

    broker_id: int
    clock: Clock
    broker_epoch: Callable[[], int]  # the czxid of this broker's registration
    has_partition: Callable[[str, int], bool]  # whether the cluster has this partition
    topic_id: Callable[[str], bytes | None]  # the id that a topic has in the cluster
    topic_overrides: Callable[[str], Deferred[dict[str, str]]]  # a topic's own configuration, as it is by now
    is_reachable: Callable[[int], bool]  # whether that broker's address is known
    ask: Ask  # sends a request to another broker
    ask_controller: Callable[[Any], Deferred[Any]]  # sends a request to the controller, wherever that is
    before_truncation: Callable[[Log], None]  # ends every response that still has to send records of this log
    directory_lost: Callable[[LogDirectory], None]  # is told that the disk of a log directory has failed
    replica_refused: Callable[[], None]  # is told that this broker lacked descriptors or space for a replica
    isr_vetoes: list[Veto] = field(default_factory=list)
