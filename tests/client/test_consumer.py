"""The consumer on brokers that the test makes up: joining, outages, what is committed."""

from typing import Any

import pytest

from kafkalike.client.effects import Sleep, Steps
from kafkalike.client.errors import TimedOut
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import (
    heartbeat,
    join_group,
)
from tests.client.consumer_group import Group


def everything() -> list[tuple[int, int]]:
    return [(partition, offset) for partition in (0, 1) for offset in range(10)]


def test_a_member_joins_saves_its_start_and_reads_all_partitions() -> None:
    group = Group()
    group.core.subscribe(["t"])
    assert everything() == sorted(group.read(20))
    assert [{0: 0, 1: 0}] == group.commits
    assert {("t", 0): (0, "earliest"), ("t", 1): (0, "earliest")} == group.core.start_offsets
    group.run(group.core.commit())
    assert {0: 10, 1: 10} == group.commits[-1]


def test_what_is_committed_is_where_it_goes_on() -> None:
    group = Group()
    group.committed = {0: 7, 1: 5}
    group.core.subscribe(["t"])
    expected = [(0, 7), (0, 8), (0, 9), *((1, offset) for offset in range(5, 10))]
    assert expected == sorted(group.read(8))
    assert [] == group.commits


def test_assigned_partitions_are_told_before_their_messages() -> None:
    group = Group()
    group.core.subscribe(["t"])
    assert [] == group.run(group.core.poll(10_000))
    assert [(("t", 0), ("t", 1))] == list(group.core.newly_assigned)


def test_heartbeats_go_on_while_nobody_polls_and_a_rebalance_waits_for_the_poll() -> None:
    group = Group(heartbeat_interval_ms=1000)
    group.core.subscribe(["t"])
    group.read(20)

    def idle() -> Steps[None]:
        yield Sleep(5500)

    group.instead["Heartbeat"] = [heartbeat.Response(error_code=Error.REBALANCE_IN_PROGRESS)]
    group.run(idle())
    assert 1 == [api for _, api in group.brokers.asked].count("Heartbeat"), "it is out of the group"
    assert 1 == group.generation
    group.run(group.core.poll(1000))
    assert 2 == group.generation


def test_a_member_whose_heartbeats_died_of_something_unforeseen_hears_of_it_in_every_poll() -> None:
    group = Group(heartbeat_interval_ms=1000)
    group.core.subscribe(["t"])
    group.read(5)

    def wrong() -> None:
        raise RuntimeError("not foreseen")

    assert group.core.member is not None
    group.core.member.heartbeat = wrong  # type: ignore[assignment, method-assign]

    def idle() -> Steps[None]:
        yield Sleep(1500)

    group.run(idle())
    for call in (group.core.poll, group.core.poll, group.core.join):
        with pytest.raises(RuntimeError, match="not foreseen"):
            group.run(call(10_000))
    group.run(group.core.close())


def test_a_join_that_outlasts_a_poll_is_waited_for_by_the_next() -> None:
    group = Group()
    group.instead["JoinGroup"] = [None]
    group.core.subscribe(["t"])
    for _ in range(3):
        assert [] == group.run(group.core.poll(1000))
    assert 1 == [api for _, api in group.brokers.asked].count("JoinGroup")


def test_a_leader_that_cannot_ask_for_the_topics_joins_again() -> None:
    """The members' topics are looked up between JoinGroup and SyncGroup."""
    group = Group()
    group.core.subscribe(["t"])
    group.run(group.brokers.routing.refresh(["t"]))
    real, asked = group._JoinGroup, []

    def join_then_break(broker: int, request: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            group.instead["Metadata"] = [OSError("broken")]
        return real(broker, request)

    group._JoinGroup = join_then_break  # type: ignore[method-assign]
    assert everything() == sorted(group.read(20))
    assert 2 == len(asked)


def test_a_coordinator_that_moved_is_looked_up_again() -> None:
    group = Group()
    group.instead["JoinGroup"] = [join_group.Response(error_code=Error.NOT_COORDINATOR)]
    group.core.subscribe(["t"])
    group.read(20)
    assert 2 == [api for _, api in group.brokers.asked].count("FindCoordinator")


def test_a_group_that_cannot_be_joined_says_so() -> None:
    group = Group()
    group.instead["JoinGroup"] = [join_group.Response(error_code=Error.INCONSISTENT_GROUP_PROTOCOL)]
    group.core.subscribe(["t"])
    with pytest.raises(KafkaError, match="group 'g'"):
        group.run(group.core.poll(10_000))


def test_nobody_there_is_an_error_at_the_start() -> None:
    for group_id in ("g", None):
        group = Group(group_id=group_id)
        group.brokers.away = {0}
        if group_id:
            group.core.subscribe(["t"])
        else:
            group.core.assign([("t", 0)])
            group.core.seek(("t", 0), 0)
        with pytest.raises(TimedOut, match="Timed out waiting for a node assignment"):
            group.run(group.core.poll(60_000))


def test_closing_commits_and_leaves() -> None:
    group = Group(enable_auto_commit=True)
    group.core.subscribe(["t"])
    group.read(20)
    group.run(group.core.close())
    assert {0: 10, 1: 10} == group.commits[-1]
    assert (1, "LeaveGroup") == group.brokers.asked[-1]


def test_the_application_may_choose_the_positions_at_the_assignment() -> None:
    """It is told before positions are looked for: what it keeps itself is neither asked for nor overwritten."""
    group = Group(auto_offset_reset="none")
    group.core.subscribe(["t"])
    assert [] == group.run(group.core.poll(10_000))
    for partition in group.core.newly_assigned.popleft():
        group.core.seek(partition, 7)
    assert {(p, offset) for p in (0, 1) for offset in (7, 8, 9)} == set(group.read(6))
    assert [] == group.commits
    assert "OffsetFetch" not in {api for _, api in group.brokers.asked}


def test_silent_brokers_hold_up_the_end_for_five_seconds_only() -> None:
    """Ctrl-C would seem to do nothing while the commit and the farewell wait for half a minute each."""
    group = Group(enable_auto_commit=True)
    group.core.subscribe(["t"])
    group.read(20)
    group.brokers.answer = lambda *_: None
    before = group.brokers.clock.now_ms
    group.run(group.core.close())
    assert 5000 == group.brokers.clock.now_ms - before


def test_ack_commits_the_contiguous_prefix() -> None:
    group = Group(save_start=False)
    group.core.subscribe(["t"])
    group.run(group.core.join(10_000))
    group.core.newly_assigned.clear()
    records = [r for r in group.run(group.core.poll(10_000)) if r.partition == 0]
    assert [None, 2, 3] == [group.run(group.core.ack(records[n])) for n in (1, 0, 2)]
    assert [{0: 2}, {0: 3}] == group.commits
