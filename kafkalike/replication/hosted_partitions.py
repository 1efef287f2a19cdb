"""A partition of which this broker has a replica, and what a read of it gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from kafkalike.config import Config
from kafkalike.replication import replication_quota, topic_traffic
from kafkalike.replication.partition import Partition
from kafkalike.replication.topic_traffic import TopicTraffic
from kafkalike.storage.log import Log


def now_ms() -> int:
    """Wall-clock time in milliseconds, as records carry it."""
    return int(time.time() * 1000)


class HostedPartition:
    """A partition of which this broker has a replica: its state and its log."""

    __slots__ = (
        "partition", "log", "key", "appended_key", "config", "leader_throttled", "follower_throttled", "traffic",
    )  # fmt: skip

    def __init__(self, partition: Partition, log: Log, config: Config) -> None:
        self.partition = partition
        self.log = log
        self.key = (partition.topic, partition.index)
        self.appended_key = (partition.topic, partition.index, "appended")
        self.traffic = topic_traffic.of(partition.topic)
        self.configure(config)

    def configure(self, config: Config) -> None:
        """The topic's configuration is this now."""
        self.config = config
        partition = self.partition
        partition.min_insync_replicas = config["min.insync.replicas"]
        here = partition.index, partition.broker_id
        self.leader_throttled = replication_quota.names(config["leader.replication.throttled.replicas"], *here)
        self.follower_throttled = replication_quota.names(config["follower.replication.throttled.replicas"], *here)


class Read(NamedTuple):
    """What a read found: the offsets that go with it, and the range of the file (None: nothing there yet).

    `diverging` is (epoch, end offset) when the reader's log has left ours: it must be cut before it goes on. `settled`:
    the same read finds the same until a key of the partition is woken, and then `on_stir` wants to know until when the
    reader has asked. What is sent of the records is counted in `traffic`.
    """

    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    records: Any
    diverging: tuple[int, int] | None = None
    settled: bool = False
    on_stir: Callable[[int], None] | None = None
    traffic: TopicTraffic | None = None
