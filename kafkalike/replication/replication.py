"""Everything that this broker does with the partitions of which it has a replica: built, started and stopped here.

The constructor makes the parts in an order in which each gets those that it needs: the registry of hosted partitions
first, what serves them, what follows, repairs and maintains them, and at the end who changes which partitions are here.
These parts are the only callers of `storage/`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from kafkalike.config import Config
from kafkalike.errors import KafkaError
from kafkalike.replication import replica_gauges
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.control_requests import ControlRequests
from kafkalike.replication.fetchers import Fetchers
from kafkalike.replication.file_threads import in_thread
from kafkalike.replication.follower import FollowedPartitions
from kafkalike.replication.hosted_partitions import HostedPartitions
from kafkalike.replication.isr import InSyncReplicas
from kafkalike.replication.leadership import Leadership
from kafkalike.replication.log_maintenance import LogMaintenance
from kafkalike.replication.repair import Repair
from kafkalike.replication.replicas import Replicas
from kafkalike.replication.replication_quota import ReplicationQuota
from kafkalike.replication.timed_purgatory import TimedPurgatory
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.files import DirectoryLost

log = logging.getLogger("kafka.server.ReplicaManager")


class Replication:
    """The replication of one broker. `load` comes first, then `start`; `stop` ends it at any moment."""

    def __init__(self, cluster: ClusterView, config: Config, reactor: Any) -> None:
        self._cluster = cluster
        self._reactor = reactor
        windows = 1000 * config["replication.quota.window.size.seconds"], config["replication.quota.window.num"]
        self.leader_quota = ReplicationQuota(lambda: config["leader.replication.throttled.rate"], *windows)
        self.follower_quota = ReplicationQuota(lambda: config["follower.replication.throttled.rate"], *windows)
        self.partitions = partitions = HostedPartitions(cluster, config)
        self.purgatory = purgatory = TimedPurgatory(reactor, cluster.clock)
        self.isr = InSyncReplicas(partitions, purgatory, cluster, config["replica.lag.time.max.ms"], reactor)
        self.replicas = Replicas(partitions, purgatory, self.isr, self.leader_quota, cluster)
        followed = FollowedPartitions(partitions, purgatory, self.follower_quota, cluster)
        self.fetchers = Fetchers(followed, cluster, config, reactor)
        self.repair = Repair(partitions, cluster, reactor)
        self.log_maintenance = LogMaintenance(partitions, purgatory, self.fetchers, cluster.clock, config, reactor)
        self.leadership = Leadership(partitions, purgatory, followed, self.fetchers, self.repair, cluster, reactor)
        self.control_requests = ControlRequests(partitions, self.leadership, cluster, reactor)
        replica_gauges.watch(partitions)

    def load(
        self, cluster_id: str, overrides: Mapping[str, dict[str, str]], directories: Sequence[LogDirectory]
    ) -> Deferred[None]:
        """Opens and recovers every log in these directories, which are locked, in a thread. Errors are lines for the
        operator; directories whose disk fails are gone without, as long as there is another."""
        partitions = self.partitions
        partitions.topic_configs.overrides = dict(overrides)
        partitions.directories = list(directories)
        of_logs, clock = partitions.topic_configs.of_logs, self._cluster.clock

        def open_all() -> None:
            lost: list[DirectoryLost] = []
            for directory in directories:
                if directory.offline is not None:
                    continue
                try:
                    directory.open(self._cluster.broker_id, cluster_id, of_logs, clock.wall_ms())
                    directory.on_offline = functools.partial(self.leadership.directory_failed, directory)
                except DirectoryLost as problem:
                    lost.append(problem)
            if lost and all(directory.offline is not None for directory in directories):
                raise lost[0]
            for each in lost:
                log.error("%s", each)

        return in_thread(self._reactor, open_all)

    def interrupt_load(self) -> None:
        """Lets `load` fail as soon as the log that it is at is open, since the broker is to stop."""
        for directory in self.partitions.directories:
            directory.interrupted = True

    def start(self) -> None:
        """Begins the periodic work."""
        self.log_maintenance.start()
        self.isr.start()
        self.repair.start()

    def stop(self, clean: bool | None = True) -> Deferred[None]:
        """Stops the periodic work, writes everything and closes the logs, in a thread. Without `clean` the next start
        counts as one after an unclean stop; with None it counts as this one did."""
        self.fetchers.close()
        self.isr.stop()
        self.log_maintenance.stop()
        self.repair.stop()
        self.purgatory.stop()
        self.log_maintenance.note_high_watermarks()
        for hosted in self.partitions.hosted.values():
            hosted.partition.retire()

        def close_all() -> None:
            for directory in self.partitions.directories:
                try:
                    directory.close(directory.clean if clean is None else clean)
                except KafkaError as problem:
                    log.error("%s is not closed cleanly: %s", directory.path, problem)

        return in_thread(self._reactor, close_all)

    def configure(self, topic: str, overrides: dict[str, str]) -> None:
        """Applies a topic's own configuration, or a default beneath it, that has changed."""
        for hosted in self.partitions.configure(topic, overrides):
            # Fewer replicas may be enough now for what waits.
            if hosted.partition.leading:
                self.isr.reconsider(hosted)
