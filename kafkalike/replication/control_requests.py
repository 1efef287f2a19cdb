"""The controller's requests to this broker, LeaderAndIsr and StopReplica: fenced, in every version, in their order.

What they mean for a partition is up to `Leadership`; here are their form, their epochs and their answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from twisted.internet import defer, task
from twisted.internet.defer import Deferred

from kafkalike.errors import Error
from kafkalike.protocol.messages import leader_and_isr, stop_replica, update_metadata
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.hosted_partitions import HostedPartition, HostedPartitions
from kafkalike.replication.leadership import Leadership

TOPIC_ID_VERSION = 5  # LeaderAndIsr's first version whose response groups errors by topic id
SLICE_MS = 20  # how long a request with many partitions may hold the reactor at a time
PORTION_MS = 2000  # after which what is done already takes effect: leaders do not wait for followers for ever


# Under names that no method has.
LeaderAndIsrRequest: TypeAlias = leader_and_isr.Request
LeaderAndIsrResponse: TypeAlias = leader_and_isr.Response
StopReplicaRequest: TypeAlias = stop_replica.Request
StopReplicaResponse: TypeAlias = stop_replica.Response


class ControlRequests:
    """Carries out one request at a time. `controller_epoch` is the newest controller's that was heard of."""

    def __init__(
        self, partitions: HostedPartitions, leadership: Leadership, cluster: ClusterView, reactor: Any
    ) -> None:
        self.controller_epoch = -1
        self._partitions = partitions
        self._leadership = leadership
        self._cluster = cluster
        self._reactor = reactor
        self._lock = defer.DeferredLock()

    def leader_and_isr(
        self, request: LeaderAndIsrRequest, version: int = leader_and_isr.VERSIONS[1]
    ) -> Deferred[LeaderAndIsrResponse]:
        """Carries out LeaderAndIsr and returns its response, shaped for `version`."""
        return self._lock.run(lambda: Deferred.fromCoroutine(self._leader_and_isr(request, version)))

    def stop_replica(self, request: StopReplicaRequest) -> Deferred[StopReplicaResponse]:
        """Carries out StopReplica and returns its response."""
        return self._lock.run(lambda: self._stop_replica(request))

    def check_controller(self, request: LeaderAndIsrRequest | StopReplicaRequest | update_metadata.Request) -> Error:
        """The broker epoch and controller epoch of a control request against ours; remembers a newer controller."""
        if request.broker_epoch != -1 and request.broker_epoch < self._cluster.broker_epoch():
            return Error.STALE_BROKER_EPOCH
        if request.controller_epoch < self.controller_epoch:
            return Error.STALE_CONTROLLER_EPOCH
        self.controller_epoch = request.controller_epoch
        return Error.NONE

    async def _leader_and_isr(self, request: LeaderAndIsrRequest, version: int) -> LeaderAndIsrResponse:
        error = self.check_controller(request)
        if error:
            return leader_and_isr.Response(error_code=error)
        states = list(_topic_states(request))
        # What was heard of a topic that is not here may be of an earlier one by that name.
        here = self._partitions.topics_with_logs()
        for topic in dict.fromkeys(topic for topic, _, _ in states if topic not in here):
            self._partitions.topic_configs.overrides[topic] = await self._cluster.topic_overrides(topic)
        changed: list[HostedPartition] = []
        codes: list[tuple[str, bytes, int, Error]] = []
        monotonic_ms = self._cluster.clock.monotonic_ms
        began = told = monotonic_ms()
        for topic, topic_id, state in states:
            if self.check_controller(request):
                # A newer one has been obeyed meanwhile, or the session is another.
                break
            code = self._leadership.become(topic, topic_id, state, changed)
            codes.append((topic, topic_id, state.partition_index, code))
            if monotonic_ms() - began > SLICE_MS:
                if monotonic_ms() - told > PORTION_MS:
                    self._leadership.carried_out(changed)
                    changed, told = [], monotonic_ms()
                await task.deferLater(self._reactor, 0, lambda: None)
                began = monotonic_ms()
        self._leadership.carried_out(changed)
        if len(codes) < len(states):
            return leader_and_isr.Response(error_code=self.check_controller(request))
        outcome = leader_and_isr.LeaderAndIsrPartitionError
        if version < TOPIC_ID_VERSION:
            return leader_and_isr.Response(
                partition_errors=[
                    outcome(topic_name=topic, partition_index=index, error_code=code) for topic, _, index, code in codes
                ]
            )
        by_topic: dict[bytes, list[leader_and_isr.LeaderAndIsrPartitionError]] = {}
        for _, topic_id, index, code in codes:
            by_topic.setdefault(topic_id, []).append(outcome(partition_index=index, error_code=code))
        return leader_and_isr.Response(
            topics=[
                leader_and_isr.LeaderAndIsrTopicError(topic_id=topic_id, partition_errors=errors)
                for topic_id, errors in by_topic.items()
            ]
        )

    def _stop_replica(self, request: StopReplicaRequest) -> StopReplicaResponse:
        error = self.check_controller(request)
        if error:
            return stop_replica.Response(error_code=error)
        errors = []
        for topic, index, leader_epoch, delete in _stops(request):
            code = self._leadership.give_up(topic, index, leader_epoch, delete)
            errors.append(
                stop_replica.StopReplicaPartitionError(topic_name=topic, partition_index=index, error_code=code)
            )
        return stop_replica.Response(error_code=0, partition_errors=errors)


def _topic_states(
    request: leader_and_isr.Request,
) -> Iterator[tuple[str, bytes, leader_and_isr.LeaderAndIsrPartitionState]]:
    """(topic, topic id, partition state) of a LeaderAndIsr request of any version."""
    for state in request.ungrouped_partition_states:
        yield state.topic_name, bytes(16), state
    for topic in request.topic_states:
        for state in topic.partition_states:
            yield topic.topic_name, topic.topic_id, state


def _stops(request: stop_replica.Request) -> Iterator[tuple[str, int, int, bool]]:
    """(topic, partition, leader epoch, delete) of a StopReplica request of any version."""
    for partition in request.ungrouped_partitions:
        yield partition.topic_name, partition.partition_index, -1, request.delete_partitions
    for topic in request.topics:
        for index in topic.partition_indexes:
            yield topic.name, index, -1, request.delete_partitions
    for topic in request.topic_states:
        for state in topic.partition_states:
            yield topic.topic_name, state.partition_index, state.leader_epoch, state.delete_partition
