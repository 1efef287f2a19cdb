"""LeaderAndIsr and StopReplica: fenced by epochs, in every form, one after the other."""

import pytest
from twisted.internet import defer

from kafkalike.errors import Error
from kafkalike.protocol.messages import leader_and_isr, stop_replica
from tests import reactor as shared
from tests.replication.test_replicas import ID, errors, lead, opened, stop  # noqa: F401  (opened is a fixture)


def test_an_old_controller_and_a_request_for_an_earlier_life_are_refused(opened):  # noqa: F811
    replication = opened()
    replication.around.broker_epoch = 100
    response = shared.run(replication.leader_and_isr, lead(broker_epoch=99))
    assert response.error_code == Error.STALE_BROKER_EPOCH
    shared.run(replication.leader_and_isr, lead(controller_epoch=5, broker_epoch=101))
    response = shared.run(replication.leader_and_isr, lead(controller_epoch=4, broker_epoch=100, epoch=9))
    assert response.error_code == Error.STALE_CONTROLLER_EPOCH
    assert shared.run(replication.stop_replica, stop(controller_epoch=4)).error_code == Error.STALE_CONTROLLER_EPOCH


def flat(state):
    """Version 0 and 1 have no topics around their partitions."""
    state.topic_name = "t"
    return leader_and_isr.Request(controller_epoch=1, ungrouped_partition_states=[state])


def test_every_version_is_carried_out_and_answered_in_its_own_form(opened):  # noqa: F811
    replication = opened()
    old = flat(lead().topic_states[0].partition_states[0])
    response = shared.run(replication.leader_and_isr, old, 0)
    assert [(p.topic_name, p.partition_index, p.error_code) for p in response.partition_errors] == [("t", 0, 0)]
    response.encode(0)
    response = shared.run(replication.leader_and_isr, lead(index=1), 7)
    assert [(t.topic_id, [p.partition_index for p in t.partition_errors]) for t in response.topics] == [(ID, [1])]
    response.encode(7)


@pytest.mark.parametrize(
    "request_",
    [
        stop_replica.Request(
            controller_epoch=1,
            delete_partitions=True,
            ungrouped_partitions=[stop_replica.StopReplicaPartitionV0(topic_name="t", partition_index=0)],
        ),
        stop_replica.Request(
            controller_epoch=1,
            delete_partitions=True,
            topics=[stop_replica.StopReplicaTopicV1(name="t", partition_indexes=[0])],
        ),
        stop(),
    ],
    ids=["v0", "v1-v2", "v3-v4"],
)
def test_a_partition_is_given_up_in_every_version(opened, request_):  # noqa: F811
    replication = opened()
    shared.run(replication.leader_and_isr, lead())
    response = shared.run(replication.stop_replica, request_)
    assert [(p.topic_name, p.partition_index, p.error_code) for p in response.partition_errors] == [("t", 0, 0)]
    assert replication.partitions.hosted == {}


def test_an_older_leader_epoch_does_not_stop_a_partition(opened):  # noqa: F811
    replication = opened()
    shared.run(replication.leader_and_isr, lead(epoch=5))
    response = shared.run(replication.stop_replica, stop(epoch=4))
    assert [p.error_code for p in response.partition_errors] == [Error.FENCED_LEADER_EPOCH]
    assert ("t", 0) in replication.partitions.hosted


def test_what_was_heard_of_an_earlier_topic_is_not_taken_for_the_new_ones_configuration(opened):  # noqa: F811
    replication = opened()
    asked = []
    replication.around.topic_overrides = lambda topic: asked.append(topic) or defer.succeed({"retention.ms": "7"})
    replication.configure("t", {"retention.ms": "1"})
    shared.run(replication.leader_and_isr, lead())
    assert (asked, replication.partitions.topic_configs.of("t")["retention.ms"]) == (["t"], 7)
    # What is here is told by notifications.
    shared.run(replication.leader_and_isr, lead(index=1))
    assert asked == ["t"]


def test_one_bad_configuration_does_not_end_the_order(opened):  # noqa: F811
    replication = opened()
    replication.around.topic_overrides = lambda topic: defer.succeed({"retention.ms": "x"} if topic == "t" else {})
    request = lead()
    request.topic_states += lead("u").topic_states
    assert errors(shared.run(replication.leader_and_isr, request)) == [0, 0]
    assert {("t", 0), ("u", 0)} == {
        key for key, hosted in replication.partitions.hosted.items() if hosted.partition.leading
    }


def test_an_order_ends_where_a_newer_controller_has_been_obeyed(opened):  # noqa: F811
    replication = opened()
    configuration = defer.Deferred()
    replication.around.topic_overrides = lambda topic: configuration

    async def overtaken():
        answer = replication.leader_and_isr(lead(controller_epoch=1))
        assert replication.control_requests.check_controller(stop(controller_epoch=2)) == Error.NONE
        configuration.callback({})
        return await answer

    assert shared.run(overtaken).error_code == Error.STALE_CONTROLLER_EPOCH
    assert not replication.partitions.hosted


def test_an_order_waits_for_the_one_before_it(opened):  # noqa: F811
    replication = opened()
    overrides = defer.Deferred()
    replication.around.topic_overrides = lambda topic: overrides

    async def scenario():
        first = replication.leader_and_isr(lead())
        second = replication.stop_replica(stop())
        assert not second.called
        overrides.callback({})
        await first
        return await second

    assert shared.run(scenario).error_code == 0
    assert replication.partitions.hosted == {}
