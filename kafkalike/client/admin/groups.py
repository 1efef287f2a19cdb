"""Consumer groups: list, describe and delete them, remove members, read, write and delete committed offsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafkalike.client.cluster import Node, Partition
from kafkalike.client.effects import Steps
from kafkalike.client.errors import raise_error
from kafkalike.client.routing import Routing
from kafkalike.errors import Error
from kafkalike.protocol.messages import by_name

COORDINATOR = "coordinator"
"""The purpose of the connection for offsets: a request of a member that waits in the group is not before them."""


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    """A committed offset."""

    offset: int
    metadata: str = ""
    leader_epoch: int = -1


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


def list_groups(routing: Routing, states: Sequence[str] = (), types: Sequence[str] = ()) -> Steps[list[GroupListing]]:
    """The groups of every broker that are consumer groups."""
    api = by_name("list_groups")

    def request(version: int) -> Any:
        made = api.Request()
        if version >= 4:
            made.states_filter = list(states)
        if version >= 5:
            made.types_filter = list(types)
        return made

    def attempt() -> Steps[list[GroupListing]]:
        listings = []
        cluster = yield from routing.refresh()
        for node in list(cluster.nodes.values()):
            response = yield from routing.ask(node, api, request)
            raise_error(response.error_code)
            listings += [
                GroupListing(g.group_id, g.protocol_type, g.group_state or "", g.group_type or "")
                for g in response.groups
                if g.protocol_type in ("", "consumer")
            ]
        return listings

    return routing.retrying("listConsumerGroups", attempt)


def describe_group(routing: Routing, group_id: str) -> Steps[Group]:
    """A group's state and members. A group nobody knows is described as Dead, as Kafka does."""
    api = by_name("describe_groups")
    from kafkalike.client.consumer_protocol import decode_assignment

    def attempt() -> Steps[Group]:
        coordinator = yield from routing.coordinator(group_id)
        response = yield from routing.ask(coordinator, api, api.Request(groups=[group_id]))
        group = response.groups[0]
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

    return routing.retrying("describeConsumerGroups", attempt, group=group_id)


def delete_group(routing: Routing, group_id: str) -> Steps[None]:
    """Deletes an empty group with its offsets."""
    api = by_name("delete_groups")

    def attempt() -> Steps[None]:
        coordinator = yield from routing.coordinator(group_id)
        response = yield from routing.ask(coordinator, api, api.Request(groups_names=[group_id]))
        for result in response.results:
            raise_error(result.error_code, about=f"group '{group_id}'")

    return routing.retrying("deleteConsumerGroups", attempt, group=group_id)


def remove_members(routing: Routing, group_id: str, member_ids: Sequence[str]) -> Steps[None]:
    """Makes members leave a group, wherever they are."""
    api = by_name("leave_group")
    members = [api.MemberIdentity(member_id=member_id) for member_id in member_ids]

    def attempt() -> Steps[None]:
        coordinator = yield from routing.coordinator(group_id)
        response = yield from routing.ask(coordinator, api, api.Request(group_id=group_id, members=members))
        raise_error(response.error_code, about=f"group '{group_id}'")

    return routing.retrying("leaveGroup", attempt, group=group_id)


def committed(
    routing: Routing, group_id: str, partitions: Iterable[Partition] | None = None, *, require_stable: bool = False
) -> Steps[dict[Partition, CommittedOffset]]:
    """A group's committed offsets, of these partitions or of all it has."""
    api = by_name("offset_fetch")
    topics = _by_topic(partitions or ())

    def request(version: int) -> Any:
        asked = [api.OffsetFetchRequestTopic(name=n, partition_indexes=parts) for n, parts in topics.items()]
        made = api.Request(group_id=group_id, topics=None if partitions is None else asked)
        if version >= 7:
            made.require_stable = require_stable
        return made

    def attempt() -> Steps[dict[Partition, CommittedOffset]]:
        coordinator = yield from routing.coordinator(group_id)
        response = yield from routing.ask(coordinator, api, request, purpose=COORDINATOR)
        raise_error(response.error_code, about=f"group '{group_id}'")
        found = {}
        for topic in response.topics:
            for p in topic.partitions:
                raise_error(p.error_code, about=f"{topic.name}-{p.partition_index}")
                if p.committed_offset >= 0:
                    found[topic.name, p.partition_index] = CommittedOffset(
                        p.committed_offset, p.metadata or "", p.committed_leader_epoch
                    )
        return found

    return routing.retrying("listConsumerGroupOffsets", attempt, group=group_id)


def commit(
    routing: Routing,
    group_id: str,
    offsets: Mapping[Partition, int],
    *,
    member_id: str = "",
    generation_id: int = -1,
    group_instance_id: str | None = None,
) -> Steps[None]:
    """Commits offsets; as a member, or for a group without members."""
    if not offsets:
        return
    api = by_name("offset_commit")
    topics: dict[str, list[Any]] = {}
    for (topic, partition), offset in offsets.items():
        topics.setdefault(topic, []).append(
            api.OffsetCommitRequestPartition(partition_index=partition, committed_offset=offset, committed_metadata="")
        )
    request = api.Request(
        group_id=group_id,
        generation_id_or_member_epoch=generation_id,
        member_id=member_id,
        group_instance_id=group_instance_id,
        topics=[api.OffsetCommitRequestTopic(name=name, partitions=parts) for name, parts in topics.items()],
    )

    def attempt() -> Steps[None]:
        coordinator = yield from routing.coordinator(group_id)
        response = yield from routing.ask(coordinator, api, request, purpose=COORDINATOR)
        for topic in response.topics:
            for p in topic.partitions:
                raise_error(p.error_code, about=f"{topic.name}-{p.partition_index}")

    yield from routing.retrying("alterConsumerGroupOffsets", attempt, group=group_id)


def delete_offsets(routing: Routing, group_id: str, partitions: Iterable[Partition]) -> Steps[dict[Partition, Error]]:
    """Deletes committed offsets; what became of each."""
    api = by_name("offset_delete")
    request = api.Request(
        group_id=group_id,
        topics=[
            api.OffsetDeleteRequestTopic(
                name=name, partitions=[api.OffsetDeleteRequestPartition(partition_index=p) for p in indexes]
            )
            for name, indexes in _by_topic(partitions).items()
        ],
    )

    def attempt() -> Steps[dict[Partition, Error]]:
        coordinator = yield from routing.coordinator(group_id)
        response = yield from routing.ask(coordinator, api, request)
        raise_error(response.error_code, about=f"group '{group_id}'")
        return {(t.name, p.partition_index): Error(p.error_code) for t in response.topics for p in t.partitions}

    return routing.retrying("deleteConsumerGroupOffsets", attempt, group=group_id)


def _by_topic(partitions: Iterable[Partition]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for topic, partition in partitions:
        topics.setdefault(topic, []).append(partition)
    return topics
