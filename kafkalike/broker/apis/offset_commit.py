"""Writes the offsets a group has reached into ZooKeeper, and answers when they are there. (In a cluster with brokers
of Apache Kafka: into the log, but for v0.)

Answered by the group's coordinator, v0 by any broker. Per partition: UNKNOWN_TOPIC_OR_PARTITION, then
OFFSET_METADATA_TOO_LARGE (offset.metadata.max.bytes); for all of them what the coordinator says of member, generation
and instance; COORDINATOR_LOAD_IN_PROGRESS, at which every client commits again, when ZooKeeper has not answered for
offsets.commit.timeout.ms, or for a third of the member's session if that is shorter.
v0 group and offsets only; v1 generation, member, timestamp of the commit (not kept: the znode has its own); v2-4
retention time (not kept: offsets.retention.minutes holds for all); v3 throttle time; v6 leader epoch;
v7 static members; v8 flexible; v9 no change here.
"""

from __future__ import annotations

from kafkalike.broker.access import Access, Operation, Resource
from kafkalike.broker.broker import Broker
from kafkalike.broker.distinct_partitions import by_topic
from kafkalike.broker.pending_response import PendingResponse
from kafkalike.broker.request import Call
from kafkalike.coordinator.offsets.offset_commit import OffsetCommit
from kafkalike.errors import Error
from kafkalike.protocol.messages import offset_commit as messages

ACCESS = (Access(Operation.READ, Resource.GROUP, "group_id"), Access(Operation.READ, Resource.TOPIC, "name", "topics"))


def offset_commit(
    broker: Broker, call: Call[messages.Request]
) -> messages.Response | PendingResponse[messages.Response]:
    """Sorts out what cannot be committed and hands the rest to the coordinator."""
    request = call.request
    topics, longest = broker.metadata.image.topics, broker.config["offset.metadata.max.bytes"]
    # The answer is made now; `accepted` are the places in it whose error is still to come.
    commits, accepted, answers = [], [], []
    for name, named in by_topic(request.topics).items():
        known = topics.get(name)
        partitions = []
        for index, each in named.items():
            metadata = each.committed_metadata or ""
            answer = messages.OffsetCommitResponsePartition(partition_index=index)
            partitions.append(answer)
            if known is None or index not in known.partitions:
                answer.error_code = Error.UNKNOWN_TOPIC_OR_PARTITION
            elif len(metadata) > longest:
                answer.error_code = Error.OFFSET_METADATA_TOO_LARGE
            else:
                commits.append(OffsetCommit(name, index, each.committed_offset, each.committed_leader_epoch, metadata))
                accepted.append(answer)
        answers.append(messages.OffsetCommitResponseTopic(name=name, partitions=partitions))
    response = messages.Response(topics=answers)
    if not commits:
        return response

    pending: PendingResponse[messages.Response] = PendingResponse()

    def done(errors: list[Error]) -> None:
        for answer, error in zip(accepted, errors, strict=True):
            answer.error_code = error
        pending.respond(response)

    if call.version == 0:
        # Neither metadata nor leader epoch have a place in the classic znode.
        plain = [OffsetCommit(each.topic, each.partition, each.offset) for each in commits]
        broker.group_coordinator.commit_unbound(request.group_id, plain, done)
    else:
        broker.group_coordinator.commit(
            request.group_id,
            request.generation_id_or_member_epoch,
            request.member_id,
            request.group_instance_id,
            commits,
            done,
        )
    return pending
