"""Who waits for a partition's log is not woken for its high watermark, and the other way round."""

import time

from kafkalike.replication.hosted_partitions import now_ms
from tests import reactor as shared
from tests.replication.test_purgatory import Waiter
from tests.replication.test_replicas import lead, opened, records  # noqa: F401  (opened is a fixture)


def test_an_append_that_followers_must_still_copy_wakes_them_and_no_consumer(opened):  # noqa: F811
    replicas = opened()
    shared.run(replicas.orders.leader_and_isr, lead(isr=(0, 1)))
    hosted = replicas.hosted[("t", 0)]
    follower, consumer = Waiter(), Waiter()
    replicas.purgatory.watch(follower, [hosted.appended_key], 10**12)
    replicas.purgatory.watch(consumer, [hosted.key], 10**12)
    shared.run(replicas.append_as_leader, "t", 0, records(), 1)
    assert (follower.log, consumer.log) == (["asked"], [])


def test_time_is_in_milliseconds():
    assert abs(now_ms() - time.time() * 1000) < 1000
