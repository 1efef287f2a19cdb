"""Offsets in the log: what counts, in what order, and what a commit is answered."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.coordinator import group_records
from kafkalike.coordinator.group_records import OffsetKey, OffsetValue
from kafkalike.coordinator.offsets.log_offsets import LogOffsets
from kafkalike.coordinator.offsets.offset_commit import Committed
from kafkalike.errors import Error
from kafkalike.protocol import batch
from kafkalike.protocol.control_records import ABORT, COMMIT, EndTxnMarker, build_marker
from tests.coordinator.apache import T0, T1, G, beside_apaches, fetched, write


def test_commits_of_a_transaction_count_with_its_marker() -> None:
    broker = beside_apaches()
    ours = {"producer_id": 7, "producer_epoch": 0, "transactional": True}
    other = {"producer_id": 8, "producer_epoch": 0, "transactional": True}
    write(broker, 5)
    write(broker, 6, **ours)
    write(broker, 9, partition=1, **other)
    for producer_id, outcome in ((7, COMMIT), (8, ABORT)):
        marker = build_marker(EndTxnMarker(outcome, 0), producer_id, 0, broker.zk.now_ms)
        broker.replicas.log(GROUP_METADATA, 0).batches.append(marker)
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


def test_a_commit_is_later_than_what_it_replaces_whatever_the_clock_says() -> None:
    broker = beside_apaches()
    write(broker, 5, -60_000)
    broker.lead(0)
    for offset in (6, 7):
        broker.replicas.later = []
        broker.commit(G, ("t", 0, offset))
    before, after, next_one = (
        group_records.read_offset_value(next(batch.records(memoryview(data))).value or b"")
        for data in broker.replicas.log(GROUP_METADATA, 0).batches
    )
    assert before.commit_timestamp_ms < after.commit_timestamp_ms < next_one.commit_timestamp_ms


def test_answers_out_of_order_leave_the_newest() -> None:
    waiting: list[Any] = []
    offsets = LogOffsets(lambda pairs, done: waiting.append(done))
    answers: list[list[Error]] = []
    for offset in (1, 2, 3):
        offsets.commit("g", [("t", 0, offset, -1, "")], 0, answers.append)
    settled = offsets.writes.all_answered()
    assert [(T0, Committed())] == offsets.fetch("g", [T0], False)
    for index, seen in ((1, 2), (2, 3), (0, 3)):
        assert not settled.called
        waiting[index](Error.NONE)
        assert [(T0, Committed(seen))] == offsets.fetch("g", [T0], False)
    assert settled.called
    assert [[Error.NONE]] * 3 == answers


def test_a_tombstone_takes_the_group_with_its_last_offset() -> None:
    offsets = LogOffsets(lambda pairs, done: done(Error.NONE))
    for partition in (0, 1):
        offsets.load(OffsetKey("g", "t", partition), group_records.offset_value(OffsetValue(5)))
    offsets.load(OffsetKey("g", "t", 0), None)
    assert {T1} == offsets.of("g").keys()
    offsets.load(OffsetKey("g", "t", 1), None)
    offsets.load(OffsetKey("g", "t", 1), None)
    assert not offsets


def test_a_tombstone_takes_what_an_open_transaction_has_committed() -> None:
    offsets = LogOffsets(lambda pairs, done: done(Error.NONE))
    for partition in (0, 1):
        offsets.load(OffsetKey("g", "t", partition), group_records.offset_value(OffsetValue(5)), producer_id=7)
    offsets.load(OffsetKey("g", "t", 0), None)
    offsets.end_transaction(7, COMMIT)
    assert {T1} == offsets.of("g").keys()


def test_what_has_changed_since_it_was_seen_is_not_removed() -> None:
    waiting: list[Any] = []
    offsets = LogOffsets(lambda pairs, done: waiting.append((pairs, done)))
    for partition in (0, 1):
        offsets.load(OffsetKey("g", "t", partition), group_records.offset_value(OffsetValue(5, commit_timestamp_ms=1)))
    seen = offsets.newest("g")
    offsets.commit("g", [("t", 0, 6, -1, "")], 2, lambda _: None)
    assert {T0: 6, T1: 5} == {key: value.offset for key, value in offsets.newest("g").items()}
    assert {T0: 5, T1: 5} == {key: value.offset for key, value in offsets.of("g").items()}
    Deferred.fromCoroutine(offsets.remove("g", seen))
    assert [[group_records.offset_key("g", *T0)], [group_records.offset_key("g", *T1)]] == [
        [key for key, _ in pairs] for pairs, _ in waiting
    ]
    assert {T0: 6} == {key: value.offset for key, value in offsets.newest("g").items()}
