"""Leader or follower, in-sync replicas, high watermark."""

from types import SimpleNamespace

import pytest

from kafkalike.errors import Error, KafkaError
from kafkalike.replication.partition import Partition


def state(leader=1, leader_epoch=0, isr=(1,), replicas=(1,)):
    return SimpleNamespace(
        leader=leader, leader_epoch=leader_epoch, partition_epoch=0, controller_epoch=1, replicas=replicas, isr=isr
    )


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
