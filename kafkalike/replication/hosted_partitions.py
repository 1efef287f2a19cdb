"""The partitions of which this broker has a replica, and the log directories where their logs are.

Everything in this package that works on partitions finds them here; only `Leadership` puts some in and takes them out.
"""

from __future__ import annotations

from kafkalike.config import Config
from kafkalike.errors import Error, KafkaError
from kafkalike.replication import replication_quota, topic_traffic
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.partition import Partition
from kafkalike.replication.topic_configs import TopicConfigs
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.log import Log


class HostedPartition:
    """A partition of which this broker has a replica: its state and its log.

    Two keys wake requests that wait for it: `key` when its high watermark, log start or leadership changed (consumers,
    producers with acks=all), `appended_key` when its log grew (followers).
    """

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


class HostedPartitions:
    """All partitions of which this broker has a replica, by topic and partition number."""

    def __init__(self, cluster: ClusterView, config: Config) -> None:
        self.hosted: dict[tuple[str, int], HostedPartition] = {}
        self.directories: list[LogDirectory] = []
        self.topic_configs = TopicConfigs(config)
        self._cluster = cluster

    def find(self, topic: str, index: int) -> HostedPartition:
        """The partition, led here or not; else KafkaError 3, 6 or 56."""
        hosted = self.hosted.get((topic, index))
        if hosted is None:
            raise KafkaError(self._absence(topic, index))
        return hosted

    def leader(self, topic: str, index: int, current_leader_epoch: int = -1) -> HostedPartition:
        """The partition, led by this broker; else KafkaError 3, 6, 56, 74 or 75."""
        hosted = self.find(topic, index)
        hosted.partition.check_epoch(current_leader_epoch)
        hosted.partition.check_leading()
        return hosted

    def _absence(self, topic: str, index: int) -> Error:
        """Why a partition is not here."""
        if self.is_lost((topic, index)):
            return Error.KAFKA_STORAGE_ERROR
        known = self._cluster.has_partition(topic, index)
        return Error.NOT_LEADER_OR_FOLLOWER if known else Error.UNKNOWN_TOPIC_OR_PARTITION

    def is_lost(self, key: tuple[str, int]) -> bool:
        """Whether the replica lies in a directory that has failed."""
        return any(directory.offline is not None and key in directory.logs for directory in self.directories)

    def may_be_lost(self, key: tuple[str, int]) -> bool:
        """Whether a replica that existed may lie in a directory that has failed: there is one, and no other has it."""
        offline = any(directory.offline is not None for directory in self.directories)
        return offline and not any(key in directory.logs for directory in self.directories)

    def topics_with_logs(self) -> set[str]:
        """Topics of which there is any log, served or not."""
        return {topic for directory in self.directories for topic, _ in directory.logs}

    def configure(self, topic: str, overrides: dict[str, str]) -> list[HostedPartition]:
        """A topic's own configuration, or a default beneath it, has changed: its logs here follow. Returns the
        partitions that it concerned."""
        self.topic_configs.overrides[topic] = overrides
        concerned = [hosted for key, hosted in self.hosted.items() if key[0] == topic]
        for hosted in concerned:
            hosted.log.config = self.topic_configs.of_logs(topic)
            hosted.configure(self.topic_configs.of(topic))
        return concerned
