"""Who leaves the in-sync replicas, who joins them, and what waits for that."""

from twisted.internet import defer

from kafkalike.protocol.messages import alter_partition
from tests import reactor as shared
from tests.replication.test_replicas import ID, asked, lead, opened, records  # noqa: F401  (opened is a fixture)


def test_a_follower_that_is_behind_for_too_long_is_proposed_to_leave(opened):  # noqa: F811
    replication = opened(**{"replica.lag.time.max.ms": "1000"})
    asked = []
    replication.around.ask_controller = lambda request: asked.append(request) or defer.Deferred()
    shared.run(replication.leader_and_isr, lead(isr=(0, 1)))
    replication.append_as_leader("t", 0, records(), 1)
    shared.run(replication.isr.shrink)
    assert asked == []
    replication.partition("t", 0).followers[1].caught_up_ms -= 5000
    shared.run(replication.isr.shrink)
    assert [m.broker_id for m in asked[0].topics[0].partitions[0].new_isr_with_epochs] == [0]


def test_who_left_the_isr_for_being_behind_does_not_join_again_before_it_has_fetched(opened):  # noqa: F811
    replication = opened(**{"replica.lag.time.max.ms": "1000", "min.insync.replicas": "2"})
    asked, answer = [], defer.Deferred()
    replication.around.ask_controller = lambda request: asked.append(request) or answer
    shared.run(replication.leader_and_isr, lead(isr=(0, 1)))
    follower = replication.partition("t", 0).followers[1]
    follower.log_end_offset = 0
    replication.append_as_leader("t", 0, records(), 1)
    follower.caught_up_ms -= 5000
    shared.run(replication.isr.shrink)
    changed = alter_partition.ResponsePartitionData(
        partition_index=0, leader_id=0, leader_epoch=0, isr=[0], partition_epoch=9
    )
    topic = alter_partition.ResponseTopicData(topic_id=ID, partitions=[changed])
    answer.callback(alter_partition.Response(topics=[topic]))
    assert (0,) == replication.partition("t", 0).isr
    assert len(asked) == 1


def test_a_follower_that_has_caught_up_joins_unless_somebody_objects(opened):  # noqa: F811
    replication = opened()
    asked_for = []
    replication.around.ask_controller = lambda request: asked_for.append(request) or defer.Deferred()
    objections = []
    replication.around.isr_vetoes.append(lambda partition, broker_id: bool(objections.append(broker_id)) or True)
    order = lead(isr=(0, 1))
    order.topic_states[0].partition_states[0].isr = [0]
    shared.run(replication.leader_and_isr, order)
    replication.append_as_leader("t", 0, records(), 1)
    shared.run(replication.replicas.read_as_follower, "t", 0, asked(1), 1000, True, 1, 7)
    assert (objections, asked_for) == ([1], [])
    replication.around.isr_vetoes.clear()
    shared.run(replication.replicas.read_as_follower, "t", 0, asked(1), 1000, True, 1, 7)
    (proposed,) = asked_for[0].topics[0].partitions
    assert [(0, -1), (1, 7)] == [(each.broker_id, each.broker_epoch) for each in proposed.new_isr_with_epochs]


def test_a_follower_joins_when_its_log_begins_no_earlier_than_the_leaders(opened):  # noqa: F811
    """Simulation, seed 1795904581616: the leader's records were deleted before a deposed leader was compared with them,
    and it kept its own of the same offsets."""
    replication = opened()
    asked_for = []
    replication.around.ask_controller = lambda request: asked_for.append(request) or defer.Deferred()
    order = lead(isr=(0, 1))
    order.topic_states[0].partition_states[0].isr = [0]
    shared.run(replication.leader_and_isr, order)
    replication.append_as_leader("t", 0, records(), 1)
    replication.append_as_leader("t", 0, records(), 1)
    replication.partition("t", 0).high_watermark = 1
    shared.run(replication.replicas.delete_records, "t", 0, 1)
    fetch = asked(2)
    shared.run(replication.replicas.read_as_follower, "t", 0, fetch, 1000, True, 1, 7)
    fetch.follower_start_offset = -1  # a repair says nothing of it
    shared.run(replication.replicas.read_as_follower, "t", 0, fetch, 1000, True, 1, 7)
    assert asked_for == []
    fetch.follower_start_offset = 1
    shared.run(replication.replicas.read_as_follower, "t", 0, fetch, 1000, True, 1, 7)
    assert len(asked_for) == 1


def test_a_follower_whose_broker_is_gone_is_not_waited_for(opened):  # noqa: F811
    """One that is about to join holds the high watermark, as long as it lives."""
    replication = opened()
    order = lead(isr=(0, 1))
    order.topic_states[0].partition_states[0].isr = [0]
    shared.run(replication.leader_and_isr, order)
    shared.run(replication.replicas.read_as_follower, "t", 0, asked(0), 1000, True, 1, 7)
    replication.partition("t", 0).proposal = None
    replication.append_as_leader("t", 0, records(), 1)
    assert 0 == replication.partition("t", 0).high_watermark
    replication.around.is_reachable = lambda broker_id: broker_id != 1
    shared.run(replication.isr.brokers_gone, {2})
    assert 0 == replication.partition("t", 0).high_watermark
    shared.run(replication.isr.brokers_gone, {1})
    assert 1 == replication.partition("t", 0).high_watermark
