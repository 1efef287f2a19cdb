"""Where replicas are, and which of them leads: reassignments and elections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kafkalike.client.cluster import Partition
from kafkalike.client.effects import Steps
from kafkalike.client.errors import raise_error
from kafkalike.client.routing import Routing
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import by_name

PREFERRED, UNCLEAN = 0, 1  # kinds of elections


class OngoingReassignment(NamedTuple):
    """A reassignment that goes on. `replicas` has those being added."""

    replicas: tuple[int, ...]
    adding: tuple[int, ...]
    removing: tuple[int, ...]


def reassignments(
    routing: Routing, partitions: Mapping[str, Sequence[int]]
) -> Steps[dict[Partition, OngoingReassignment]]:
    """Reassignments of these partitions that are going on; none where the broker cannot tell."""
    try:
        return (yield from _reassignments(routing, partitions))
    except KafkaError as problem:
        if problem.error in (Error.UNSUPPORTED_VERSION, Error.CLUSTER_AUTHORIZATION_FAILED):
            return {}
        raise


def ongoing_reassignments(routing: Routing) -> Steps[dict[Partition, OngoingReassignment]]:
    """Every reassignment that is going on."""
    return _reassignments(routing, None)


def _reassignments(
    routing: Routing, partitions: Mapping[str, Sequence[int]] | None
) -> Steps[dict[Partition, OngoingReassignment]]:
    api = by_name("list_partition_reassignments")
    topics = None
    if partitions is not None:
        topics = [
            api.ListPartitionReassignmentsTopics(name=name, partition_indexes=list(indexes))
            for name, indexes in partitions.items()
        ]

    def attempt() -> Steps[dict[Partition, OngoingReassignment]]:
        response = yield from routing.ask((yield from routing.controller()), api, api.Request(topics=topics))
        raise_error(response.error_code, response.error_message)
        return {
            (t.name, p.partition_index): OngoingReassignment(
                tuple(p.replicas), tuple(p.adding_replicas), tuple(p.removing_replicas)
            )
            for t in response.topics
            for p in t.partitions
        }

    return routing.retrying("listPartitionReassignments", attempt)


def reassign(routing: Routing, targets: Mapping[Partition, Sequence[int] | None]) -> Steps[dict[Partition, KafkaError]]:
    """Moves partitions to these replicas, or calls their move off with None; what was refused, and why."""
    api = by_name("alter_partition_reassignments")
    topics: dict[str, list[Any]] = {}
    for (topic, index), replicas in targets.items():
        topics.setdefault(topic, []).append(
            api.ReassignablePartition(partition_index=index, replicas=None if replicas is None else list(replicas))
        )
    request = api.Request(
        timeout_ms=routing.request_timeout_ms,
        topics=[api.ReassignableTopic(name=name, partitions=parts) for name, parts in topics.items()],
    )

    def attempt() -> Steps[dict[Partition, KafkaError]]:
        response = yield from routing.ask((yield from routing.controller()), api, request)
        raise_error(response.error_code, response.error_message)
        return _refused(
            ((t.name, p.partition_index), p.error_code, p.error_message)
            for t in response.responses
            for p in t.partitions
        )

    return routing.retrying("alterPartitionReassignments", attempt)


def elect_leaders(
    routing: Routing, election_type: int, partitions: Iterable[Partition] | None = None
) -> Steps[dict[Partition, KafkaError | None]]:
    """Has leaders elected, PREFERRED or UNCLEAN, for these partitions or for all; what came of each.

    Of all partitions, those that need no election are not in the answer.
    """
    api = by_name("elect_leaders")
    topics: dict[str, list[int]] = {}
    for topic, index in partitions or ():
        topics.setdefault(topic, []).append(index)
    request = api.Request(
        election_type=election_type,
        topic_partitions=None
        if partitions is None
        else [api.TopicPartitions(topic=name, partitions=indexes) for name, indexes in topics.items()],
        timeout_ms=routing.request_timeout_ms,
    )

    def attempt() -> Steps[dict[Partition, KafkaError | None]]:
        response = yield from routing.ask((yield from routing.controller()), api, request)
        raise_error(response.error_code)
        results = [(t.topic, p) for t in response.replica_election_results for p in t.partition_result]
        refused = _refused(((topic, p.partition_id), p.error_code, p.error_message) for topic, p in results)
        return {(topic, p.partition_id): refused.get((topic, p.partition_id)) for topic, p in results}

    return routing.retrying("electLeaders", attempt)


def _refused(results: Iterable[tuple[Partition, int, str | None]]) -> dict[Partition, KafkaError]:
    """The errors among results. Raises what says that another broker has to be asked."""
    found = {}
    for partition, code, message in results:
        if code == Error.NOT_CONTROLLER:
            raise_error(code, message)
        if code:
            found[partition] = KafkaError(Error(code), message)
    return found
