"""ISR changes on their way to the controller: AlterPartition, batched, one request under way, repeated if need be.

Kafka's rules for what an answer means are in `Partition.answered`; a proposal that a new LeaderAndIsr has made
pointless is dropped. A leader whose controller does not answer keeps its ISR as it was: the maximal one holds the high
watermark.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from kafkalike.errors import Error
from kafkalike.metrics import Meter
from kafkalike.protocol.messages import alter_partition
from kafkalike.replication.cluster_view import ClusterView
from kafkalike.replication.partition import Partition, Proposal

log = logging.getLogger("kafka.server.AlterPartitionManager")

SHRINKS = Meter("kafka.server:type=ReplicaManager,name=IsrShrinksPerSec")
EXPANDS = Meter("kafka.server:type=ReplicaManager,name=IsrExpandsPerSec")
FAILED_UPDATES = Meter("kafka.server:type=ReplicaManager,name=FailedIsrUpdatesPerSec")

RETRY_SECONDS = 0.05
ASK_AGAIN_SECONDS = 0.5  # after an answer that names no lasting reason

Key = tuple[bytes, int]


class IsrProposals:
    """Every change that waits for the controller. `committed(partition)` is called after each that it agreed to."""

    def __init__(self, cluster: ClusterView, committed: Callable[[Partition], None], reactor: Any) -> None:
        self._cluster = cluster
        self._committed = committed
        self._reactor = reactor
        self._waiting: dict[Key, tuple[Partition, Proposal]] = {}
        self._busy = False
        self._timer: Any = None
        self._stopped = False

    def submit(self, topic_id: bytes, partition: Partition, proposal: Proposal) -> None:
        """Sends a proposal, with the next request."""
        self._waiting[(topic_id, partition.index)] = (partition, proposal)
        self._send()

    def stop(self) -> None:
        """Sends no further proposal."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self) -> None:
        self._waiting = {key: item for key, item in self._waiting.items() if item[0].proposal is item[1]}
        if self._busy or self._timer is not None or self._stopped or not self._waiting:
            return
        broker_id, broker_epoch = self._cluster.broker_id, self._cluster.broker_epoch()
        topics: dict[bytes, alter_partition.TopicData] = {}
        for (topic_id, index), (_, proposal) in self._waiting.items():
            topic = topics.get(topic_id)
            if topic is None:
                topic = topics[topic_id] = alter_partition.TopicData(topic_id=topic_id, partitions=[])
            topic.partitions.append(
                alter_partition.PartitionData(
                    partition_index=index,
                    leader_epoch=proposal.leader_epoch,
                    new_isr_with_epochs=[
                        alter_partition.BrokerState(
                            broker_id=member, broker_epoch=broker_epoch if member == broker_id else epoch
                        )
                        for member, epoch in zip(proposal.isr, proposal.epochs, strict=True)
                    ],
                    partition_epoch=proposal.partition_epoch,
                )
            )
        request = alter_partition.Request(broker_id=broker_id, broker_epoch=broker_epoch, topics=list(topics.values()))
        self._busy = True
        asked = dict(self._waiting)
        answer = self._cluster.ask_controller(request)
        answer.addCallbacks(self._answered, self._failed, callbackArgs=(asked,))
        answer.addErrback(self._broken)

    def _answered(self, response: alter_partition.Response, asked: dict[Key, tuple[Partition, Proposal]]) -> None:
        self._busy = False
        if response.error_code:
            log.info("The controller answered %s to an ISR change; trying again", Error(response.error_code).name)
            self._again(RETRY_SECONDS)
            return
        again = False
        for topic in response.topics:
            for answer in topic.partitions:
                item = asked.get((topic.topic_id, answer.partition_index))
                if item is None:
                    continue
                partition, proposal = item
                before = len(partition.isr)
                if partition.answered(proposal, answer):
                    again = True
                    continue
                if self._waiting.get((topic.topic_id, answer.partition_index)) is item:
                    del self._waiting[(topic.topic_id, answer.partition_index)]
                if answer.error_code:
                    FAILED_UPDATES.mark()
                    log.info(
                        "ISR change of %s-%d to %s was refused: %s",
                        partition.topic, partition.index, list(proposal.isr), Error(answer.error_code).name,
                    )  # fmt: skip
                else:
                    (SHRINKS if len(partition.isr) < before else EXPANDS).mark()
                    log.info(
                        "ISR of %s-%d is now %s (partition epoch %d)",
                        partition.topic, partition.index, list(partition.isr), partition.partition_epoch,
                    )  # fmt: skip
                    self._committed(partition)
        if again:
            self._again(ASK_AGAIN_SECONDS)
        else:
            self._send()

    def _failed(self, failure: Failure) -> None:
        self._busy = False
        self._again(RETRY_SECONDS)

    def _broken(self, failure: Failure) -> None:
        log.error("An ISR change failed: %s", failure.getTraceback())
        self._busy = False
        self._again(ASK_AGAIN_SECONDS)

    def _again(self, seconds: float) -> None:
        if self._timer is None and not self._stopped:
            self._timer = self._reactor.callLater(seconds, self._resend)

    def _resend(self) -> None:
        self._timer = None
        self._send()
