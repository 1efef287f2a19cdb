"""Admin: the operations of client/admin/ as methods that return when the cluster has answered, without a thread."""

from __future__ import annotations

from typing import Any

from kafkalike.client.admin import brokers, configs, groups, offsets, replicas, topics
from kafkalike.client.blocking.loop import Loop
from kafkalike.client.blocking.operation import Operation


class Admin:
    """Administration of one cluster. Failures are KafkaError, or TimedOut."""

    def __init__(self, bootstrap_servers: str, *, client_id: str = "adminclient-1", **options: Any) -> None:
        self.loop = Loop(bootstrap_servers, client_id, **options)

    def close(self) -> None:
        """Closes the connections."""
        self.loop.close()

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    cluster = Operation(brokers.cluster)
    api_versions = Operation(brokers.api_versions)

    list_topics = Operation(topics.list_topics)
    describe_topics = Operation(topics.describe_topics)
    create_topic = Operation(topics.create_topic)
    delete_topics = Operation(topics.delete_topics)
    create_partitions = Operation(topics.create_partitions)

    describe_configs = Operation(configs.describe_configs)
    alter_configs = Operation(configs.alter_configs)
    replace_configs = Operation(configs.replace_configs)

    reassignments = Operation(replicas.reassignments)
    ongoing_reassignments = Operation(replicas.ongoing_reassignments)
    reassign = Operation(replicas.reassign)
    elect_leaders = Operation(replicas.elect_leaders)

    list_offsets = Operation(offsets.list_offsets)
    delete_records = Operation(offsets.delete_records)

    list_groups = Operation(groups.list_groups)
    describe_group = Operation(groups.describe_group)
    delete_group = Operation(groups.delete_group)
    remove_members = Operation(groups.remove_members)
    committed = Operation(groups.committed)
    commit = Operation(groups.commit)
    delete_offsets = Operation(groups.delete_offsets)
