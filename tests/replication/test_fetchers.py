"""Asking leaders: one request at a time to each, again after an answer, later after a failure."""

import pytest
from twisted.internet import defer, task

from kafkalike.config import broker_config
from kafkalike.errors import Error
from kafkalike.protocol.messages import fetch
from kafkalike.replication.fetch_plan import HELD_MS, Following, Position
from kafkalike.replication.fetchers import Fetchers
from tests.replication.views import ReactorTime, Surroundings

ID = bytes(range(16))
DATA = fetch.PartitionData(partition_index=0, records=b"")


class Leader:
    """The other brokers, and the replicas that answers are handed to."""

    def __init__(self):
        self.asked = []
        self.interruptions = 0
        self.taken = []
        self.outcome = Error.NONE
        self.offset = 0
        self.holding = set()

    def ask(self, leader, message, version, request):
        answer = defer.Deferred()
        if message is fetch:
            self.asked.append((leader, request, answer))
        else:
            self.interruptions += 1
        return answer

    def position_of(self, following):
        return Position(following.leader_epoch, self.offset, 0, 0)

    def held(self, following):
        return following.index in self.holding

    def take(self, following, position, data, stir):
        self.taken.append((following.index, data.error_code))
        return self.outcome

    def reply(self, error=0, index=0):
        data = fetch.PartitionData(partition_index=index, error_code=error, records=b"")
        topic = fetch.FetchableTopicResponse(topic_id=ID, partitions=[data])
        self.asked[-1][2].callback(fetch.Response(session_id=5, responses=[topic]))


@pytest.fixture
def clock():
    return task.Clock()


@pytest.fixture
def leader():
    return Leader()


@pytest.fixture
def fetchers(clock, leader):
    config, _ = broker_config({"zookeeper.connect": "x:1", "replica.fetch.backoff.ms": "1000"})
    around = Surroundings(9, ReactorTime(clock))
    around.broker_epoch = 77
    around.ask = leader.ask
    fetchers = Fetchers(leader, around.view, config, clock)
    fetchers.follow(1, Following("t", ID, 0, 4))
    fetchers.begin()
    return fetchers


def test_a_request_says_who_asks_and_the_next_follows_the_answer(fetchers, leader):
    request = leader.asked[0][1]
    assert (request.replica_state.replica_id, request.replica_state.replica_epoch) == (9, 77)
    leader.reply()
    assert leader.taken == [(0, 0)]
    assert [who for who, _, _ in leader.asked] == [1, 1]


def test_only_one_request_is_under_way_to_a_leader(fetchers, leader, clock):
    fetchers.follow(1, Following("t", ID, 1, 4))
    fetchers.begin()
    assert len(leader.asked) == 1
    leader.reply()
    assert [p.partition for topic in leader.asked[1][1].topics for p in topic.partitions] == [1]


def test_a_new_partition_interrupts_a_leader_that_waits_for_records_of_the_others(fetchers, leader, clock):
    for index in (1, 2):
        fetchers.follow(1, Following("t", ID, index, 4))
    fetchers.begin()
    assert leader.interruptions == 1
    leader.reply()
    assert [p.partition for topic in leader.asked[1][1].topics for p in topic.partitions] == [1, 2]
    fetchers.follow(1, Following("t", ID, 3, 4))
    fetchers.begin()
    assert leader.interruptions == 2


def test_a_leader_that_gives_no_session_is_taken_at_its_word_all_the_same(fetchers, leader):
    leader.asked[-1][2].callback(
        fetch.Response(session_id=0, responses=[fetch.FetchableTopicResponse(topic_id=ID, partitions=[DATA])])
    )
    assert leader.taken == [(0, 0)]
    assert [p.partition for topic in leader.asked[1][1].topics for p in topic.partitions] == [0]


def test_partitions_of_one_order_are_in_one_request(fetchers, leader, clock):
    for index in (1, 2):
        fetchers.follow(2, Following("t", ID, index, 4))
    fetchers.begin()
    assert [[p.partition for t in r.topics for p in t.partitions] for who, r, _ in leader.asked if who == 2] == [[1, 2]]


def test_a_log_that_begins_elsewhere_is_told_with_the_next_request(fetchers, leader):
    leader.offset = 5
    leader.asked[-1][2].callback(fetch.Response(session_id=5))
    assert leader.asked[-1][1].topics == []
    fetchers.stir("t", 0)
    leader.asked[-1][2].callback(fetch.Response(session_id=5))
    assert [p.fetch_offset for t in leader.asked[-1][1].topics for p in t.partitions] == [5]


def test_a_partition_that_a_throttle_holds_back_is_asked_for_when_it_does_no_longer(fetchers, leader, clock):
    leader.holding = {1}
    fetchers.follow(1, Following("t", ID, 1, 4))
    leader.reply()
    assert [p.partition for t in leader.asked[-1][1].topics for p in t.partitions] == []
    leader.reply()
    leader.holding.clear()
    clock.advance(HELD_MS / 1000)
    leader.reply()
    assert [p.partition for t in leader.asked[-1][1].topics for p in t.partitions] == [1]


def test_a_partition_is_fetched_from_one_leader_only(fetchers, leader, clock):
    fetchers.follow(2, Following("t", ID, 0, 5))
    fetchers.begin()
    assert [who for who, _, _ in leader.asked] == [1, 2]
    leader.asked[0][2].callback(fetch.Response(session_id=5))
    assert len(leader.asked) == 2


def test_a_lost_leader_is_asked_again_soon_and_then_less_often(fetchers, leader, clock):
    for expected in (2, 3):
        leader.asked[-1][2].errback(ConnectionError("gone"))
        clock.advance(0.001)
        assert len(leader.asked) == expected - 1
        clock.advance(0.3)
        assert len(leader.asked) == expected
    request = leader.asked[-1][1]
    assert (request.session_id, request.session_epoch) == (0, 0)


def test_a_leader_that_has_not_heard_of_its_part_yet_is_asked_again_soon_and_then_less_often(fetchers, leader, clock):
    leader.outcome = Error.NOT_LEADER_OR_FOLLOWER
    pauses = []
    for expected in range(2, 11):
        leader.reply(error=6)
        began = clock.seconds()
        while len(leader.asked) < expected:
            clock.advance(0.001)
        pauses.append(round(clock.seconds() - began, 2))
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]
    leader.outcome = Error.NONE
    leader.reply()
    leader.outcome = Error.NOT_LEADER_OR_FOLLOWER
    leader.reply(error=6)
    clock.advance(0.011)
    assert len(leader.asked) == 12


def test_a_partition_with_an_error_pauses_and_a_fenced_one_waits_for_new_orders(fetchers, leader, clock):
    leader.outcome = Error.UNKNOWN_LEADER_EPOCH
    leader.reply(error=75)
    assert len(leader.asked) == 1
    clock.advance(1.01)
    assert len(leader.asked) == 2
    leader.outcome = Error.FENCED_LEADER_EPOCH
    leader.reply(error=74)
    clock.advance(100)
    assert len(leader.asked) == 2
    fetchers.follow(1, Following("t", ID, 0, 5))
    fetchers.begin()
    assert len(leader.asked) == 3


def test_after_the_end_nothing_is_asked_or_taken(fetchers, leader, clock):
    fetchers.close()
    leader.reply()
    clock.advance(100)
    assert (len(leader.asked), leader.taken) == (1, [])
