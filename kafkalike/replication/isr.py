"""The in-sync replicas of the partitions that this broker leads: who joins, who leaves, and what that commits.

`Partition` has the rules. Here they are applied to all partitions, with the time and with what the cluster says of the
followers' brokers; changes go to the controller (`alter_partition.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from twisted.internet import task

from kafkalike.replication.alter_partition import IsrProposals
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.hosted_partitions import HostedPartition, HostedPartitions
from kafkalike.replication.partition import Partition
from kafkalike.replication.purgatory import Purgatory

log = logging.getLogger("kafka.cluster.Partition")


class InSyncReplicas:
    """The in-sync replicas of every partition that this broker leads."""

    def __init__(
        self, partitions: HostedPartitions, purgatory: Purgatory, cluster: ClusterView, lag_ms: int, reactor: Any
    ) -> None:
        """A follower leaves that has not caught up for `lag_ms`: replica.lag.time.max.ms."""
        self.lag_ms = lag_ms
        self.proposals = IsrProposals(cluster, self._committed, reactor)
        self._partitions = partitions
        self._purgatory = purgatory
        self._cluster = cluster
        self._expiration = task.LoopingCall(self.shrink)
        self._expiration.clock = reactor

    def start(self) -> None:
        """Begins to look for followers that lag."""
        interval_ms = self.lag_ms // 2
        if 0 < interval_ms < 2**40:  # what a timer can measure
            ended = self._expiration.start(interval_ms / 1000, now=False)
            ended.addErrback(lambda failure: log.error("Shrinking ISRs ended: %s", failure.getTraceback()))

    def stop(self) -> None:
        """Ends all proposals."""
        self.proposals.stop()
        if self._expiration.running:
            self._expiration.stop()

    def advance(self, hosted: HostedPartition, now_ms: int) -> None:
        """Moves the high watermark as far as the in-sync replicas allow, and wakes whoever waits for that."""
        end = hosted.log.log_end_offset
        if hosted.partition.advance(end, now_ms, self.lag_ms, self._cluster.is_reachable):
            self._purgatory.wake(hosted.key)

    def reconsider(self, hosted: HostedPartition) -> None:
        """Looks again at requests that wait, for other replicas are in sync now, or fewer are enough."""
        now_ms = self._cluster.clock.wall_ms()
        hosted.partition.advance(hosted.log.log_end_offset, now_ms, self.lag_ms, self._cluster.is_reachable)
        self._purgatory.wake(hosted.key)

    def expand(self, hosted: HostedPartition, broker_id: int) -> bool:
        """Proposes a follower for the ISR if it has caught up and no veto is raised."""
        partition = hosted.partition
        start = hosted.log.log_start_offset
        if not partition.joiner(broker_id, start) or any(
            veto(partition, broker_id) for veto in self._cluster.isr_vetoes
        ):
            return False
        self._propose(hosted, (*partition.isr, broker_id))
        return True

    def shrink(self) -> None:
        """Takes followers that have been behind for too long out of their ISR."""
        now_ms = self._cluster.clock.wall_ms()
        for hosted in self._partitions.hosted.values():
            partition = hosted.partition
            behind = partition.laggards(hosted.log.log_end_offset, now_ms, self.lag_ms)
            if behind:
                log.info("Shrinking ISR of %s-%d: %s is behind", *hosted.key, ",".join(map(str, behind)))
                self._propose(hosted, tuple(b for b in partition.isr if b not in behind))

    def brokers_gone(self, broker_ids: Collection[int]) -> None:
        """Brokers that the cluster has lost: followers there are not waited for any more."""
        for hosted in self._partitions.hosted.values():
            if not hosted.partition.followers.keys().isdisjoint(broker_ids):
                self.advance(hosted, self._cluster.clock.wall_ms())

    def _propose(self, hosted: HostedPartition, isr: tuple[int, ...]) -> None:
        proposal = hosted.partition.propose(isr)
        self.proposals.submit(hosted.log.topic_id or bytes(16), hosted.partition, proposal)

    def _committed(self, partition: Partition) -> None:
        """The controller agreed to an ISR: what waited for the one that left may go on."""
        hosted = self._partitions.hosted.get((partition.topic, partition.index))
        if hosted is None or hosted.partition is not partition:
            return
        now_ms = self._cluster.clock.wall_ms()
        self.reconsider(hosted)
        for broker_id, follower in partition.followers.items():
            # A follower that has just left for being behind would join again at once, as the high watermark may have
            # stood still.
            if now_ms - follower.caught_up_ms <= self.lag_ms and self.expand(hosted, broker_id):
                break
