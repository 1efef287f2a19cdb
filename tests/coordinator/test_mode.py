"""Where offsets are, as brokers come and go; and that every offset is there, and one that was removed is not."""

from __future__ import annotations

from typing import Any

import pytest

from kafkalike.cluster.znodes import BrokerNode
from kafkalike.coordinator import records
from kafkalike.coordinator.commits import TOPIC
from kafkalike.coordinator.mode import KAFKA, ZOOKEEPER, announcement, mode_of
from kafkalike.coordinator.offsets import Committed
from kafkalike.coordinator.records import OffsetKey, OffsetValue
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch
from tests.coordinator.fakes import FakeBroker, group_in

G = group_in(0)
T0, T1 = ("t", 0), ("t", 1)
NODE = f"/consumers/{G}/offsets/t/0"


def logged(broker: FakeBroker, index: int = 0) -> dict[OffsetKey, tuple[int, str]]:
    """What a broker of Apache's would read from the log: offset and metadata."""
    found: dict[OffsetKey, tuple[int, str]] = {}
    for data in broker.replicas.log(TOPIC, index).batches:
        for record in batch.records(memoryview(data)):
            key = records.read_key(record.key or b"")
            if isinstance(key, OffsetKey) and record.value is None:
                found.pop(key)
            elif isinstance(key, OffsetKey):
                value = records.read_offset_value(record.value or b"")
                found[key] = (value.offset, value.metadata)
    return found


def beside_apaches() -> FakeBroker:
    """A broker that leads nothing yet, in a cluster with one of Apache's."""
    broker = FakeBroker(lead=())
    broker.register(2, None)
    broker.settle()
    return broker


def write(broker: FakeBroker, offset: int, ago_ms: int = 0, partition: int = 0, **fields: Any) -> None:
    """A coordinator of Apache's writes an offset into the log."""
    value = OffsetValue(offset, commit_timestamp_ms=broker.zk.now_ms - ago_ms)
    pair = (records.offset_key(G, "t", partition), records.offset_value(value))
    broker.replicas.log(TOPIC, 0).batches.append(batch.build([(*pair, broker.zk.now_ms, ())], **fields))


def fetched(broker: FakeBroker, *keys: tuple[str, int], **options: Any) -> list[Committed]:
    return [committed for _, committed in broker.wait(broker.groups.fetch(G, keys, **options))]


def test_zookeeper_only_while_everybody_says_so() -> None:
    assert ZOOKEEPER == mode_of({}) == mode_of({1: ZOOKEEPER, 2: ZOOKEEPER})
    assert KAFKA == mode_of({1: ZOOKEEPER, 2: None}) == mode_of({1: KAFKA}) == mode_of({1: ZOOKEEPER, 2: KAFKA})


def test_a_registration_that_cannot_be_read_announces_nothing() -> None:
    assert "zookeeper" == announcement(1, BrokerNode((), extra={"offsets.storage": "zookeeper"}).encode())
    for data in (BrokerNode(()).encode(), BrokerNode((), extra={"offsets.storage": 1}).encode(), b"{", b"", None):
        assert announcement(1, data) is None


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


def test_an_announcement_of_kafka_is_a_choice() -> None:
    broker = FakeBroker(lead=())
    broker.zk.do_delete("/brokers/ids/1")
    broker.register(1, "kafka")
    broker.lead(0)
    broker.committed(G, ("t", 0, 5))
    assert {OffsetKey(G, *T0): (5, "")} == logged(broker)
    assert broker.zk.data(NODE) is None


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


def test_a_commit_is_later_than_what_it_replaces_whatever_the_clock_says() -> None:
    broker = beside_apaches()
    write(broker, 5, -60_000)
    broker.lead(0)
    broker.committed(G, ("t", 0, 6))
    before, after = (
        records.read_offset_value(next(batch.records(memoryview(data))).value or b"")
        for data in broker.replicas.log(TOPIC, 0).batches
    )
    assert before.commit_timestamp_ms < after.commit_timestamp_ms


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
        broker.wait(broker.groups.fetch(G, [T0]))
    assert Error.COORDINATOR_LOAD_IN_PROGRESS is raised.value.error
    assert Error.COORDINATOR_LOAD_IN_PROGRESS is broker.wait(broker.groups.delete(G))
    assert Error.UNKNOWN_MEMBER_ID is broker.groups.heartbeat(G, 1, "m", None)
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


def test_what_is_removed_is_removed_in_both_places() -> None:
    broker = FakeBroker()
    broker.committed(G, ("t", 0, 5), ("t", 1, 6), ("u", 0, 7))
    broker.register(2, None)
    broker.settle()
    assert {T0: Error.NONE} == broker.wait(broker.groups.delete_offsets(G, [T0]))
    assert {OffsetKey(G, *T1), OffsetKey(G, "u", 0)} == logged(broker).keys()
    assert broker.zk.data(NODE) is None
    broker.metadata.topics(u=2, **{TOPIC: 2})
    broker.settle()
    assert {OffsetKey(G, "u", 0)} == logged(broker).keys()
    assert Error.NONE is broker.wait(broker.groups.delete(G))
    assert {} == logged(broker)
    assert {} == broker.zk.below(f"/consumers/{G}")
    assert Error.GROUP_ID_NOT_FOUND is broker.wait(broker.groups.delete(G))


def test_groups_in_the_log_are_shown_and_those_in_znodes_are_not() -> None:
    broker = beside_apaches()
    write(broker, 5)
    broker.lead(0), broker.lead(1)
    broker.zk.put("/consumers/classic/offsets/t/0", b"1")
    assert [G] == [each.group_id for each in broker.wait(broker.groups.overview())[1]]
    assert ["Empty", "Dead"] == [each.state for each in broker.wait(broker.groups.describe([G, "classic"]))]


def test_offsets_in_the_log_expire() -> None:
    broker = beside_apaches()
    broker.lead(0)
    broker.committed(G, ("t", 0, 5))
    for _ in range(13):
        broker.clock.advance(60)
        broker.settle(0.1)
    assert {} == logged(broker)
    assert [Committed()] == fetched(broker, T0)


def test_commits_of_a_transaction_count_with_its_marker() -> None:
    broker = beside_apaches()
    ours = {"producer_id": 7, "producer_epoch": 0, "transactional": True}
    other = {"producer_id": 8, "producer_epoch": 0, "transactional": True}
    write(broker, 5)
    write(broker, 6, **ours)
    write(broker, 9, partition=1, **other)
    for fields, outcome in ((ours, b"\1"), (other, b"\0")):
        marker = [(b"\0\0\0" + outcome, b"\0\0\0\0\0\0", broker.zk.now_ms, ())]
        broker.replicas.log(TOPIC, 0).batches.append(batch.build(marker, control=True, **fields))
    write(broker, 7, **ours)
    broker.lead(0)
    assert [Committed(6), Committed()] == fetched(broker, T0, T1)
    unstable = fetched(broker, T0, T1, require_stable=True)
    assert [Error.UNSTABLE_OFFSET_COMMIT, Error.NONE] == [each.error for each in unstable]


def test_errors_of_the_log_are_told_as_a_client_understands_them() -> None:
    broker = beside_apaches()
    broker.lead(0)
    broker.replicas.answers = [Error.NOT_ENOUGH_REPLICAS, Error.NOT_LEADER_OR_FOLLOWER, Error.MESSAGE_TOO_LARGE]
    answers = [broker.commit(G, ("t", 0, 5)) for _ in range(3)]
    assert [
        [[Error.COORDINATOR_NOT_AVAILABLE]],
        [[Error.NOT_COORDINATOR]],
        [[Error.INVALID_COMMIT_OFFSET_SIZE]],
    ] == answers
    assert [Committed()] == fetched(broker, T0)
