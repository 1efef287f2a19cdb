"""Offsets that go away with their topics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.coordinator.group_records import OffsetKey
from kafkalike.coordinator.offsets.offset_commit import Committed
from kafkalike.errors import Error, KafkaError
from tests.coordinator.apache import T0, T1, beside_apaches, fetched, logged, write
from tests.coordinator.fakes import FakeBroker, group_in
from zk.client import SessionExpired

A, B = group_in(0), group_in(1)


def test_a_deleted_topic_takes_its_offsets_along() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1, 1, "x"), ("u", 0, 1))
    broker.committed(B, ("t", 1, 1))
    broker.zk.put("/consumers/classic/offsets/t/0", b"3")
    broker.metadata.topics(**{"u": 2, GROUP_METADATA: 2})
    # The topic is made again at once, and somebody commits: that is kept.
    broker.metadata.topics(**{"t": 2, "u": 2, GROUP_METADATA: 2})
    answers = broker.commit(A, ("t", 0, 9))
    assert [each.offset for _, each in broker.wait(broker.group_coordinator.fetch(A, [("t", 0)]))] == [-1]
    broker.settle()
    assert answers == [[Error.NONE]]
    assert broker.zk.below("/consumers") == {
        f"/consumers/{A}/offsets/t/0": b"9",
        f"/consumers/{A}/offsets/u/0": b"1",
    }


def test_a_deleted_topic_is_cleaned_up_when_zookeeper_is_back() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1), ("u", 0, 1))
    broker.zk.suspend()
    broker.metadata.topics(**{"u": 2, GROUP_METADATA: 2})
    with pytest.raises(KafkaError, match="COORDINATOR_LOAD_IN_PROGRESS"):
        broker.wait(broker.group_coordinator.fetch(A, [("t", 0)]))
    broker.settle(20)
    broker.zk.connect()
    broker.settle(2)
    assert broker.zk.below(f"/consumers/{A}/offsets") == {f"/consumers/{A}/offsets/u/0": b"1"}


ALL = {"t": 2, "u": 2, GROUP_METADATA: 2}
WITHOUT_T = {"u": 2, GROUP_METADATA: 2}


def test_a_coordinator_that_was_killed_at_the_deletion_removes_the_offsets_when_it_is_told_again() -> None:
    """Its image shows no such topic any more, so nothing in it changes."""
    broker = FakeBroker()
    broker.metadata.topics(**WITHOUT_T)
    broker.settle()
    broker.zk.put(f"/consumers/{A}/offsets/t/0", b"50")
    broker.zk.put(f"/consumers/{A}/offsets/u/0", b"50")
    broker.metadata.deleted("t")
    broker.settle()
    assert broker.zk.below(f"/consumers/{A}") == {f"/consumers/{A}/offsets/u/0": b"50"}


def test_a_new_coordinator_removes_the_offsets_of_a_topic_that_is_being_deleted() -> None:
    broker = FakeBroker(lead=())
    for group in (A, B):
        for topic in ("t", "u"):
            broker.zk.put(f"/consumers/{group}/offsets/{topic}/0", b"50")
    for topic in ("t", "u"):
        broker.metadata.order(topic)
    # That of u waits, for its reassignment perhaps: the topic lives as long as metadata show it.
    image = broker.metadata.image
    broker.metadata.image = replace(image, topics={name: image.topics[name] for name in WITHOUT_T})
    broker.lead(0)
    assert broker.zk.below("/consumers") == {
        f"/consumers/{A}/offsets/u/0": b"50",
        f"/consumers/{B}/offsets/t/0": b"50",
        f"/consumers/{B}/offsets/u/0": b"50",
    }


def test_a_new_coordinator_removes_what_is_older_than_its_topic() -> None:
    broker = FakeBroker(lead=())
    for topic in ("t", "u", "never"):
        broker.zk.put(f"/consumers/{A}/offsets/{topic}/0", b"50")
        broker.zk.put(f"/consumers/{A}/owners/{topic}", None)
    broker.metadata.topics(**WITHOUT_T)
    broker.metadata.topics(**ALL)
    broker.zk.put(f"/consumers/{A}/offsets/t/1", b"7")
    broker.zk.log.clear()
    broker.lead(0)
    assert broker.zk.below(f"/consumers/{A}") == {
        f"/consumers/{A}/offsets/t/1": b"7",
        f"/consumers/{A}/offsets/u/0": b"50",
    }
    # Where nothing can be older, the parent of the offsets is all that is looked at.
    asked = {request[1] for request in broker.zk.log if f"/consumers/{A}/offsets/u" in str(request[1])}
    assert {f"/consumers/{A}/offsets/u"} == asked


def test_a_new_coordinator_goes_on_with_the_next_session(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = FakeBroker(lead=())
    broker.zk.put(f"/consumers/{A}/offsets/never/0", b"50")
    topics = broker.group_coordinator.znodes.topics
    sessions = [1]

    async def topics_later(*args: Any, **options: Any) -> list[str]:
        if sessions.pop():
            raise SessionExpired
        return await topics(*args, **options)

    monkeypatch.setattr(broker.group_coordinator.znodes, "topics", topics_later)
    sessions.insert(0, 0)
    broker.lead(0)
    assert broker.zk.data(f"/consumers/{A}/offsets/never/0") == b"50"
    broker.settle(2)
    assert broker.zk.below(f"/consumers/{A}") == {}


def test_a_commit_for_a_topic_made_anew_outlives_a_removal_that_is_late() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1), ("t", 1, 1))
    broker.zk.suspend()
    broker.metadata.topics(**WITHOUT_T)
    broker.settle(20)
    broker.metadata.topics(**ALL)
    broker.zk.put(f"/consumers/{A}/offsets/t/0", b"9")
    broker.zk.connect()
    broker.settle(2)
    assert broker.zk.below(f"/consumers/{A}") == {f"/consumers/{A}/offsets/t/0": b"9"}


def test_offsets_are_read_synced_once_a_topic_is_new() -> None:
    """A server that lags shows the earlier topic of that name, and its offsets."""
    broker = FakeBroker()
    broker.metadata.topics(**WITHOUT_T)
    broker.settle()
    broker.metadata.topics(**ALL)
    for expected in (["sync", "get", "get", "exists"], ["get", "get", "exists"]):
        broker.zk.log.clear()
        broker.wait(broker.group_coordinator.fetch(A, [("t", 0)]))
        assert expected == [request[0] for request in broker.zk.log]


def test_offsets_of_a_deleted_topic_are_removed_only_after_a_sync() -> None:
    """A server that lags may not have the order to delete the topic yet, and its offsets would seem to be newer."""
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    broker.wait(broker.group_coordinator.fetch(A, [("t", 0)]))
    broker.zk.log.clear()
    broker.metadata.topics(**WITHOUT_T)
    broker.settle()
    requests = [request[0] for request in broker.zk.log]
    assert requests[0] == "sync" and requests.count("multi") == 1


def test_before_there_is_a_coordinator_the_controller_cleans_up() -> None:
    broker = FakeBroker(lead=())
    broker.metadata.topics(t=2, u=2)
    broker.zk.put("/consumers/classic/offsets/t/0", b"3")
    broker.metadata.topics(u=2)
    broker.settle()
    assert broker.zk.below("/consumers") == {}


def test_what_was_logged_for_a_deleted_topic_is_gone_at_once_and_buried_as_soon_as_the_log_takes_it() -> None:
    broker = beside_apaches()
    broker.lead(0)
    broker.committed(A, ("t", 0, 5), ("t", 1, 5), ("u", 0, 5))
    broker.replicas.answers = [Error.NOT_ENOUGH_REPLICAS] * 3
    broker.metadata.topics(**WITHOUT_T)
    assert [Committed(), Committed(), Committed(5)] == fetched(broker, T0, T1, ("u", 0))
    broker.metadata.topics(**ALL)
    broker.settle(1.5)
    broker.replicas.answers = []
    broker.committed(A, ("t", 1, 9))
    broker.settle(3)
    assert logged(broker) == {OffsetKey(A, "t", 1): (9, ""), OffsetKey(A, "u", 0): (5, "")}
    assert [Committed(), Committed(9)] == fetched(broker, T0, T1)


def test_what_is_being_logged_for_a_deleted_topic_does_not_come_back() -> None:
    broker = beside_apaches()
    broker.lead(0)
    broker.replicas.later = []
    broker.commit(A, ("t", 0, 5))
    broker.metadata.topics(**WITHOUT_T)
    for answer in broker.replicas.later:
        answer()
        assert [Committed()] == fetched(broker, T0)
    assert logged(broker) == {}
    assert [Committed()] == fetched(broker, T0)


@pytest.mark.parametrize(("ago_ms", "expected"), [(90_000, -1), (30_000, 5), (-30_000, 5)])
def test_a_new_coordinator_forgets_what_was_logged_before_its_topic(ago_ms: int, expected: int) -> None:
    """Unless the difference may be one of clocks."""
    broker = beside_apaches()
    broker.metadata.topics(**WITHOUT_T)
    broker.metadata.topics(**ALL)
    write(broker, 5, ago_ms)
    broker.lead(0)
    assert [expected] == [each.offset for each in fetched(broker, T0)]
    assert logged(broker) == ({} if expected < 0 else {OffsetKey(A, "t", 0): (5, "")})


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_new_coordinator_forgets_what_was_logged_for_a_topic_that_is_gone(comes_back: bool) -> None:
    broker = beside_apaches()
    write(broker, 5)
    if not comes_back:
        broker.metadata.topics(**WITHOUT_T)
    broker.replicas.callback(0, 0, True)
    if comes_back:
        # Deleted while the log is read.
        broker.metadata.topics(**WITHOUT_T)
        broker.metadata.topics(**ALL)
    broker.settle()
    assert [Committed()] == fetched(broker, T0)
    assert logged(broker) == {}


def test_an_open_transaction_loses_what_it_has_committed_for_a_topic_that_is_gone() -> None:
    broker = beside_apaches()
    open_one = {"producer_id": 7, "producer_epoch": 0, "transactional": True}
    write(broker, 5, **open_one)
    broker.metadata.topics(**WITHOUT_T)
    broker.lead(0)
    assert [Error.NONE] == [each.error for each in fetched(broker, T0, require_stable=True)]


def test_a_deletion_asks_no_more_of_zookeeper_for_many_topics_than_for_one() -> None:
    asked = []
    for names in (("t",), ("t", *map("other{}".format, range(50)))):
        broker = FakeBroker()
        broker.committed(A, ("u", 0, 1))
        broker.zk.log.clear()
        broker.metadata.deleted(*names)
        broker.settle()
        asked.append(len(broker.zk.log))
    assert asked[0] == asked[1] < 10


def test_what_was_logged_for_an_earlier_topic_is_not_carried_to_zookeeper() -> None:
    broker = beside_apaches()
    write(broker, 5)
    broker.metadata.topics(**WITHOUT_T)
    broker.zk.do_delete("/brokers/ids/2")
    broker.lead(0)
    broker.metadata.topics(**ALL)
    assert [Committed()] == fetched(broker, T0)
    assert broker.zk.below(f"/consumers/{A}") == {}
