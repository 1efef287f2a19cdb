"""Every offset is brought to where the cluster keeps them, and one that was removed does not come back."""

from __future__ import annotations

import pytest

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.coordinator.group_records import OffsetKey
from kafkalike.coordinator.offsets.znode_offsets import Committed
from kafkalike.errors import Error, KafkaError
from tests.coordinator.apache import NODE, T0, T1, G, beside_apaches, fetched, logged, write
from tests.coordinator.fakes import FakeBroker


def test_a_broker_of_apaches_comes_and_finds_every_offset_in_the_log() -> None:
    broker = FakeBroker()
    broker.committed(G, ("t", 0, 5, 3, "note"), ("t", 1, 6))
    assert {} == logged(broker)
    broker.register(2, None)
    broker.settle()
    assert {OffsetKey(G, *T0): (5, "note"), OffsetKey(G, *T1): (6, "")} == logged(broker)
    broker.committed(G, ("t", 0, 7))
    assert (7, "") == logged(broker)[OffsetKey(G, *T0)]
    assert [Committed(7), Committed(6)] == fetched(broker, T0, T1)
    assert b"5" == broker.zk.data(NODE)


def test_when_the_last_one_goes_znodes_have_it_and_the_log_nothing() -> None:
    broker = beside_apaches()
    write(broker, 5)
    broker.lead(0)
    broker.committed(G, ("t", 1, 6, 2, "n"))
    assert broker.zk.data(NODE) is None
    broker.zk.do_delete("/brokers/ids/2")
    broker.settle()
    assert {} == logged(broker)
    assert b"5" == broker.zk.data(NODE)
    assert [Committed(5), Committed(6, 2, "n")] == fetched(broker, T0, T1)


@pytest.mark.parametrize(("ago_ms", "expected"), [(1000, 8), (-1000, 5)])
def test_the_newer_one_is_carried(ago_ms: int, expected: int) -> None:
    broker = FakeBroker(lead=())
    broker.zk.put(NODE, b"8")
    write(broker, 5, ago_ms)
    broker.lead(0)
    assert [Committed(expected)] == fetched(broker, T0)
    assert str(expected).encode() == broker.zk.data(NODE)
    broker.register(2, None)
    broker.settle()
    assert {OffsetKey(G, *T0): (expected, "")} == logged(broker)


def test_a_new_coordinator_carries_what_its_predecessor_did_not() -> None:
    broker = FakeBroker(lead=())
    broker.zk.put(NODE, b"8")
    broker.register(2, None)
    broker.settle()
    write(broker, 5, 1000)
    broker.lead(0)
    assert [Committed(8)] == fetched(broker, T0)
    assert {OffsetKey(G, *T0): (8, "")} == logged(broker)


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


def test_groups_in_the_log_are_shown_and_those_in_znodes_are_not() -> None:
    broker = beside_apaches()
    write(broker, 5)
    broker.lead(0), broker.lead(1)
    broker.zk.put("/consumers/classic/offsets/t/0", b"1")
    assert [G] == [each.group_id for each in broker.wait(broker.group_coordinator.overview())[1]]
    assert ["Empty", "Dead"] == [each.state for each in broker.wait(broker.group_coordinator.describe([G, "classic"]))]


def test_offsets_in_the_log_expire() -> None:
    broker = beside_apaches()
    broker.lead(0)
    broker.committed(G, ("t", 0, 5))
    for _ in range(13):
        broker.clock.advance(60)
        broker.settle(0.1)
    assert {} == logged(broker)
    assert [Committed()] == fetched(broker, T0)


def test_what_is_on_its_way_to_the_log_when_its_topic_is_deleted_does_not_get_there() -> None:
    broker = FakeBroker()
    other = next(name for name in map("h{}".format, range(100)) if broker.group_coordinator.partition_for(name) == 0)
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
