"""Who waits for a partition's log is not woken for its high watermark, and the other way round."""

from tests import reactor as shared
from tests.replication.test_purgatory import Waiter
from tests.replication.test_replicas import lead, opened, records  # noqa: F401  (opened is a fixture)


def test_an_append_that_followers_must_still_copy_wakes_them_and_no_consumer(opened):  # noqa: F811
    replication = opened()
    shared.run(replication.leader_and_isr, lead(isr=(0, 1)))
    hosted = replication.partitions.hosted[("t", 0)]
    follower, consumer = Waiter(), Waiter()
    replication.purgatory.watch(follower, [hosted.appended_key], 10**12)
    replication.purgatory.watch(consumer, [hosted.key], 10**12)
    shared.run(replication.append_as_leader, "t", 0, records(), 1)
    assert (follower.log, consumer.log) == (["asked"], [])
