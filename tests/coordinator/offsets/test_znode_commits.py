"""Commits on their way into ZooKeeper: coalescing, fencing, lost answers, time."""

from __future__ import annotations

import pytest

from kafkalike.cluster.topic_names import GROUP_METADATA
from kafkalike.coordinator.offsets import znode_commits
from kafkalike.errors import Error
from tests.coordinator.fakes import FakeBroker, group_in
from zk.client import Check, Create, Delete, Set

A, B = group_in(0), group_in(1)
OK, AGAIN = [Error.NONE], [Error.COORDINATOR_LOAD_IN_PROGRESS]


def test_a_commit_is_an_ascii_number_in_the_classic_place() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 42))
    assert broker.zk.data("/consumers/g/offsets/t/0") == b"42"
    broker.committed("g", ("t", 0, 43))
    assert broker.zk.data("/consumers/g/offsets/t/0") == b"43"
    assert broker.zk.stat("/consumers/g/offsets/t/0").version == 1


def test_old_tools_find_the_group() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 42))
    assert {"/consumers/g/ids", "/consumers/g/owners/t"} <= set(broker.zk.tree.nodes)


def test_the_rest_goes_beside_it_in_the_same_multi() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 42, 7, "note"))
    extra = b'{"version":1,"offset":42,"leader_epoch":7,"metadata":"note"}'
    assert broker.zk.data("/consumers/g/offsets-extra/t/0") == extra
    broker.committed("g", ("t", 0, 42))
    assert broker.zk.data("/consumers/g/offsets-extra/t/0") is None
    assert [[type(each) for each in multi] for multi in broker.zk.multis()] == [
        [Check, Create, Create],
        [Check, Set, Delete],
    ]


def test_it_is_answered_when_zookeeper_has_answered() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1))
    answers = broker.commit("g", ("t", 0, 2))
    broker.clock.advance(0)
    assert broker.zk.data("/consumers/g/offsets/t/0") == b"2"
    assert answers == []
    broker.clock.advance(0.001)
    assert answers == [OK]


def test_waiting_values_of_a_partition_are_replaced_by_the_newest_and_all_answered() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 0))
    broker.zk.log.clear()
    answers = [broker.commit("g", ("t", 0, offset)) for offset in range(1, 100)]
    broker.clock.advance(0)
    answers += [broker.commit("g", ("t", 0, offset)) for offset in range(100, 200)]
    broker.settle()
    assert answers == [[OK]] * 199
    assert [multi[1:] for multi in broker.zk.multis()] == [
        [Set("/consumers/g/offsets/t/0", b"99")],
        [Set("/consumers/g/offsets/t/0", b"199")],
    ]


def test_partitions_of_many_groups_share_multis_and_several_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(znode_commits, "OFFSETS", 12)
    broker = FakeBroker()
    keys = [(f"group-{number}", "t", number % 2) for number in range(96)]
    for group, topic, partition in keys:
        broker.commit(group, (topic, partition, 1))
    broker.settle(1)
    broker.zk.log.clear()
    answers = [broker.commit(group, (topic, partition, 2)) for group, topic, partition in keys]
    broker.clock.advance(0)
    assert len(broker.zk.multis()) == 4
    assert answers == [[]] * 96
    broker.settle()
    assert answers == [[OK]] * 96
    assert len(broker.zk.multis()) == 8
    assert all(len(multi) <= 14 for multi in broker.zk.multis())


def test_the_first_commit_of_many_partitions_makes_their_parents_once() -> None:
    broker = FakeBroker()
    broker.committed("g", *(("t", partition, 1, 5, "x") for partition in range(100)))
    asked = [request[1] for request in broker.zk.log if request[0] == "ensure_path"]
    group = "/consumers/g/"
    assert sorted(asked) == [group + "ids", group + "offsets-extra/t", group + "offsets/t", group + "owners/t"]
    assert len(broker.zk.below(group + "offsets/t")) == 100


def test_a_node_that_somebody_removed_is_made_again() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1), ("t", 1, 1))
    broker.zk.do_delete("/consumers/g/offsets/t/0")
    broker.committed("g", ("t", 0, 2), ("t", 1, 2))
    assert broker.zk.below("/consumers/g/offsets") == {
        "/consumers/g/offsets/t/0": b"2",
        "/consumers/g/offsets/t/1": b"2",
    }


def test_a_tree_that_somebody_removed_is_made_again() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1, 5, "x"))
    for path in sorted((each for each in broker.zk.tree.nodes if each.startswith("/consumers/g")), reverse=True):
        broker.zk.do_delete(path)
    broker.committed("g", ("t", 0, 2, 5, "x"))
    assert broker.zk.data("/consumers/g/offsets/t/0") == b"2"


def test_a_node_that_somebody_made_meanwhile_is_written() -> None:
    broker = FakeBroker()

    def race(_: list[object]) -> None:
        broker.zk.before_multi = None
        broker.zk.put("/consumers/g/offsets/t/0", b"7")

    broker.zk.before_multi = race
    broker.committed("g", ("t", 0, 1))
    assert broker.zk.data("/consumers/g/offsets/t/0") == b"1"


def test_without_zookeeper_commits_wait_their_time_and_no_longer() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1))
    broker.zk.suspend()
    early = broker.commit("g", ("t", 0, 2))
    broker.settle(4.9)
    assert early == []
    broker.settle(0.2)
    assert early == [AGAIN]
    broker.zk.connect()
    broker.settle()
    # What was answered with an error and had not been sent is not done later.
    assert broker.zk.below("/consumers/g/offsets") == {"/consumers/g/offsets/t/0": b"1"}


def test_commits_of_one_connection_do_not_wait_one_after_the_other() -> None:
    """Each would keep the heartbeats behind it for another five seconds."""
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1))
    broker.zk.suspend()
    broker.settle(3)
    second = broker.commit("g", ("t", 1, 3))
    broker.settle(1.9)
    assert second == []
    broker.settle(0.2)
    assert second == [AGAIN]
    assert broker.commit("g", ("t", 1, 4)) == [AGAIN]
    broker.zk.connect()
    broker.committed("g", ("t", 1, 5))


def test_a_zookeeper_that_stands_still_is_waited_for_once() -> None:
    """The connection is there, and nothing comes."""
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1))
    broker.zk.delay = 60
    first = broker.commit("g", ("t", 0, 2))
    broker.settle(5.1)
    assert first == [AGAIN]
    assert broker.commit("g", ("t", 0, 3)) == broker.commit("g", ("t", 1, 3)) == [AGAIN]
    broker.zk.delay = 0.001
    broker.clock.advance(60)
    broker.committed("g", ("t", 0, 4))
    assert broker.zk.data("/consumers/g/offsets/t/0") == b"4"


def test_a_write_whose_answer_was_lost_is_found_to_be_done() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1, 3, "x"))
    answers = broker.commit("g", ("t", 0, 2, 3, "y"))
    broker.clock.advance(0)
    broker.zk.suspend()
    newer = broker.commit("g", ("t", 0, 3, 3, "z"))
    broker.settle()
    assert answers == []
    broker.zk.log.clear()
    broker.zk.connect()
    broker.settle()
    assert answers == newer == [OK]
    assert broker.zk.log[0][0] == "sync"
    assert [multi[1].data for multi in broker.zk.multis()] == [b"3"]
    assert broker.zk.stat("/consumers/g/offsets/t/0").version == 2


def test_a_write_that_was_lost_is_done_again() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1))
    answers = broker.commit("g", ("t", 0, 2))
    broker.clock.advance(0)
    broker.zk.suspend()
    broker.zk.put("/consumers/g/offsets/t/0", b"1")
    broker.zk.connect()
    broker.settle()
    assert answers == [OK]
    assert broker.zk.data("/consumers/g/offsets/t/0") == b"2"


def test_a_lost_write_is_not_done_again_by_a_deposed_coordinator() -> None:
    broker = FakeBroker()
    broker.committed(A, ("t", 0, 1))
    answers = broker.commit(A, ("t", 0, 2))
    broker.clock.advance(0)
    broker.zk.suspend()
    broker.zk.put(f"/consumers/{A}/offsets/t/0", b"100")
    broker.state(0, leader=2, epoch=1)
    broker.zk.connect()
    broker.settle()
    assert answers == [[Error.NOT_COORDINATOR]]
    assert broker.zk.data(f"/consumers/{A}/offsets/t/0") == b"100"


def test_what_waits_is_not_written_once_its_topic_is_deleted() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1), ("u", 0, 1))
    broker.zk.suspend()
    waiting = broker.commit("g", ("t", 0, 2), ("t", 1, 2), ("u", 0, 2))
    broker.settle()
    broker.metadata.topics(**{"u": 2, GROUP_METADATA: 2})
    broker.metadata.topics(**{"t": 2, "u": 2, GROUP_METADATA: 2})
    broker.zk.connect()
    broker.settle(2)
    gone = Error.UNKNOWN_TOPIC_OR_PARTITION
    assert [[gone, gone, Error.NONE]] == waiting
    assert {"/consumers/g/offsets/u/0": b"2"} == broker.zk.below("/consumers/g")
    broker.committed("g", ("t", 0, 3))
    assert b"3" == broker.zk.data("/consumers/g/offsets/t/0")


def test_a_write_that_was_lost_is_not_done_again_once_its_topic_is_deleted() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1))
    answers = broker.commit("g", ("t", 0, 2))
    broker.clock.advance(0)
    broker.zk.suspend()
    broker.zk.put("/consumers/g/offsets/t/0", b"1")
    broker.metadata.topics(**{"u": 2, GROUP_METADATA: 2})
    broker.metadata.topics(**{"t": 2, "u": 2, GROUP_METADATA: 2})
    broker.zk.connect()
    broker.settle(2)
    assert [[Error.UNKNOWN_TOPIC_OR_PARTITION]] == answers
    assert {} == broker.zk.below("/consumers/g")


def test_version_0_is_bound_to_no_coordinator() -> None:
    broker = FakeBroker(lead=())
    answers: list[list[Error]] = []
    broker.group_coordinator.commit_unbound("g", [("t", 0, 5, -1, "")], answers.append)
    broker.settle()
    assert answers == [OK]
    assert broker.zk.data("/consumers/g/offsets/t/0") == b"5"
    assert [type(each) for each in broker.zk.multis()[0]] == [Create]


def test_stopping_answers_whoever_waits() -> None:
    broker = FakeBroker()
    broker.committed("g", ("t", 0, 1))
    broker.zk.suspend()
    answers = broker.commit("g", ("t", 0, 2))
    broker.group_coordinator.stop()
    assert answers == [[Error.COORDINATOR_NOT_AVAILABLE]]
    broker.zk.connect()
    assert [call for call in broker.clock.getDelayedCalls() if call.getTime() > broker.clock.seconds() + 1] == []
