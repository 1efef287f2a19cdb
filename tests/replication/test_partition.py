"""Leader or follower, in-sync replicas, high watermark."""

from types import SimpleNamespace

import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.replication.partition import Partition


def state(leader=1, leader_epoch=0, isr=(1,), replicas=(1,)):
    return SimpleNamespace(
        leader=leader, leader_epoch=leader_epoch, partition_epoch=0, controller_epoch=1, replicas=replicas, isr=isr,
        adding_replicas=[], removing_replicas=[],
    )  # fmt: skip


def partition(min_isr=1, **kwargs):
    made = Partition(1, "t", 0, 0, min_isr)
    assert made.assign(state(**kwargs), 0, 0)
    return made


def test_only_a_newer_leader_epoch_is_taken_over():
    p = partition(leader_epoch=3)
    assert not p.assign(state(leader=2, leader_epoch=3), 0, 0)
    assert not p.assign(state(leader=2, leader_epoch=2), 0, 0)
    assert p.leading
    assert p.assign(state(leader=2, leader_epoch=4), 0, 0)
    assert not p.leading
    with pytest.raises(KafkaError) as refusal:
        p.check_leading()
    assert refusal.value.error == Error.NOT_LEADER_OR_FOLLOWER


@pytest.mark.parametrize(("epoch", "error"), [(2, Error.FENCED_LEADER_EPOCH), (4, Error.UNKNOWN_LEADER_EPOCH)])
def test_a_client_with_another_leader_epoch_is_refused(epoch, error):
    p = partition(leader_epoch=3)
    p.check_epoch(-1)
    p.check_epoch(3)
    with pytest.raises(KafkaError) as refusal:
        p.check_epoch(epoch)
    assert refusal.value.error == error


def test_alone_in_the_isr_the_high_watermark_is_the_log_end_and_never_goes_back():
    p = partition()
    assert p.advance(5)
    assert p.high_watermark == 5
    assert not p.advance(5)
    assert not p.advance(4)
    assert p.high_watermark == 5


def test_with_a_follower_in_the_isr_an_append_alone_moves_nothing():
    p = partition(isr=(1, 2), replicas=(1, 2))
    assert not p.advance(5)
    assert p.high_watermark == 0


def test_acks_all_needs_min_insync_replicas_but_never_more_than_there_are_replicas():
    partition(min_isr=2, replicas=(1,)).check_replicas()
    with pytest.raises(KafkaError) as refusal:
        partition(min_isr=2, replicas=(1, 2), isr=(1,)).check_replicas()
    assert refusal.value.error == Error.NOT_ENOUGH_REPLICAS


# With followers.


def led(isr=(1, 2, 3), min_isr=2, end=0, now=0, epoch=0):
    made = Partition(1, "t", 0, 0, min_isr)
    assert made.assign(state(leader_epoch=epoch, isr=isr, replicas=(1, 2, 3)), end, now)
    return made


def test_the_high_watermark_is_what_every_in_sync_replica_has_fetched():
    p = led()
    p.fetched(2, 5, -1, 10, 0)
    assert not p.advance(10)
    p.fetched(3, 4, -1, 10, 0)
    assert p.advance(10)
    assert p.high_watermark == 4


def test_A3_a_follower_counts_only_when_it_has_fetched_in_this_epoch():
    """KIP-320: what a follower had under an earlier leader says nothing about ours."""
    p = led()
    for follower in (2, 3):
        p.fetched(follower, 10, -1, 10, 0)
    assert p.advance(10)
    p.assign(state(leader=2, leader_epoch=1, isr=(2,), replicas=(1, 2, 3)), 10, 0)
    p.assign(state(leader_epoch=2, isr=(1, 2, 3), replicas=(1, 2, 3)), 12, 0)
    assert not p.advance(12)


def test_below_min_insync_replicas_the_high_watermark_stands_still():
    """A13, KAFKA-15583."""
    p = led(isr=(1,), min_isr=2)
    assert not p.advance(10, now_ms=100_000)
    assert p.high_watermark == 0


def test_a_follower_about_to_join_is_waited_for():
    p = led(isr=(1, 2), now=0)
    p.fetched(2, 10, -1, 10, 1000)
    p.fetched(3, 10, -1, 10, 1000)
    p.fetched(3, 10, -1, 12, 1001)
    p.fetched(2, 12, -1, 12, 1001)
    assert p.advance(12, now_ms=1001, lag_ms=500)
    assert p.high_watermark == 10
    assert p.advance(12, now_ms=9000, lag_ms=500)
    assert p.high_watermark == 12


def test_a_follower_whose_broker_is_gone_is_not_waited_for():
    p = led(isr=(1, 2))
    for follower in (2, 3):
        p.fetched(follower, 0, 7, 0, 1000)
    p.fetched(2, 5, 7, 5, 1001)
    assert not p.advance(5, 1001, 10_000)
    assert p.advance(5, 1001, 10_000, lambda broker_id: broker_id != 3)
    assert p.high_watermark == 5


def test_A3_the_isr_grows_only_by_who_reached_the_start_of_this_epoch():
    """KIP-320, rule 4 (A3)."""
    p = led(isr=(1, 2), end=7)
    p.fetched(3, 6, -1, 7, 0)
    assert not p.joiner(3, 0)
    p.fetched(3, 7, -1, 9, 0)
    assert p.joiner(3, 0)
    assert not p.joiner(2, 0)


def test_lag_is_time_since_caught_up_not_records():
    """B12: a replica at the end of an idle log stays, one that is behind leaves."""
    p = led(now=0)
    p.fetched(2, 10, -1, 10, 0)
    p.fetched(3, 5, -1, 10, 0)
    assert p.laggards(10, 5000, 1000) == (3,)
    p.fetched(3, 9, -1, 10, 4900)
    assert p.laggards(10, 5000, 1000) == (3,)
    p.fetched(3, 10, -1, 11, 4950)
    assert p.laggards(11, 5000, 1000) == (2,)


class Answer:
    def __init__(self, error=0, isr=(), partition_epoch=1, leader_epoch=0):
        self.error_code = error
        self.isr = list(isr)
        self.partition_epoch = partition_epoch
        self.leader_epoch = leader_epoch


def test_one_change_at_a_time_and_the_larger_isr_holds_the_high_watermark():
    """A7, KIP-497: both while it grows and while it shrinks."""
    p = led(isr=(1, 2))
    p.fetched(2, 10, -1, 10, 0)
    p.fetched(3, 10, 55, 10, 0)
    proposal = p.propose((1, 2, 3))
    assert (proposal.isr, proposal.epochs) == ((1, 2, 3), (-1, -1, 55))
    assert not p.joiner(3, 0)
    p.fetched(2, 12, -1, 12, 0)
    assert p.advance(12, now_ms=10**9)
    assert p.high_watermark == 10
    assert not p.answered(proposal, Answer(isr=(1, 2, 3)))
    assert (p.isr, p.partition_epoch, p.proposal) == ((1, 2, 3), 1, None)


def test_a_refused_candidate_leaves_the_isr_as_it_was():
    p = led(isr=(1, 2))
    proposal = p.propose((1, 2, 3))
    assert not p.answered(proposal, Answer(Error.INELIGIBLE_REPLICA))
    assert (p.isr, p.proposal) == ((1, 2), None)


@pytest.mark.parametrize(
    ("error", "again"),
    [(Error.FENCED_LEADER_EPOCH, False), (Error.NOT_CONTROLLER, True), (Error.INVALID_REQUEST, False)],
)
def test_after_other_answers_the_change_stays_pending(error, again):
    p = led(isr=(1, 2))
    proposal = p.propose((1, 2, 3))
    assert p.answered(proposal, Answer(error)) is again
    assert p.proposal is proposal


def test_a_new_leader_epoch_ends_a_change_and_its_answer_means_nothing():
    p = led(isr=(1, 2))
    proposal = p.propose((1, 2, 3))
    p.assign(state(leader_epoch=1, isr=(1, 2), replicas=(1, 2, 3)), 0, 0)
    assert p.proposal is None
    assert not p.answered(proposal, Answer(isr=(1, 2, 3), partition_epoch=9))
    assert p.isr == (1, 2)


def test_A9_an_epoch_that_was_missed_may_have_had_another_leader_after_whom_the_followers_have_cut():
    p = led(isr=(1, 2))
    p.fetched(2, 100, -1, 100, 1000)
    p.assign(state(leader_epoch=1, isr=(1, 2), replicas=(1, 2)), 100, 2000)
    assert p.followers[2].log_end_offset == 100, "nobody else has led since"
    p.assign(state(leader_epoch=3, isr=(1, 2), replicas=(1, 2)), 100, 3000)
    assert not p.advance(110)
    p.fetched(2, 60, -1, 110, 4000)
    assert p.advance(110)
    assert p.high_watermark == 60


def test_an_earlier_life_of_a_follower_is_refused_and_a_new_one_starts_from_nothing():
    """A5, KIP-903."""
    p = led(isr=(1, 2), now=0)
    p.fetched(3, 10, 70, 10, 1000)
    with pytest.raises(KafkaError) as refusal:
        p.check_follower(3, 69)
    assert refusal.value.error == Error.NOT_LEADER_OR_FOLLOWER
    p.check_follower(3, 71)
    p.fetched(3, 0, 71, 10, 2000)
    assert p.followers[3].caught_up_ms == 0
    assert not p.joiner(3, 0) or p.high_watermark == 0


def test_a_broker_that_is_no_replica_may_not_follow():
    with pytest.raises(KafkaError) as refusal:
        led().check_follower(9, -1)
    assert refusal.value.error == Error.NOT_LEADER_OR_FOLLOWER
    with pytest.raises(KafkaError) as refusal:
        led().check_follower(9, -1, 1)
    assert refusal.value.error == Error.UNKNOWN_LEADER_EPOCH


def test_acks_all_is_answered_by_the_high_watermark_and_the_isr_of_that_moment():
    p = led(isr=(1, 2), min_isr=2)
    assert p.replicated(4) is None
    p.high_watermark = 5
    assert p.replicated(4) is Error.NONE
    p.isr = (1,)
    assert p.replicated(4) is Error.NOT_ENOUGH_REPLICAS_AFTER_APPEND
    p.leader = 2
    assert p.replicated(4) is Error.NOT_LEADER_OR_FOLLOWER


def test_a_follower_believes_the_leaders_high_watermark_as_far_as_its_own_log_reaches():
    p = Partition(1, "t", 0, 3)
    assert not p.follow(2, 10)
    assert p.follow(9, 7)
    assert p.high_watermark == 7
    p.truncated(5)
    assert p.high_watermark == 5


def test_a_consumer_reads_in_its_rack_if_a_replica_there_is_in_sync_and_has_the_offset():
    """KIP-392."""
    racks = {1: "a", 2: "b", 3: "b", 4: "c"}.get
    p = led(isr=(1, 2, 3))
    p.fetched(2, 5, -1, 10, 0)
    p.fetched(3, 8, -1, 10, 0)
    assert p.preferred_replica(4, "b", racks) == 3
    assert p.preferred_replica(9, "b", racks) == 1
    assert p.preferred_replica(4, "a", racks) == 1
    assert p.preferred_replica(4, "nowhere", racks) == 1
    p.isr = (1, 2)
    assert p.preferred_replica(4, "b", racks) == 2


def test_a_leader_remembers_when_it_was_deposed():
    p = partition(leader_epoch=8)
    p.assign(state(leader=2, leader_epoch=9), 5, 1234)
    assert p.deposed_ms == 1234
    p.assign(state(leader=3, leader_epoch=10), 5, 5678)
    assert p.deposed_ms == 1234


def test_A17_a_member_of_the_isr_that_is_no_replica_any_more_counts_until_it_has_left():
    """At the end of a reassignment; a controller elected then may still read of it as a replica (seed 180311)."""
    p = partition(isr=(1, 2, 3), replicas=(1, 3))
    p.fetched(3, 5, -1, 5, 0)
    assert not p.advance(5)
    p.fetched(2, 5, -1, 5, 0)
    assert p.advance(5)
    alone = partition(isr=(1, 2), replicas=(1,))
    assert not alone.advance(5)
