"""The offsets of one partition, wherever the cluster keeps them."""

from __future__ import annotations

import pytest

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.coordinator.group_records import OffsetKey
from kafkalike.coordinator.offsets.offset_commit import Committed
from kafkalike.errors import Error, KafkaError
from tests.coordinator.apache import NODE, T0, T1, G, fetched, logged
from tests.coordinator.fakes import FakeBroker


def test_nobody_asks_for_offsets_that_are_on_their_way() -> None:
    broker = FakeBroker()
    broker.committed(G, ("t", 0, 5))
    answers = broker.commit(G, ("t", 0, 6))
    broker.register(2, None)
    broker.replicas.later = []
    broker.settle()
    assert [[Error.NONE]] == answers
    assert [[Error.COORDINATOR_LOAD_IN_PROGRESS]] == broker.commit(G, ("t", 0, 7))
    with pytest.raises(KafkaError) as raised:
        broker.wait(broker.group_coordinator.fetch(G, [T0]))
    assert Error.COORDINATOR_LOAD_IN_PROGRESS is raised.value.error
    assert Error.COORDINATOR_LOAD_IN_PROGRESS is broker.wait(broker.group_coordinator.delete(G))
    assert Error.UNKNOWN_MEMBER_ID is broker.group_coordinator.heartbeat(G, 1, "m", None)
    for answer in broker.replicas.later:
        answer()
    broker.settle()
    assert [Committed(6)] == fetched(broker, T0)


def test_a_copy_that_fails_is_made_again() -> None:
    broker = FakeBroker()
    broker.committed(G, ("t", 0, 5))
    broker.replicas.answers = [Error.NOT_ENOUGH_REPLICAS, Error.NOT_ENOUGH_REPLICAS]
    broker.register(2, None)
    broker.settle(3)
    assert {OffsetKey(G, *T0): (5, "")} == logged(broker)
    assert [Committed(5)] == fetched(broker, T0)


def test_what_is_removed_is_removed_in_both_places() -> None:
    broker = FakeBroker()
    broker.committed(G, ("t", 0, 5), ("t", 1, 6), ("u", 0, 7))
    broker.register(2, None)
    broker.settle()
    assert {T0: Error.NONE} == broker.wait(broker.group_coordinator.delete_offsets(G, [T0]))
    assert {OffsetKey(G, *T1), OffsetKey(G, "u", 0)} == logged(broker).keys()
    assert broker.zk.data(NODE) is None
    broker.metadata.topics(u=2, **{GROUP_METADATA: 2})
    broker.settle()
    assert {OffsetKey(G, "u", 0)} == logged(broker).keys()
    assert Error.NONE is broker.wait(broker.group_coordinator.delete(G))
    assert {} == logged(broker)
    assert {} == broker.zk.below(f"/consumers/{G}")
    assert Error.GROUP_ID_NOT_FOUND is broker.wait(broker.group_coordinator.delete(G))


def test_what_is_on_its_way_to_the_log_when_its_topic_is_deleted_does_not_get_there() -> None:
    broker = FakeBroker()
    other = next(
        name for name in map("h{}".format, range(100)) if broker.group_coordinator.topic.partition_for(name) == 0
    )
    for group in (G, other):
        broker.committed(group, ("t", 0, 5), ("u", 0, 5))
    broker.replicas.later = []
    broker.register(2, None)
    broker.settle()
    # The offsets of the second group have been read, and wait for those of the first.
    assert 1 == len(broker.replicas.later)
    broker.metadata.topics(**{"u": 2, GROUP_METADATA: 2})
    broker.metadata.topics(**{"t": 2, "u": 2, GROUP_METADATA: 2})
    for answer in broker.replicas.later:
        answer()
        broker.settle()
    for group in (G, other):
        found = broker.wait(broker.group_coordinator.fetch(group, [("t", 0), ("u", 0)]))
        assert [-1, 5] == [each.offset for _, each in found]
    assert {OffsetKey(G, "u", 0), OffsetKey(other, "u", 0)} == logged(broker).keys()
