"""Offsets read from ZooKeeper, and removed from it."""

from __future__ import annotations

from functools import partial

import pytest

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.cluster.znodes.topics import PartitionNode, TopicNode
from kafkalike.coordinator.offsets.offset_commit import Committed
from kafkalike.errors import Error, KafkaError
from tests.coordinator.fakes import FakeBroker, group_in

A = group_in(0)


def read(broker: FakeBroker, group: str, *keys: tuple[str, int]) -> list[Committed]:
    return broker.wait(broker.group_coordinator.znodes.read(group, keys))


def test_whatever_a_tool_wrote_is_believed() -> None:
    broker = FakeBroker()
    broker.zk.put("/consumers/old/offsets/t/0", b"17")
    broker.zk.put("/consumers/old/offsets/t/1", b"x")
    assert read(broker, "old", ("t", 0), ("t", 1), ("t", 2)) == [
        Committed(17),
        Committed(error=Error.UNKNOWN_SERVER_ERROR),
        Committed(),
    ]


def test_what_was_said_with_an_offset_is_believed_for_that_offset_only() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 5, 2, "note"))
    assert read(broker, "g", ("t", 0)) == [Committed(5, 2, "note")]
    broker.zk.put("/consumers/g/offsets/t/0", b"3")
    assert read(broker, "g", ("t", 0)) == [Committed(3)]
    broker.zk.put("/consumers/g/offsets-extra/t/0", b"garbage")
    assert read(broker, "g", ("t", 0)) == [Committed(3)]


def test_an_offset_that_is_older_than_its_topic_is_not_answered() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 5, 2, "note"), ("t", 1, 6, 2, "note"))
    broker.zk.delete_below(TopicNode.path("t"))
    assert read(broker, "g", ("t", 0)) == [Committed()]
    broker.zk.put(TopicNode.path("t"), b"")
    assert read(broker, "g", ("t", 0), ("t", 1)) == [Committed()] * 2
    # Set by hand it is believed, and what was said with the earlier one is not.
    broker.zk.put("/consumers/g/offsets/t/0", b"5")
    assert read(broker, "g", ("t", 0), ("t", 1)) == [Committed(5), Committed()]
    # More partitions make no other topic.
    broker.zk.put(TopicNode.path("t"), b"more")
    assert read(broker, "g", ("t", 0)) == [Committed(5)]


def test_what_is_older_is_not_a_matter_of_clocks() -> None:
    """A server of the ensemble whose clock was behind has led it since the topic was made."""
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 5))
    broker.zk.tree.get(TopicNode.path("t")).ctime += 3_600_000
    assert read(broker, "g", ("t", 0)) == [Committed(5)]


def test_what_no_topic_can_be_called_has_no_offsets() -> None:
    broker = FakeBroker()
    assert read(broker, "g", ("", 0), ("a/b", 0), (".", 0)) == [Committed()] * 3
    assert [] == [request for request in broker.zk.log if request[0] == "exists" and "/topics/" in request[1]]


def test_B8_a_read_after_a_reconnect_is_synced() -> None:
    broker = FakeBroker()
    read(broker, "g", ("t", 0))
    broker.zk.log.clear()
    read(broker, "g", ("t", 0))
    assert [request[0] for request in broker.zk.log] == ["get", "get", "exists"]
    broker.zk.suspend()
    broker.zk.connect()
    broker.zk.log.clear()
    read(broker, "g", ("t", 0))
    assert [request[0] for request in broker.zk.log] == ["sync", "get", "get", "exists"]


def test_a_new_coordinator_reads_synced() -> None:
    broker = FakeBroker(lead=())
    read(broker, "g", ("t", 0))
    broker.zk.log.clear()
    broker.lead(0)
    read(broker, "g", ("t", 0))
    asked = [request[:2] for request in broker.zk.log]
    assert asked.index(("sync", "/consumers")) < asked.index(("get", "/consumers/g/offsets/t/0"))


def test_without_zookeeper_reads_end_in_time() -> None:
    broker = FakeBroker()
    broker.zk.suspend()
    with pytest.raises(KafkaError) as raised:
        read(broker, "g", ("t", 0))
    assert raised.value.error is Error.COORDINATOR_LOAD_IN_PROGRESS


def test_reads_that_come_later_in_the_same_silence_are_not_even_sent() -> None:
    broker = FakeBroker()
    broker.zk.suspend()
    broker.settle(5.1)
    asked = len(broker.zk.waiting)
    began = broker.clock.seconds()
    with pytest.raises(KafkaError) as raised:
        read(broker, "g", ("t", 0))
    assert raised.value.error is Error.COORDINATOR_LOAD_IN_PROGRESS
    assert (asked, began) == (len(broker.zk.waiting), broker.clock.seconds())


def test_the_keys_of_a_group() -> None:
    broker = FakeBroker()
    broker.committed("a/b", ("u", 10, 1), ("u", 9, 1), ("t", 0, 1))
    assert broker.wait(broker.group_coordinator.znodes.keys("a/b")) == [("t", 0), ("u", 9), ("u", 10)]
    assert broker.wait(broker.group_coordinator.znodes.keys("nobody")) == []
    assert broker.wait(broker.group_coordinator.znodes.groups()) == ["a/b"]


def test_removing_offsets_removes_empty_parents_and_no_others() -> None:
    broker = FakeBroker()
    fence = broker.fence(0)
    broker.committed(A, ("t", 0, 1, 1, "x"), ("t", 1, 1), ("u", 0, 1))
    assert broker.wait(broker.group_coordinator.znodes.remove(fence, A, [("t", 0), ("u", 0), ("u", 5)])) == 2
    nodes = {each.removeprefix(f"/consumers/{A}/") for each in broker.zk.tree.nodes if each.startswith("/consumers/g")}
    assert nodes >= {"offsets/t/1", "owners/t", "ids"}
    assert not nodes & {"offsets/t/0", "offsets-extra/t/0", "offsets-extra/t", "offsets/u", "owners/u"}
    broker.committed(A, ("u", 0, 2))


def test_a_deposed_coordinator_removes_nothing() -> None:
    broker = FakeBroker()
    fence = broker.fence(0)
    broker.committed(A, ("t", 0, 1))
    broker.state(0, leader=2, epoch=1)
    with pytest.raises(KafkaError) as raised:
        broker.wait(broker.group_coordinator.znodes.remove(fence, A, [("t", 0)]))
    assert raised.value.error is Error.NOT_COORDINATOR
    with pytest.raises(KafkaError):
        broker.wait(broker.group_coordinator.znodes.remove_group(fence, A))
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"1"


@pytest.mark.parametrize("state", [None, b"{"])
def test_a_removal_waits_for_a_state_that_cannot_be_read_no_longer_than_a_commit_does(state: bytes | None) -> None:
    broker = FakeBroker()
    fence = broker.fence(0)
    broker.committed(A, ("t", 0, 1))
    path = PartitionNode.path(GROUP_METADATA, 0)
    good = broker.zk.data(path)
    if state is None:
        broker.zk.do_delete(path)
    else:
        broker.zk.put(path, state)
    with pytest.raises(KafkaError, match="COORDINATOR_LOAD_IN_PROGRESS"):
        broker.wait(broker.group_coordinator.znodes.remove(fence, A, [("t", 0)]))
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"1"
    broker.zk.put(path, good)
    broker.settle(1.5)
    assert broker.wait(broker.group_coordinator.znodes.remove(fence, A, [("t", 0)])) == 1


def test_a_commit_later_than_what_was_seen_is_kept() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1), ("t", 1, 1))
    seen = broker.wait(broker.group_coordinator.znodes.committed_ms(A))
    broker.committed(A, ("t", 0, 2))
    assert broker.wait(broker.group_coordinator.znodes.remove(None, A, list(seen), seen)) == 1
    assert broker.zk.below(f"/consumers/{A}/offsets") == {f"/consumers/{A}/offsets/t/0": b"2"}


@pytest.mark.parametrize("committed", [(0, 1), (1,)])
def test_what_is_older_than_its_topic_is_removed_and_what_comes_meanwhile_stays(committed: tuple[int, ...]) -> None:
    broker = FakeBroker()
    broker.committed(A, *[("t", partition, 1, 1, "x") for partition in committed])
    broker.zk.put(f"/consumers/{A}/offsets-extra/t/0", b"old")
    broker.zk.delete_below(TopicNode.path("t"))
    broker.zk.put(TopicNode.path("t"), b"")

    def commit(_: list[object]) -> None:
        broker.zk.before_multi = None
        broker.zk.put(f"/consumers/{A}/offsets/t/0", b"2")
        broker.zk.put(f"/consumers/{A}/offsets-extra/t/0", b"new")

    broker.zk.before_multi = commit
    topic_stat = partial(broker.zk.exists, TopicNode.path("t"))
    assert broker.wait(broker.group_coordinator.znodes.remove_older(None, A, "t", topic_stat)) == 1
    assert broker.zk.below(f"/consumers/{A}") == {
        f"/consumers/{A}/offsets-extra/t/0": b"new",
        f"/consumers/{A}/offsets/t/0": b"2",
    }


def test_a_group_that_is_to_go_without_offsets_stays_for_a_commit_that_comes_meanwhile() -> None:
    broker = FakeBroker()
    broker.zk.put(f"/consumers/{A}/offsets/t", None)

    def commit(_: list[object]) -> None:
        broker.zk.before_multi = None
        broker.zk.put(f"/consumers/{A}/offsets/t/0", b"2")

    broker.zk.before_multi = commit
    fence = broker.fence(0)
    with pytest.raises(KafkaError, match="NON_EMPTY_GROUP"):
        broker.wait(broker.group_coordinator.znodes.remove_group(fence, A, only_empty=True))
    assert broker.zk.below(f"/consumers/{A}") == {f"/consumers/{A}/offsets/t/0": b"2"}
    broker.zk.do_delete(f"/consumers/{A}/offsets/t/0")
    broker.wait(broker.group_coordinator.znodes.remove_group(fence, A, only_empty=True))
    assert f"/consumers/{A}" not in broker.zk.tree.nodes


def test_a_removal_whose_answer_was_lost_is_finished() -> None:
    broker = FakeBroker()
    fence = broker.fence(0)
    broker.committed(A, ("t", 0, 1))
    results: list[int] = []

    def lose(_: list[object]) -> None:
        broker.zk.before_multi = None
        broker.clock.callLater(0, broker.zk.suspend)
        broker.clock.callLater(0.1, broker.zk.connect)

    broker.zk.before_multi = lose
    results.append(broker.wait(broker.group_coordinator.znodes.remove(fence, A, [("t", 0)])))
    assert broker.zk.below(f"/consumers/{A}/offsets") == {}


def test_removing_a_group_leaves_nothing() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1, 1, "x"), ("u", 0, 1))
    broker.wait(broker.group_coordinator.znodes.remove_group(broker.fence(0), A))
    assert not [each for each in broker.zk.tree.nodes if each.startswith(f"/consumers/{A}")]
    broker.committed(A, ("t", 0, 2))


def test_a_group_of_living_classic_consumers_is_not_removed() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    broker.zk.put(f"/consumers/{A}/ids/consumer-1", b"{}")
    with pytest.raises(KafkaError) as raised:
        broker.wait(broker.group_coordinator.znodes.remove_group(broker.fence(0), A))
    assert raised.value.error is Error.NON_EMPTY_GROUP
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"1"


def test_a_classic_consumer_that_comes_meanwhile_saves_its_group() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))

    def race(_: list[object]) -> None:
        broker.zk.before_multi = None
        broker.zk.put(f"/consumers/{A}/ids/consumer-1", b"{}")

    broker.zk.before_multi = race
    with pytest.raises(KafkaError):
        broker.wait(broker.group_coordinator.znodes.remove_group(broker.fence(0), A))
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"1"
