"""Rates over a sliding time, and whom they hold back."""

from kafkalike.replication.replication_quota import Rate, ReplicationQuota, names


def test_a_rate_is_that_of_the_last_windows():
    rate = Rate(1000, 3)
    assert rate.value(0) == 0
    rate.record(500, 0)
    assert rate.value(10) == 500
    rate.record(500, 500)
    assert rate.value(1000) == 1000
    rate.record(3000, 1500)
    assert rate.value(2000) == 2000
    assert rate.value(3000) == 3000 / 1.5
    assert rate.value(4500) == 0


def test_a_throttle_is_exceeded_above_its_limit_whatever_that_is_at_the_time():
    limit = [1000]
    throttle = ReplicationQuota(lambda: limit[0], 1000, 11)
    throttle.record(1000, 0)
    assert not throttle.exceeded(0)
    throttle.record(1, 0)
    assert throttle.exceeded(0)
    limit[0] = 2000
    assert not throttle.exceeded(0)


def test_a_topic_names_replicas_by_partition_and_broker_or_all():
    assert names(["*"], 3, 1)
    assert names(["0:1", "3:1"], 3, 1)
    assert not names(["3:2", "1:3"], 3, 1)
    assert not names([], 3, 1)
