"""Groups and members, as tests of the coordinator need them."""

from __future__ import annotations

import itertools
from typing import Any

from kafkalike.coordinator.group_effects import Joining
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in
from tests.coordinator.test_group import subscription

A, B = group_in(0), group_in(1)
numbers = itertools.count()


def joining(member: str = "", instance: str | None = None, topics: tuple[str, ...] = ("t",)) -> Joining:
    protocols = (("range", subscription(*topics)),)
    return Joining(member, instance, "c", "/h", 10_000, 60_000, "consumer", protocols, str(next(numbers)))


def stable(broker: FakeBroker, group: str = A, topics: tuple[str, ...] = ("t",)) -> str:
    """Brings a group of one member to Stable; its member id."""
    joined: list[Any] = []
    synced: list[Any] = []
    broker.group_coordinator.join(group, joining(topics=topics), joined.append)
    broker.settle()
    member = joined[0].member_id
    broker.group_coordinator.sync(
        group, joined[0].generation_id, member, None, None, None, {member: b"all"}, synced.append
    )
    broker.settle()
    assert (synced[0].error, synced[0].assignment) == (Error.NONE, b"all")
    return member


def state_of(broker: FakeBroker, group: str = A) -> str:
    return broker.wait(broker.group_coordinator.describe([group]))[0].state
