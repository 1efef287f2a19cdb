"""Where offsets are, as brokers come and go."""

from __future__ import annotations

from types import SimpleNamespace

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.coordinator.group_records import OffsetKey
from kafkalike.coordinator.offsets.offset_commit import Committed
from kafkalike.coordinator.offsets.offsets_storage import KAFKA, ZOOKEEPER, announcement, storage_of
from tests.coordinator.apache import NODE, T0, G, beside_apaches, fetched, logged
from tests.coordinator.fakes import FakeBroker


def test_zookeeper_only_while_everybody_says_so() -> None:
    assert ZOOKEEPER == storage_of({}) == storage_of({1: ZOOKEEPER, 2: ZOOKEEPER})
    assert KAFKA == storage_of({1: ZOOKEEPER, 2: None})
    assert KAFKA == storage_of({1: KAFKA}) == storage_of({1: ZOOKEEPER, 2: KAFKA})


def test_a_registration_that_cannot_be_read_announces_nothing() -> None:
    assert "zookeeper" == announcement(1, BrokerNode((), extra={"offsets.storage": "zookeeper"}).encode())
    for data in (BrokerNode(()).encode(), BrokerNode((), extra={"offsets.storage": 1}).encode(), b"{", b"", None):
        assert announcement(1, data) is None


def test_an_announcement_of_kafka_is_a_choice() -> None:
    broker = FakeBroker(lead=())
    broker.zk.do_delete("/brokers/ids/1")
    broker.register(1, "kafka")
    broker.lead(0)
    broker.committed(G, ("t", 0, 5))
    assert {OffsetKey(G, *T0): (5, "")} == logged(broker)
    assert broker.zk.data(NODE) is None


def test_brokers_that_come_and_go_meanwhile_leave_one_truth() -> None:
    broker = FakeBroker()
    for turn in range(5):
        broker.committed(G, ("t", 0, turn))
        broker.register(2, None)
        broker.clock.advance(0.001)
        broker.zk.do_delete("/brokers/ids/2")
        broker.clock.advance(0.001 * turn)
        broker.register(2, None)
        if turn % 2:
            broker.settle()
        broker.zk.do_delete("/brokers/ids/2")
        broker.settle()
        assert [Committed(turn)] == fetched(broker, T0)
        assert {} == logged(broker)


def test_who_knows_the_log_only_gets_in_sync_when_offsets_are_there() -> None:
    broker = FakeBroker()
    broker.committed(G, ("t", 0, 5))
    broker.register(3, "zookeeper")
    broker.settle()
    partition = broker.replicas.partition(GROUP_METADATA, 0)
    assert not broker.group_coordinator.may_not_join_isr(partition, 3)
    assert broker.group_coordinator.may_not_join_isr(partition, 2)
    broker.replicas.later = []
    broker.register(2, None)
    broker.settle()
    assert broker.group_coordinator.may_not_join_isr(partition, 2)
    assert not broker.group_coordinator.may_not_join_isr(SimpleNamespace(topic="t", index=0), 2)
    for answer in broker.replicas.later:
        answer()
    assert not broker.group_coordinator.may_not_join_isr(partition, 2)


def test_offsets_stay_in_the_log_while_such_a_one_is_in_sync() -> None:
    broker = beside_apaches()
    broker.replicas.isr = (1, 2)
    broker.lead(0)
    broker.committed(G, ("t", 0, 5))
    broker.zk.do_delete("/brokers/ids/2")
    broker.settle(3)
    assert {OffsetKey(G, *T0)} == logged(broker).keys()
    assert [Committed(5)] == fetched(broker, T0)
    broker.replicas.isr = (1,)
    broker.settle(2)
    assert {} == logged(broker)
    assert b"5" == broker.zk.data(NODE)
