"""A sensible request of each API, and of each use of it: what invalid_requests.py makes senseless, field by field."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import Any

from kafkalike.broker import apis
from kafkalike.protocol import batch, messages
from kafkalike.protocol.messages import (
    alter_configs,
    alter_partition,
    alter_partition_reassignments,
    create_partitions,
    create_topics,
    delete_records,
    delete_topics,
    describe_configs,
    describe_log_dirs,
    elect_leaders,
    fetch,
    incremental_alter_configs,
    join_group,
    leader_and_isr,
    leave_group,
    list_offsets,
    list_partition_reassignments,
    metadata,
    offset_commit,
    offset_delete,
    offset_fetch,
    offset_for_leader_epoch,
    produce,
    stop_replica,
    sync_group,
    update_features,
    update_metadata,
)
from kafkalike.protocol.schema import Struct

READ, WRITE, GROUP = "senseless-read", "senseless-write", "senseless-group"
NOBODY = 99  # a broker id that nobody has


class World:
    """What the requests name."""

    def __init__(self, case: str) -> None:
        self.own = f"senseless-own-{case}"  # a topic, and a group, that no other row names

    def topic(self, records: int = 0) -> str:
        """A topic of its own that exists."""
        return self.own

    def topic_id(self, name: str) -> bytes:
        return b"0123456789abcdef"

    def member(self) -> tuple[str, int]:
        """(member id, generation) of the only member of a group of its own."""
        return "member", 1


# A sensible request of each API, with the fields of all its versions.

RECORDS = batch.build([(None, b"x", 1000 * at, ()) for at in range(1, 4)])
BASES: dict[str, Callable[[World], dict[str, Any]]] = {
    "allocate_producer_ids": lambda w: {"broker_id": NOBODY, "broker_epoch": 1},
    "alter_configs": lambda w: {
        "resources": [
            alter_configs.AlterConfigsResource(
                resource_type=2,
                resource_name=w.topic(),
                configs=[alter_configs.AlterableConfig(name="retention.ms", value="1000")],
            )
        ]
    },
    "alter_partition": lambda w: {
        "broker_id": NOBODY,
        "broker_epoch": 1,
        "topics": [
            alter_partition.TopicData(
                topic_name=READ,
                topic_id=w.topic_id(READ),
                partitions=[
                    alter_partition.PartitionData(
                        new_isr=[0], new_isr_with_epochs=[alter_partition.BrokerState(broker_id=0, broker_epoch=1)]
                    )
                ],
            )
        ],
    },
    "alter_partition_reassignments": lambda w: {
        "timeout_ms": 5000,
        "topics": [
            alter_partition_reassignments.ReassignableTopic(
                name=w.topic(), partitions=[alter_partition_reassignments.ReassignablePartition(replicas=[0])]
            )
        ],
    },
    "api_versions": lambda w: {"client_software_name": "software", "client_software_version": "1.0"},
    "controlled_shutdown": lambda w: {"broker_id": NOBODY, "broker_epoch": 1},
    "create_partitions": lambda w: {
        "timeout_ms": 5000,
        "topics": [
            create_partitions.CreatePartitionsTopic(
                name=w.topic(), count=2, assignments=[create_partitions.CreatePartitionsAssignment(broker_ids=[0])]
            )
        ],
    },
    "create_topics": lambda w: {
        "timeout_ms": 5000,
        "topics": [
            create_topics.CreatableTopic(
                name=w.own,
                num_partitions=1,
                replication_factor=1,
                configs=[create_topics.CreatableTopicConfig(name="retention.ms", value="1000")],
            )
        ],
    },
    "delete_groups": lambda w: {"groups_names": [w.own]},
    "delete_records": lambda w: {
        "timeout_ms": 5000,
        "topics": [
            delete_records.DeleteRecordsTopic(
                name=w.topic(records=3), partitions=[delete_records.DeleteRecordsPartition(offset=2)]
            )
        ],
    },
    "delete_topics": lambda w: {
        "timeout_ms": 5000,
        "topic_names": [w.topic()],
        "topics": [delete_topics.DeleteTopicState(name=w.topic())],
    },
    "describe_acls": lambda w: {
        "resource_type_filter": 2,
        "resource_name_filter": READ,
        "principal_filter": "User:x",
        "host_filter": "*",
        "operation": 3,
        "permission_type": 3,
    },
    "describe_cluster": lambda w: {"endpoint_type": 1},
    "describe_configs": lambda w: {
        "resources": [
            describe_configs.DescribeConfigsResource(
                resource_type=2, resource_name=READ, configuration_keys=["retention.ms"]
            )
        ]
    },
    "describe_groups": lambda w: {"groups": [w.own]},
    "describe_log_dirs": lambda w: {"topics": [describe_log_dirs.DescribableLogDirTopic(topic=READ, partitions=[0])]},
    "elect_leaders": lambda w: {
        "timeout_ms": 5000,
        "topic_partitions": [elect_leaders.TopicPartitions(topic=READ, partitions=[0])],
    },
    "fetch": lambda w: {
        "max_wait_ms": 100,
        "min_bytes": 1,
        "max_bytes": 1000,
        "topics": [
            fetch.FetchTopic(
                topic=READ, topic_id=w.topic_id(READ), partitions=[fetch.FetchPartition(partition_max_bytes=1000)]
            )
        ],
    },
    "find_coordinator": lambda w: {"key": GROUP, "coordinator_keys": [GROUP]},
    "heartbeat": lambda w: {"group_id": w.own, "member_id": w.member()[0], "generation_id": w.member()[1]},
    "incremental_alter_configs": lambda w: {
        "resources": [
            incremental_alter_configs.AlterConfigsResource(
                resource_type=2,
                resource_name=w.topic(),
                configs=[incremental_alter_configs.AlterableConfig(name="cleanup.policy", value="compact")],
            )
        ]
    },
    "init_producer_id": lambda w: {"transactional_id": None, "transaction_timeout_ms": 5000},
    "join_group": lambda w: {
        "group_id": w.own,
        "session_timeout_ms": 6000,
        "rebalance_timeout_ms": 6000,
        "protocol_type": "consumer",
        "protocols": [join_group.JoinGroupRequestProtocol(name="range", metadata=b"")],
    },
    "leader_and_isr": lambda w: {
        "ungrouped_partition_states": [leader_and_isr.LeaderAndIsrPartitionState(topic_name=READ, isr=[0])],
        "topic_states": [
            leader_and_isr.LeaderAndIsrTopicState(
                topic_name=READ, partition_states=[leader_and_isr.LeaderAndIsrPartitionState(isr=[0], replicas=[0])]
            )
        ],
    },
    "leave_group": lambda w: {
        "group_id": w.own,
        "member_id": w.member()[0],
        "members": [leave_group.MemberIdentity(member_id=w.member()[0])],
    },
    "list_groups": lambda w: {"states_filter": ["Empty"], "types_filter": ["classic"]},
    "list_offsets": lambda w: {
        "replica_id": -1,
        "topics": [
            list_offsets.ListOffsetsTopic(name=READ, partitions=[list_offsets.ListOffsetsPartition(timestamp=1500)])
        ],
    },
    "list_partition_reassignments": lambda w: {
        "timeout_ms": 5000,
        "topics": [list_partition_reassignments.ListPartitionReassignmentsTopics(name=READ, partition_indexes=[0])],
    },
    "metadata": lambda w: {"topics": [metadata.MetadataRequestTopic(name=READ)], "allow_auto_topic_creation": False},
    "offset_commit": lambda w: {
        "group_id": w.own,
        "topics": [
            offset_commit.OffsetCommitRequestTopic(
                name=READ,
                partitions=[offset_commit.OffsetCommitRequestPartition(committed_offset=2, committed_metadata="m")],
            )
        ],
    },
    "offset_delete": lambda w: {
        "group_id": w.member() and w.own,
        "topics": [
            offset_delete.OffsetDeleteRequestTopic(
                name=READ, partitions=[offset_delete.OffsetDeleteRequestPartition(partition_index=0)]
            )
        ],
    },
    "offset_fetch": lambda w: {
        "group_id": GROUP,
        "topics": [offset_fetch.OffsetFetchRequestTopic(name=READ, partition_indexes=[0])],
        "groups": [
            offset_fetch.OffsetFetchRequestGroup(
                group_id=GROUP, topics=[offset_fetch.OffsetFetchRequestTopics(name=READ, partition_indexes=[0])]
            )
        ],
    },
    "offset_for_leader_epoch": lambda w: {
        "topics": [
            offset_for_leader_epoch.OffsetForLeaderTopic(
                topic=READ, partitions=[offset_for_leader_epoch.OffsetForLeaderPartition()]
            )
        ]
    },
    "produce": lambda w: {
        "acks": -1,
        "timeout_ms": 5000,
        "topic_data": [
            produce.TopicProduceData(name=WRITE, partition_data=[produce.PartitionProduceData(records=RECORDS)])
        ],
    },
    "stop_replica": lambda w: {
        "ungrouped_partitions": [stop_replica.StopReplicaPartitionV0(topic_name=READ)],
        "topics": [stop_replica.StopReplicaTopicV1(name=READ, partition_indexes=[0])],
        "topic_states": [
            stop_replica.StopReplicaTopicState(
                topic_name=READ, partition_states=[stop_replica.StopReplicaPartitionState()]
            )
        ],
    },
    "sync_group": lambda w: {
        "group_id": w.own,
        "member_id": w.member()[0],
        "generation_id": w.member()[1],
        "protocol_type": "consumer",
        "protocol_name": "range",
        "assignments": [sync_group.SyncGroupRequestAssignment(member_id=w.member()[0], assignment=b"mine")],
    },
    "update_features": lambda w: {
        "timeout_ms": 5000,
        "feature_updates": [update_features.FeatureUpdateKey(feature="metadata.version", max_version_level=21)],
    },
    "update_metadata": lambda w: {
        "ungrouped_partition_states": [update_metadata.UpdateMetadataPartitionState(topic_name=READ, isr=[0])],
        "topic_states": [
            update_metadata.UpdateMetadataTopicState(
                topic_name=READ, partition_states=[update_metadata.UpdateMetadataPartitionState(isr=[0])]
            )
        ],
        "live_brokers": [
            update_metadata.UpdateMetadataBroker(endpoints=[update_metadata.UpdateMetadataEndpoint(port=1, host="h")])
        ],
    },
    # Other uses of the same requests.
    "alter_configs of a broker": lambda w: {
        "resources": [
            alter_configs.AlterConfigsResource(
                resource_type=4,
                resource_name="0",
                configs=[alter_configs.AlterableConfig(name="message.max.bytes", value="2000000")],
            )
        ],
        "validate_only": True,
    },
    "create_topics with an assignment": lambda w: {
        "timeout_ms": 1000,
        "topics": [
            create_topics.CreatableTopic(
                name=w.own,
                num_partitions=-1,
                replication_factor=-1,
                assignments=[create_topics.CreatableReplicaAssignment(partition_index=0, broker_ids=[0])],
            )
        ],
    },
    "delete_topics by id": lambda w: {
        "timeout_ms": 5000,
        "topics": [delete_topics.DeleteTopicState(name=None, topic_id=w.topic_id(w.topic()))],
    },
    "describe_configs of a broker": lambda w: {
        "resources": [
            describe_configs.DescribeConfigsResource(
                resource_type=4, resource_name="0", configuration_keys=["num.partitions"]
            )
        ]
    },
    "fetch in a session": lambda w: BASES["fetch"](w) | {"session_epoch": 0},
    "incremental_alter_configs of a broker": lambda w: {
        "resources": [
            incremental_alter_configs.AlterConfigsResource(
                resource_type=4,
                resource_name="0",
                configs=[incremental_alter_configs.AlterableConfig(name="message.max.bytes", value="2000000")],
            )
        ],
        "validate_only": True,
    },
    "metadata by id": lambda w: {
        "topics": [metadata.MetadataRequestTopic(name=None, topic_id=w.topic_id(READ))],
        "allow_auto_topic_creation": False,
    },
    "offset_commit of a member": lambda w: (
        BASES["offset_commit"](w) | {"member_id": w.member()[0], "generation_id_or_member_epoch": w.member()[1]}
    ),
}


def _plain(struct: type[Struct]) -> dict[str, Any]:
    """Of each list one element, a topic and a group that are there, the first partition; else the defaults."""
    values: dict[str, Any] = {}
    for field in struct.fields:
        if field.is_struct:
            each = field.of(**_plain(field.of))
            values[field.name] = [each] if field.many else each
        elif field.name in ("name", "topic", "topic_name"):
            values[field.name] = READ
        elif field.name == "group_id":
            values[field.name] = GROUP
        elif field.many and "partition" in field.name:
            values[field.name] = [0]
    return values


def _sensible(request: type[Struct]) -> Callable[[World], dict[str, Any]]:
    return lambda w: _plain(request)


# An API whose request says by its fields what is sensible needs no row.
BASES = {
    info.name: _sensible(messages.by_name(info.name).Request) for info in pkgutil.iter_modules(apis.__path__)
} | BASES


def module(use: str) -> Any:
    """The messages of a use."""
    return messages.by_name(use.partition(" ")[0])
