"""Every offset is brought to where the cluster keeps them, and one that was removed does not come back."""

from __future__ import annotations

import pytest

from kafkalike.coordinator.group_records import OffsetKey
from kafkalike.coordinator.offsets.offset_commit import Committed
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
