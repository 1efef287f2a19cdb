"""Admin: one method for each admin request that the commands use. Failures are KafkaError, or TimedOut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafkalike.client.blocking.network import Cluster, Disconnected, Network, Node, TopicInfo, raise_error
from kafkalike.client.reassignment import Ongoing
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import by_name

Partition = tuple[str, int]

TOPIC, BROKER, BROKER_LOGGER = 2, 4, 8
SET, DELETE = 0, 1
PREFERRED, UNCLEAN = 0, 1
NO_TOPIC_ID = bytes(16)


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One effective configuration value. `source` is Kafka's number; 5 is the default."""

    name: str
    value: str | None
    source: int
    is_sensitive: bool
    synonyms: tuple[tuple[int, str, str | None], ...] = ()  # (source, name, value), the one in force first

    @property
    def is_default(self) -> bool:
        """Nobody set it."""
        return self.source == 5


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed offset."""

    offset: int
    metadata: str = ""
    leader_epoch: int = -1


@dataclass(frozen=True, slots=True)
class Found:
    """What ListOffsets found for a partition; offset -1 is nothing."""

    offset: int
    timestamp: int
    leader_epoch: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a described group."""

    member_id: str
    group_instance_id: str | None
    client_id: str
    host: str
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A described group."""

    group_id: str
    state: str
    protocol_type: str
    protocol: str
    members: tuple[Member, ...]
    coordinator: Node


@dataclass(frozen=True, slots=True)
class GroupListing:
    """A group in a list."""

    group_id: str
    protocol_type: str
    state: str
    type: str


class Admin:
    """Administration of one cluster."""

    def __init__(
        self,
        bootstrap_servers: str = "",
        *,
        client_id: str = "adminclient-1",
        network: Network | None = None,
        request_timeout_ms: int = 30_000,
        default_api_timeout_ms: int = 60_000,
    ) -> None:
        self.network = network or Network(bootstrap_servers, client_id, request_timeout_ms=request_timeout_ms)
        self.timeout_ms = default_api_timeout_ms

    def close(self) -> None:
        """Closes the connections."""
        self.network.close()

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, what: str, attempt: Any, **options: Any) -> Any:
        return self.network.retrying(what, attempt, timeout_ms=self.timeout_ms, **options)

    # The cluster.

    def cluster(self, topics: Sequence[str] | None = ()) -> Cluster:
        """Brokers, controller and the named topics, or all of them."""
        return self._run("listNodes", lambda: self.network.refresh(topics))

    def api_versions(self, node: Node) -> dict[int, tuple[int, int]]:
        """What a broker answers: API key -> versions."""
        return self._run("apiVersions", lambda: self.network.connection(node).versions)

    # Topics.

    def topics(self) -> dict[str, TopicInfo]:
        """Every topic."""
        return dict(self._run("listTopics", lambda: self.network.refresh(None)).topics)

    def describe_topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        """Those topics; KafkaError when one does not exist."""

        def attempt() -> dict[str, TopicInfo]:
            found = self.network.refresh(names).topics
            for name in names:
                raise_error(found[name].error, about=f"topic {name}")
            return {name: found[name] for name in names}

        return self._run("describeTopics", attempt)

    def create_topic(
        self,
        name: str,
        partitions: int | None = None,
        replication_factor: int | None = None,
        *,
        assignments: Mapping[int, Sequence[int]] | None = None,
        configs: Mapping[str, str] | None = None,
        validate_only: bool = False,
    ) -> None:
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
        request = api.Request(topics=[topic], timeout_ms=30_000, validate_only=validate_only)

        def attempt() -> None:
            response = self.network.call(self.network.controller(), api, request)
            for result in response.topics:
                raise_error(result.error_code, result.error_message, f"topic {result.name}")

        self._run("createTopics", attempt)

    def delete_topics(self, names: Sequence[str]) -> None:
        """Deletes topics."""
        api = by_name("delete_topics")
        request = api.Request(topic_names=list(names), timeout_ms=30_000)

        def attempt() -> None:
            response = self.network.call(self.network.controller(), api, request)
            for result in response.responses:
                raise_error(result.error_code, getattr(result, "error_message", None), f"topic {result.name}")

        self._run("deleteTopics", attempt)

    def create_partitions(
        self, counts: Mapping[str, int], assignments: Mapping[str, Sequence[Sequence[int]]] | None = None
    ) -> None:
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
        request = api.Request(topics=topics, timeout_ms=30_000, validate_only=False)

        def attempt() -> None:
            response = self.network.call(self.network.controller(), api, request)
            for result in response.results:
                raise_error(result.error_code, result.error_message, f"topic {result.name}")

        self._run("createPartitions", attempt)

    def describe_configs(
        self, names: Sequence[str], kind: int = TOPIC, *, synonyms: bool = False
    ) -> dict[str, list[ConfigEntry]]:
        """The effective configuration of topics, of one broker or of its loggers; "" is what is set for all brokers."""
        if not names:
            return {}
        api = by_name("describe_configs")
        request = api.Request(
            resources=[
                api.DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=None)
                for name in names
            ],
            include_synonyms=synonyms,
        )

        def attempt() -> dict[str, list[ConfigEntry]]:
            found = {}
            for result in self.network.call(self._keeper(kind, names[0]), api, request).results:
                raise_error(result.error_code, result.error_message, _resource(kind, result.resource_name))
                found[result.resource_name] = [
                    ConfigEntry(
                        c.name,
                        c.value,
                        5 if c.is_default else c.config_source,
                        c.is_sensitive,
                        tuple((s.source, s.name, s.value) for s in c.synonyms),
                    )
                    for c in result.configs
                ]
            return found

        return self._run("describeConfigs", attempt)

    def alter_configs(self, changes: Mapping[tuple[int, str], Mapping[str, str | None]]) -> None:
        """Sets single values, or deletes them with None. Keys are (TOPIC, BROKER or BROKER_LOGGER, name)."""
        api = by_name("incremental_alter_configs")
        self._alter_configs(
            "incrementalAlterConfigs",
            api,
            {
                resource: [
                    api.AlterableConfig(name=key, config_operation=DELETE if value is None else SET, value=value)
                    for key, value in values.items()
                ]
                for resource, values in changes.items()
            },
        )

    def replace_configs(self, configs: Mapping[tuple[int, str], Mapping[str, str]]) -> None:
        """Gives each resource exactly these values; what is not named returns to its default."""
        api = by_name("alter_configs")
        self._alter_configs(
            "alterConfigs",
            api,
            {
                resource: [api.AlterableConfig(name=key, value=value) for key, value in values.items()]
                for resource, values in configs.items()
            },
        )

    def _alter_configs(self, what: str, api: Any, wanted: Mapping[tuple[int, str], Sequence[Any]]) -> None:
        """A broker's own configuration is altered by itself, all others by any broker."""
        for places in _by_place(wanted).values():
            kind, name = places[0]
            request = api.Request(
                resources=[
                    api.AlterConfigsResource(resource_type=k, resource_name=n, configs=list(wanted[k, n]))
                    for k, n in places
                ]
            )

            def attempt(kind: int = kind, name: str = name, request: Any = request) -> None:
                for result in self.network.call(self._keeper(kind, name), api, request).responses:
                    raise_error(result.error_code, result.error_message, _resource(kind, name))

            self._run(what, attempt)

    def _keeper(self, kind: int, name: str) -> Node:
        """Who answers for a configuration."""
        if kind not in (BROKER, BROKER_LOGGER) or not name:
            return self.network.any_node()
        node = self.network.refresh().nodes.get(int(name))
        if node is None:
            raise Disconnected(f"broker {name} is not there")
        return node

    # Replicas and leaders.

    def reassignments(self, partitions: Mapping[str, Sequence[int]]) -> dict[Partition, Any]:
        """Reassignments of these partitions that are going on; none where the broker cannot tell."""
        try:
            return self._reassignments(partitions)
        except KafkaError as problem:
            if problem.error in (Error.UNSUPPORTED_VERSION, Error.CLUSTER_AUTHORIZATION_FAILED):
                return {}
            raise

    def ongoing_reassignments(self) -> dict[Partition, Ongoing]:
        """Every reassignment that is going on."""
        return {
            partition: Ongoing(tuple(p.replicas), tuple(p.adding_replicas), tuple(p.removing_replicas))
            for partition, p in self._reassignments(None).items()
        }

    def _reassignments(self, partitions: Mapping[str, Sequence[int]] | None) -> dict[Partition, Any]:
        api = by_name("list_partition_reassignments")
        topics = None
        if partitions is not None:
            topics = [
                api.ListPartitionReassignmentsTopics(name=name, partition_indexes=list(indexes))
                for name, indexes in partitions.items()
            ]

        def attempt() -> dict[Partition, Any]:
            response = self.network.call(self.network.controller(), api, api.Request(topics=topics))
            raise_error(response.error_code, response.error_message)
            return {(t.name, p.partition_index): p for t in response.topics for p in t.partitions}

        return self._run("listPartitionReassignments", attempt)

    def reassign(self, targets: Mapping[Partition, Sequence[int] | None]) -> dict[Partition, KafkaError]:
        """Moves partitions to these replicas, or calls their move off with None; what was refused, and why."""
        api = by_name("alter_partition_reassignments")
        topics: dict[str, list[Any]] = {}
        for (topic, index), replicas in targets.items():
            topics.setdefault(topic, []).append(
                api.ReassignablePartition(partition_index=index, replicas=None if replicas is None else list(replicas))
            )
        request = api.Request(
            timeout_ms=self.network.request_timeout_ms,
            topics=[api.ReassignableTopic(name=name, partitions=parts) for name, parts in topics.items()],
        )

        def attempt() -> dict[Partition, KafkaError]:
            response = self.network.call(self.network.controller(), api, request)
            raise_error(response.error_code, response.error_message)
            return _refusals(
                ((t.name, p.partition_index), p.error_code, p.error_message)
                for t in response.responses
                for p in t.partitions
            )

        return self._run("alterPartitionReassignments", attempt)

    def elect_leaders(
        self, election_type: int, partitions: Iterable[Partition] | None = None
    ) -> dict[Partition, KafkaError | None]:
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
            timeout_ms=self.network.request_timeout_ms,
        )

        def attempt() -> dict[Partition, KafkaError | None]:
            response = self.network.call(self.network.controller(), api, request)
            raise_error(response.error_code)
            results = [(t.topic, p) for t in response.replica_election_results for p in t.partition_result]
            refused = _refusals(((topic, p.partition_id), p.error_code, p.error_message) for topic, p in results)
            return {(topic, p.partition_id): refused.get((topic, p.partition_id)) for topic, p in results}

        return self._run("electLeaders", attempt)

    # Offsets of partitions.

    def list_offsets(self, wanted: Mapping[Partition, int], isolation_level: int = 0) -> dict[Partition, Found]:
        """Offsets by time: a timestamp, or EARLIEST, LATEST, MAX_TIMESTAMP."""
        api = by_name("list_offsets")

        def attempt() -> dict[Partition, Found]:
            found: dict[Partition, Found] = {}
            for node, partitions in self.network.by_leader(wanted).items():
                topics: dict[str, list[Any]] = {}
                for topic, partition in partitions:
                    topics.setdefault(topic, []).append(
                        api.ListOffsetsPartition(partition_index=partition, timestamp=wanted[topic, partition])
                    )
                request = api.Request(
                    replica_id=-1,
                    isolation_level=isolation_level,
                    topics=[api.ListOffsetsTopic(name=name, partitions=parts) for name, parts in topics.items()],
                )
                for topic in self.network.call(node, api, request).topics:
                    for p in topic.partitions:
                        if p.error_code:
                            self.network.forget_topics([topic.name])
                            raise_error(p.error_code, about=f"{topic.name}-{p.partition_index}")
                        found[topic.name, p.partition_index] = Found(p.offset, p.timestamp, p.leader_epoch)
            return found

        return self._run("listOffsets", attempt)

    def delete_records(self, before: Mapping[Partition, int]) -> dict[Partition, int]:
        """Deletes everything before these offsets; the new low watermarks."""
        api = by_name("delete_records")

        def attempt() -> dict[Partition, int]:
            done: dict[Partition, int] = {}
            for node, partitions in self.network.by_leader(before).items():
                topics: dict[str, list[Any]] = {}
                for topic, partition in partitions:
                    topics.setdefault(topic, []).append(
                        api.DeleteRecordsPartition(partition_index=partition, offset=before[topic, partition])
                    )
                request = api.Request(
                    topics=[api.DeleteRecordsTopic(name=name, partitions=parts) for name, parts in topics.items()],
                    timeout_ms=30_000,
                )
                for topic in self.network.call(node, api, request).topics:
                    for p in topic.partitions:
                        if p.error_code:
                            self.network.forget_topics([topic.name])
                            raise_error(p.error_code, about=f"{topic.name}-{p.partition_index}")
                        done[topic.name, p.partition_index] = p.low_watermark
            return done

        return self._run("deleteRecords", attempt)

    # Groups.

    def groups(self, states: Sequence[str] = (), types: Sequence[str] = ()) -> list[GroupListing]:
        """The groups of every broker that are consumer groups."""
        api = by_name("list_groups")

        def request(version: int) -> Any:
            made = api.Request()
            if version >= 4:
                made.states_filter = list(states)
            if version >= 5:
                made.types_filter = list(types)
            return made

        def attempt() -> list[GroupListing]:
            listings = []
            for node in list(self.network.refresh().nodes.values()):
                response = self.network.call(node, api, request)
                raise_error(response.error_code)
                listings += [
                    GroupListing(g.group_id, g.protocol_type, g.group_state or "", g.group_type or "")
                    for g in response.groups
                    if g.protocol_type in ("", "consumer")
                ]
            return listings

        return self._run("listConsumerGroups", attempt)

    def describe_group(self, group_id: str) -> Group:
        """A group's state and members. A group nobody knows is described as Dead, as Kafka does."""
        api = by_name("describe_groups")
        from kafkalike.client.subscription import decode_assignment

        def attempt() -> Group:
            coordinator = self.network.coordinator(group_id)
            group = self.network.call(coordinator, api, api.Request(groups=[group_id])).groups[0]
            raise_error(group.error_code, getattr(group, "error_message", None), f"group '{group_id}'")
            members = tuple(
                Member(
                    m.member_id,
                    m.group_instance_id,
                    m.client_id,
                    m.client_host,
                    tuple(decode_assignment(bytes(m.member_assignment or b"")))
                    if group.protocol_type in ("", "consumer")
                    else (),
                )
                for m in group.members
            )
            return Group(group_id, group.group_state, group.protocol_type, group.protocol_data, members, coordinator)

        return self._run("describeConsumerGroups", attempt, group=group_id)

    def delete_group(self, group_id: str) -> None:
        """Deletes an empty group with its offsets."""
        api = by_name("delete_groups")

        def attempt() -> None:
            coordinator = self.network.coordinator(group_id)
            for result in self.network.call(coordinator, api, api.Request(groups_names=[group_id])).results:
                raise_error(result.error_code, about=f"group '{group_id}'")

        self._run("deleteConsumerGroups", attempt, group=group_id)

    def committed(
        self, group_id: str, partitions: Iterable[Partition] | None = None, *, require_stable: bool = False
    ) -> dict[Partition, Committed]:
        """A group's committed offsets, of these partitions or of all it has."""
        api = by_name("offset_fetch")
        topics: dict[str, list[int]] = {}
        for topic, partition in partitions or ():
            topics.setdefault(topic, []).append(partition)

        def request(version: int) -> Any:
            asked = [api.OffsetFetchRequestTopic(name=n, partition_indexes=parts) for n, parts in topics.items()]
            made = api.Request(group_id=group_id, topics=None if partitions is None else asked)
            if version >= 7:
                made.require_stable = require_stable
            return made

        def attempt() -> dict[Partition, Committed]:
            response = self.network.call(self.network.coordinator(group_id), api, request, purpose="coordinator")
            raise_error(response.error_code, about=f"group '{group_id}'")
            found = {}
            for topic in response.topics:
                for p in topic.partitions:
                    raise_error(p.error_code, about=f"{topic.name}-{p.partition_index}")
                    if p.committed_offset >= 0:
                        found[topic.name, p.partition_index] = Committed(
                            p.committed_offset, p.metadata or "", p.committed_leader_epoch
                        )
            return found

        return self._run("listConsumerGroupOffsets", attempt, group=group_id)

    def commit(
        self,
        group_id: str,
        offsets: Mapping[Partition, int],
        *,
        member_id: str = "",
        generation_id: int = -1,
        group_instance_id: str | None = None,
        timeout_ms: float | None = None,
    ) -> None:
        """Commits offsets; as a member, or for a group without members."""
        if not offsets:
            return
        api = by_name("offset_commit")
        topics: dict[str, list[Any]] = {}
        for (topic, partition), offset in offsets.items():
            topics.setdefault(topic, []).append(
                api.OffsetCommitRequestPartition(
                    partition_index=partition, committed_offset=offset, committed_metadata=""
                )
            )
        request = api.Request(
            group_id=group_id,
            generation_id_or_member_epoch=generation_id,
            member_id=member_id,
            group_instance_id=group_instance_id,
            topics=[api.OffsetCommitRequestTopic(name=name, partitions=parts) for name, parts in topics.items()],
        )

        def attempt() -> None:
            response = self.network.call(self.network.coordinator(group_id), api, request, purpose="coordinator")
            for topic in response.topics:
                for p in topic.partitions:
                    raise_error(p.error_code, about=f"{topic.name}-{p.partition_index}")

        self.network.retrying(
            "alterConsumerGroupOffsets", attempt, timeout_ms=timeout_ms or self.timeout_ms, group=group_id
        )

    def delete_offsets(self, group_id: str, partitions: Iterable[Partition]) -> dict[Partition, Error]:
        """Deletes committed offsets; what became of each."""
        api = by_name("offset_delete")
        topics: dict[str, list[Any]] = {}
        for topic, partition in partitions:
            topics.setdefault(topic, []).append(api.OffsetDeleteRequestPartition(partition_index=partition))
        request = api.Request(
            group_id=group_id,
            topics=[api.OffsetDeleteRequestTopic(name=name, partitions=parts) for name, parts in topics.items()],
        )

        def attempt() -> dict[Partition, Error]:
            response = self.network.call(self.network.coordinator(group_id), api, request)
            raise_error(response.error_code, about=f"group '{group_id}'")
            return {(t.name, p.partition_index): Error(p.error_code) for t in response.topics for p in t.partitions}

        return self._run("deleteConsumerGroupOffsets", attempt, group=group_id)


def _resource(kind: int, name: str) -> str:
    if kind == TOPIC:
        return f"topic {name}"
    return f"broker {name}" if name else "brokers"


def _refusals(results: Iterable[tuple[Partition, int, str | None]]) -> dict[Partition, KafkaError]:
    """The errors among results. Raises what says that another broker has to be asked."""
    found = {}
    for partition, code, message in results:
        if code == Error.NOT_CONTROLLER:
            raise_error(code, message)
        if code:
            found[partition] = KafkaError(Error(code), message)
    return found


def _by_place(resources: Iterable[tuple[int, str]]) -> dict[str, list[tuple[int, str]]]:
    """Resources under the broker that has to be asked for them; "" is any."""
    places: dict[str, list[tuple[int, str]]] = {}
    for kind, name in resources:
        places.setdefault(name if kind in (BROKER, BROKER_LOGGER) else "", []).append((kind, name))
    return places
