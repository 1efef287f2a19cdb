"""The control requests that one step sends, merged per broker (Kafka's ControllerBrokerRequestBatch).

Each broker gets LeaderAndIsr, then UpdateMetadata, then StopReplica. Only registered brokers get requests. Every change
of a partition goes to every broker as UpdateMetadata, so that each can answer any client.
"""

from __future__ import annotations

from collections.abc import Iterable

from kafkalike.cluster.metadata import LEADER_DURING_DELETE, SECURITY_PROTOCOL_IDS
from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.controller.context import Context, Partition
from kafkalike.controller.effects import Request, Send
from kafkalike.protocol.messages import leader_and_isr, stop_replica, update_metadata
from kafkalike.protocol.messages.leader_and_isr import Request as LeaderAndIsrRequest
from kafkalike.protocol.messages.stop_replica import Request as StopReplicaRequest
from kafkalike.protocol.messages.update_metadata import UpdateMetadataBroker, UpdateMetadataTopicState

# In place of a leader epoch in StopReplica: the topic is deleted, whatever epoch the receiver knows.
EPOCH_DURING_DELETE = -2
NO_EPOCH = -1


class Batch:
    """Collects what brokers are to be told, then makes the requests."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._leader_and_isr: dict[int, dict[Partition, bool]] = {}
        self._metadata_to: set[int] = set()
        self._metadata: dict[Partition, None] = {}
        self._everything_to: set[int] = set()
        self._stop: dict[int, dict[Partition, tuple[int, bool]]] = {}

    def leader_and_isr(self, broker_ids: Iterable[int], partition: Partition, is_new: bool) -> None:
        """Tells these brokers the partition's leader and ISR, and all brokers the same as metadata."""
        for broker_id in broker_ids:
            partitions = self._leader_and_isr.setdefault(broker_id, {})
            partitions[partition] = is_new or partitions.get(partition, False)
        self.update_metadata(self._context.live_or_shutting_down, [partition])

    def update_metadata(self, broker_ids: Iterable[int], partitions: Iterable[Partition]) -> None:
        """Tells these brokers the metadata of the partitions, of which there may be none, and the live brokers."""
        self._metadata_to.update(broker_ids)
        self._metadata.update(dict.fromkeys(partitions))

    def tell_everything(self, broker_ids: Iterable[int]) -> None:
        """Tells these brokers of all partitions, and that there are no others: they may have missed the deletion of
        some.

        While a topic's znodes cannot be read nobody is told that there are no others, for whoever believed it would
        drop the topic. Nor are Apache's brokers: they hear that from KRaft's controllers only.
        """
        self._everything_to.update(broker_ids)

    def withhold_metadata(self, other: Batch) -> None:
        """Leaves the metadata that this batch would send to another batch."""
        other.update_metadata(self._metadata_to, self._metadata)
        self._metadata_to, self._metadata = set(), {}

    def stop_replica(self, broker_ids: Iterable[int], partition: Partition, delete: bool) -> None:
        """Tells these brokers to stop following the partition, or to delete it, under its present leader epoch."""
        leadership = self._context.leaderships.get(partition)
        epoch = leadership.leader_epoch if leadership else NO_EPOCH
        if self._context.is_being_deleted(partition[0]):
            epoch = EPOCH_DURING_DELETE
        for broker_id in broker_ids:
            partitions = self._stop.setdefault(broker_id, {})
            partitions[partition] = (epoch, delete or partitions.get(partition, (0, False))[1])

    def send(self) -> Send:
        """The effect that sends all requests of the batch."""
        context = self._context
        known = context.live_or_shutting_down
        requests: list[tuple[int, Request]] = []
        requests += [
            (broker_id, self._leader_and_isr_request(broker_id, partitions))
            for broker_id, partitions in sorted(self._leader_and_isr.items())
            if broker_id in known
        ]
        if self._everything_to:
            self.update_metadata(self._everything_to, sorted(context.leaderships))
        full_to = {
            i for i in self._everything_to & known if BrokerNode.OFFSETS_STORAGE in context.brokers[i].node.extra
        }
        if full_to and not context.every_topic_is_known():
            full_to = set()
        topics = self._metadata_topics()
        brokers = self._live_brokers() if self._metadata_to else []
        requests += [
            (
                broker_id,
                update_metadata.Request(
                    controller_id=context.controller_id,
                    type=update_metadata.FULL if broker_id in full_to else update_metadata.UNKNOWN,
                    controller_epoch=context.epoch,
                    broker_epoch=context.brokers[broker_id].epoch,
                    topic_states=topics,
                    live_brokers=brokers,
                ),
            )
            for broker_id in sorted(self._metadata_to & known)
        ]
        requests += [
            (broker_id, self._stop_request(broker_id, partitions))
            for broker_id, partitions in sorted(self._stop.items())
            if broker_id in known
        ]
        return Send(requests)

    def _leader_and_isr_request(self, broker_id: int, partitions: dict[Partition, bool]) -> LeaderAndIsrRequest:
        context = self._context
        states: dict[str, list[leader_and_isr.LeaderAndIsrPartitionState]] = {}
        leaders = set()
        for partition, is_new in partitions.items():
            leadership = context.leaderships[partition]
            assignment = context.assignment(partition)
            leaders.add(leadership.leader)
            states.setdefault(partition[0], []).append(
                leader_and_isr.LeaderAndIsrPartitionState(
                    topic_name=partition[0],
                    partition_index=partition[1],
                    controller_epoch=leadership.controller_epoch,
                    leader=leadership.leader,
                    leader_epoch=leadership.leader_epoch,
                    isr=list(leadership.isr),
                    partition_epoch=leadership.partition_epoch,
                    replicas=list(assignment.replicas),
                    adding_replicas=list(assignment.adding),
                    removing_replicas=list(assignment.removing),
                    is_new=is_new,
                    leader_recovery_state=1 if leadership.recovering else 0,
                )
            )
        live = []
        for leader in sorted(leaders & context.brokers.keys()):
            # Kafka's brokers do not look at these addresses: they take the leader's from UpdateMetadata.
            endpoint = context.brokers[leader].node.endpoints[0]
            live.append(
                leader_and_isr.LeaderAndIsrLiveLeader(broker_id=leader, host_name=endpoint.host, port=endpoint.port)
            )
        return leader_and_isr.Request(
            controller_id=context.controller_id,
            controller_epoch=context.epoch,
            broker_epoch=context.brokers[broker_id].epoch,
            type=0,
            topic_states=[
                leader_and_isr.LeaderAndIsrTopicState(
                    topic_name=topic, topic_id=context.topic_id(topic), partition_states=topic_states
                )
                for topic, topic_states in states.items()
            ],
            live_leaders=live,
        )

    def _metadata_topics(self) -> list[UpdateMetadataTopicState]:
        context = self._context
        states: dict[str, list[update_metadata.UpdateMetadataPartitionState]] = {}
        for partition in self._metadata:
            leadership = context.leaderships.get(partition)
            if leadership is None:
                continue
            replicas = context.replicas_of(partition)
            deleted = context.is_being_deleted(partition[0])
            states.setdefault(partition[0], []).append(
                update_metadata.UpdateMetadataPartitionState(
                    topic_name=partition[0],
                    partition_index=partition[1],
                    controller_epoch=leadership.controller_epoch,
                    leader=LEADER_DURING_DELETE if deleted else leadership.leader,
                    leader_epoch=0 if deleted else leadership.leader_epoch,
                    isr=list(leadership.isr),
                    zk_version=0 if deleted else leadership.partition_epoch,
                    replicas=list(replicas),
                    offline_replicas=[r for r in replicas if not context.is_online(r, partition)],
                )
            )
        return [
            update_metadata.UpdateMetadataTopicState(
                topic_name=topic, topic_id=context.topic_id(topic), partition_states=topic_states
            )
            for topic, topic_states in states.items()
        ]

    def _live_brokers(self) -> list[UpdateMetadataBroker]:
        # Brokers that are presumed dead are told as live ones while they are registered: librdkafka drops a broker that
        # is not in the metadata, and drops with it, for a second, partitions that get another leader in the same
        # response.
        brokers = self._context.brokers | self._context.presumed_dead
        return [
            update_metadata.UpdateMetadataBroker(
                id=broker.id,
                rack=broker.node.rack,
                endpoints=[
                    update_metadata.UpdateMetadataEndpoint(
                        port=endpoint.port,
                        host=endpoint.host,
                        listener=endpoint.listener,
                        security_protocol=SECURITY_PROTOCOL_IDS.get(endpoint.security_protocol, 0),
                    )
                    for endpoint in broker.node.endpoints
                ],
            )
            for _, broker in sorted(brokers.items())
        ]

    def _stop_request(self, broker_id: int, partitions: dict[Partition, tuple[int, bool]]) -> StopReplicaRequest:
        context = self._context
        states: dict[str, list[stop_replica.StopReplicaPartitionState]] = {}
        for partition, (epoch, delete) in partitions.items():
            states.setdefault(partition[0], []).append(
                stop_replica.StopReplicaPartitionState(
                    partition_index=partition[1], leader_epoch=epoch, delete_partition=delete
                )
            )
        return stop_replica.Request(
            controller_id=context.controller_id,
            controller_epoch=context.epoch,
            broker_epoch=context.brokers[broker_id].epoch,
            topic_states=[
                stop_replica.StopReplicaTopicState(topic_name=topic, partition_states=topic_states)
                for topic, topic_states in states.items()
            ],
        )
