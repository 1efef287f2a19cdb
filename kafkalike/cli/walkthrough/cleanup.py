"""Removes what the walk made on a cluster that is not its own: members that were killed, groups, topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from kafkalike.client.blocking.admin import Admin
from kafkalike.client.errors import Disconnected, TimedOut
from kafkalike.errors import Error, KafkaError

# A member that was killed may just be joining again when it is made to leave.
LAST_MEMBER_S = 10


def tidy(admin: Admin, groups: Sequence[str], topics: Sequence[str]) -> Iterator[str]:
    """Removes the walk's groups and topics; gives a sentence about each one that could not be removed."""
    for group in groups:
        yield from _try(f"group {group}", lambda group=group: delete_group(admin, group))  # type: ignore[misc]
    for topic in topics:
        yield from _try(f"topic {topic}", lambda topic=topic: _delete_topic(admin, topic))  # type: ignore[misc]


def _try(what: str, action: Callable[[], None]) -> Iterator[str]:
    try:
        action()
    except (KafkaError, TimedOut, Disconnected, OSError) as problem:
        yield f"left behind: {what}: {problem}"


def _delete_topic(admin: Admin, topic: str) -> None:
    """Deletes a topic, unless the walk failed before the topic was there."""
    try:
        admin.delete_topics([topic])
    except KafkaError as problem:
        if problem.error is not Error.UNKNOWN_TOPIC_OR_PARTITION:
            raise


def delete_group(admin: Admin, group: str) -> None:
    """Deletes a group. Members that are still in the group were killed, and are made to leave."""
    deadline = time.monotonic() + LAST_MEMBER_S
    while True:
        try:
            admin.delete_group(group)
            return
        except KafkaError as problem:
            if problem.error is Error.GROUP_ID_NOT_FOUND:
                return
            if problem.error is not Error.NON_EMPTY_GROUP or time.monotonic() > deadline:
                raise
        members = [member.member_id for member in admin.describe_group(group).members]
        if members:
            admin.remove_members(group, members)
        time.sleep(0.05)
