"""Topics: create, describe, list, extend, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kafkalike.client.cluster import TopicInfo
from kafkalike.client.effects import Steps
from kafkalike.client.errors import raise_error
from kafkalike.client.routing import Routing
from kafkalike.protocol.messages import by_name

TIMEOUT_MS = 30_000  # for the controller to carry out what it is asked


def list_topics(routing: Routing) -> Steps[dict[str, TopicInfo]]:
    """Every topic."""
    cluster = yield from routing.retrying("listTopics", lambda: routing.refresh(None))
    return dict(cluster.topics)


def describe_topics(routing: Routing, names: Sequence[str]) -> Steps[dict[str, TopicInfo]]:
    """Those topics; KafkaError when one does not exist."""

    def attempt() -> Steps[dict[str, TopicInfo]]:
        cluster = yield from routing.refresh(names)
        for name in names:
            raise_error(cluster.topics[name].error, about=f"topic {name}")
        return {name: cluster.topics[name] for name in names}

    return routing.retrying("describeTopics", attempt)


def create_topic(
    routing: Routing,
    name: str,
    partitions: int | None = None,
    replication_factor: int | None = None,
    *,
    assignments: Mapping[int, Sequence[int]] | None = None,
    configs: Mapping[str, str] | None = None,
    validate_only: bool = False,
) -> Steps[None]:
    """Creates a topic; None leaves the number to the broker."""
    api = by_name("create_topics")
    topic = api.CreatableTopic(
        name=name,
        num_partitions=-1 if partitions is None or assignments else partitions,
        replication_factor=-1 if replication_factor is None or assignments else replication_factor,
        assignments=[
            api.CreatableReplicaAssignment(partition_index=p, broker_ids=list(brokers))
            for p, brokers in (assignments or {}).items()
        ],
        configs=[api.CreatableTopicConfig(name=key, value=value) for key, value in (configs or {}).items()],
    )
    request = api.Request(topics=[topic], timeout_ms=TIMEOUT_MS, validate_only=validate_only)

    def attempt() -> Steps[None]:
        response = yield from routing.ask((yield from routing.controller()), api, request)
        for result in response.topics:
            raise_error(result.error_code, result.error_message, f"topic {result.name}")

    return routing.retrying("createTopics", attempt)


def delete_topics(routing: Routing, names: Sequence[str]) -> Steps[None]:
    """Deletes topics."""
    api = by_name("delete_topics")
    request = api.Request(topic_names=list(names), timeout_ms=TIMEOUT_MS)

    def attempt() -> Steps[None]:
        response = yield from routing.ask((yield from routing.controller()), api, request)
        for result in response.responses:
            raise_error(result.error_code, getattr(result, "error_message", None), f"topic {result.name}")

    return routing.retrying("deleteTopics", attempt)


def create_partitions(
    routing: Routing, counts: Mapping[str, int], assignments: Mapping[str, Sequence[Sequence[int]]] | None = None
) -> Steps[None]:
    """Extends topics to that many partitions; `assignments` places the new ones."""
    api = by_name("create_partitions")
    topics = [
        api.CreatePartitionsTopic(
            name=name,
            count=count,
            assignments=[
                api.CreatePartitionsAssignment(broker_ids=list(brokers)) for brokers in (assignments or {})[name]
            ]
            if name in (assignments or {})
            else None,
        )
        for name, count in counts.items()
    ]
    request = api.Request(topics=topics, timeout_ms=TIMEOUT_MS, validate_only=False)

    def attempt() -> Steps[None]:
        response = yield from routing.ask((yield from routing.controller()), api, request)
        for result in response.results:
            raise_error(result.error_code, result.error_message, f"topic {result.name}")

    return routing.retrying("createPartitions", attempt)
