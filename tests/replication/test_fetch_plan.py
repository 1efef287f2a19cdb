"""What a follower asks next, and where it cuts its log."""

import pytest

from kafkalike.errors import Error
from kafkalike.protocol.messages import fetch
from kafkalike.replication.fetch_plan import FetchPlan, Following, Position, truncation
from kafkalike.storage.leader_epochs import LeaderEpochs

ID = bytes(range(16))


@pytest.mark.parametrize(
    ("ours", "end", "mark", "answer", "expected"),
    [
        ([(0, 0), (1, 5)], 10, 3, (-1, -1), 3),
        ([(0, 0), (1, 5)], 10, 3, (-1, 4), 4),
        ([(0, 0), (1, 5)], 10, 3, (1, 8), 8),
        ([(0, 0), (1, 5)], 10, 3, (1, 12), 10),
        ([(0, 0), (1, 5)], 10, 3, (0, 4), 4),
        ([(0, 0), (1, 5)], 10, 3, (0, 9), 5),
        ([(0, 0), (3, 5)], 10, 3, (2, 7), 5),
        ([(2, 0)], 10, 3, (1, 4), 0),
    ],
    ids=[
        "nothing known: what was committed", "no epoch: the end it names", "same epoch, shorter", "same epoch, longer",
        "older epoch that ended earlier there", "older epoch that ended earlier here",
        "an epoch we lack: the end of our one before it", "an epoch before all of ours: from the beginning",
    ],
)  # fmt: skip
def test_the_log_is_cut_where_it_left_the_leaders(ours, end, mark, answer, expected):
    """KIP-101, KIP-279 (A1, A2): by epochs, never by the high watermark alone."""
    epochs = LeaderEpochs(ours)
    assert expected == truncation(lambda epoch: epochs.end_offset(epoch, end), end, mark, *answer)


@pytest.fixture
def plan():
    plan = FetchPlan(1000)
    for index in (0, 1):
        plan.add(Following("t", ID, index, 4))
    return plan


def at(**offsets):
    return lambda following: Position(following.leader_epoch, offsets.get(f"p{following.index}", 0), 3, 0)


def asked(request):
    return [(p.partition, p.fetch_offset) for topic in request.topics for p in topic.partitions]


def session(plan, session_id=7):
    plan.answered(fetch.Response(session_id=session_id))


def test_the_first_request_is_full_and_the_next_say_only_what_changed(plan):
    first = plan.request(at(p0=5), 0)
    assert (first.session_id, first.session_epoch) == (0, 0)
    assert asked(first) == [(0, 5), (1, 0)]
    session(plan)
    plan.stir("t", 0)
    second = plan.request(at(p0=6), 0)
    assert (second.session_id, second.session_epoch) == (7, 1)
    assert asked(second) == [(0, 6)]
    session(plan)
    plan.stir("t", 0)
    assert asked(plan.request(at(p0=6), 0)) == []


def test_a_partition_that_nothing_stirred_is_not_looked_at(plan):
    plan.request(at(), 0)
    session(plan)
    looked_at = []
    plan.stir("t", 1)
    plan.request(lambda following: looked_at.append(following.index) or at()(following), 0)
    assert looked_at == [1]
    assert plan.told[ID, 1] == Position(4, 0, 3, 0)


def test_what_has_no_position_any_more_is_left(plan):
    plan.request(at(), 0)
    session(plan)
    plan.stir("t", 1)
    request = plan.request(lambda following: None, 0)
    assert [list(topic.partitions) for topic in request.forgotten_topics_data] == [[1]]
    assert len(plan) == 1


def test_a_partition_that_is_left_or_pauses_is_forgotten_and_comes_back(plan):
    plan.request(at(), 0)
    session(plan)
    plan.pause((ID, 1), 100)
    request = plan.request(at(), 50)
    assert [list(topic.partitions) for topic in request.forgotten_topics_data] == [[1]]
    session(plan)
    assert asked(plan.request(at(), 100)) == [(1, 0)]
    session(plan)
    plan.remove("t", 0)
    assert [list(topic.partitions) for topic in plan.request(at(), 100).forgotten_topics_data] == [[0]]


def test_a_lost_session_starts_in_full_again(plan):
    plan.request(at(), 0)
    session(plan)
    plan.request(at(), 0)
    assert not plan.answered(fetch.Response(error_code=Error.FETCH_SESSION_ID_NOT_FOUND))
    request = plan.request(at(), 0)
    assert (request.session_id, request.session_epoch) == (0, 0)
    assert asked(request) == [(0, 0), (1, 0)]


def test_a_leader_without_free_sessions_is_asked_in_full_each_time(plan):
    plan.request(at(), 0)
    session(plan, 0)
    assert asked(plan.request(at(), 0)) == [(0, 0), (1, 0)]


def test_a_fenced_partition_is_not_asked_for_until_it_is_assigned_anew(plan):
    plan.fail((ID, 0))
    assert asked(plan.request(at(), 0)) == [(1, 0)]
    plan.add(Following("t", ID, 0, 5))
    session(plan)
    assert asked(plan.request(at(), 0)) == [(0, 0)]


def test_when_everything_pauses_there_is_nothing_to_ask_until_the_first_is_due(plan):
    plan.reset(200)
    plan.pause((ID, 0), 300)
    assert plan.request(at(), 100) is None
    assert plan.next_time_ms() == 200
