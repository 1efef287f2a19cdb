"""Elects leaders: the preferred replicas, or any replica at all where there is no leader.

Answered by the controller only (41 for each partition elsewhere). Each partition by itself: unknown (3), being deleted
(17), led as it should be already (84), nobody who may (80 preferred, 83 unclean). Answers when this broker's metadata
show the new leaders, or 7 for those that they do not show in time. Without a list all partitions are looked at, and
those where nothing was to be done are left out.
v1 unclean elections, an error for all; v2 flexible.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation
from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.cluster.metadata import Image
from kafkalike.controller import leader_election
from kafkalike.controller.context import Partition
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import elect_leaders as messages

ACCESS = (Access(Operation.ALTER),)


async def elect_leaders(broker: Broker, call: Call[messages.Request]) -> messages.Response:
    """Hands it to the controller, then waits."""
    request = call.request
    if request.election_type not in (leader_election.PREFERRED, leader_election.UNCLEAN):
        return _refused(request, Error.UNKNOWN_SERVER_ERROR)  # as Kafka, to which the type is null
    everything = request.topic_partitions is None
    image = broker.metadata.image
    if everything:
        partitions = [(topic.name, p) for topic in image.topics.values() for p in sorted(topic.partitions)]
    else:
        asked = [(topic.topic, p) for topic in request.topic_partitions for p in topic.partitions]
        partitions = list(dict.fromkeys(asked))
    try:
        outcomes: dict[Partition, int | KafkaError] = await broker.controller.submit(
            lambda context: leader_election.elect(context, partitions, request.election_type)
        )
    except KafkaError as refusal:
        outcomes = dict.fromkeys(partitions, refusal)
    elected = {partition: outcome for partition, outcome in outcomes.items() if isinstance(outcome, int)}

    def shown(image: Image) -> bool:
        return all(_leader(image, partition) == leader for partition, leader in elected.items())

    if elected and not await broker.metadata.wait(shown, request.timeout_ms):
        for partition, leader in elected.items():
            if _leader(broker.metadata.image, partition) != leader:
                outcomes[partition] = KafkaError(Error.REQUEST_TIMED_OUT)
    topics: dict[str, list[messages.PartitionResult]] = {}
    for partition, outcome in outcomes.items():
        error = outcome if isinstance(outcome, KafkaError) else None
        if error is None or not everything or error.error is not Error.ELECTION_NOT_NEEDED:
            topics.setdefault(partition[0], []).append(
                messages.PartitionResult(
                    partition_id=partition[1],
                    error_code=error.error if error else 0,
                    error_message=error.message if error else None,
                )
            )
    return messages.Response(
        replica_election_results=[
            messages.ReplicaElectionResult(topic=topic, partition_result=results) for topic, results in topics.items()
        ]
    )


def _refused(request: messages.Request, error: Error) -> messages.Response:
    """The error, and for each partition that was named."""
    results = [
        messages.ReplicaElectionResult(
            topic=topic.topic,
            partition_result=[
                messages.PartitionResult(partition_id=p, error_code=error, error_message=None) for p in topic.partitions
            ],
        )
        for topic in request.topic_partitions or ()
    ]
    return messages.Response(error_code=error, replica_election_results=results)


def _leader(image: Image, partition: Partition) -> int | None:
    state = image.partition(*partition)
    return state.leader if state is not None else None
