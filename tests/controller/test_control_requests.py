"""Control requests: merged per broker, in order, with the epochs that fence them."""

from __future__ import annotations

from kafkalike.controller.control_requests import Batch
from kafkalike.controller.effects import Send
from kafkalike.protocol.messages import leader_and_isr, stop_replica, update_metadata
from tests.controller.world import World


def world() -> World:
    made = World()
    for broker_id in (1, 2):
        made.broker(broker_id, rack=f"r{broker_id}")
    made.topic("t", {0: (1, 2), 1: (2, 1)})
    made.topic("u", {0: (2,)})
    return made


def test_the_order_is_leader_and_isr_metadata_stop() -> None:
    w = world()
    context = w.controller()
    batch = Batch(context)
    batch.stop_replica([1], ("t", 0), delete=False)
    batch.leader_and_isr([1], ("t", 1), is_new=False)
    kinds = [(type(request), broker_id) for broker_id, request in batch.send().requests]
    assert [
        (leader_and_isr.Request, 1),
        (update_metadata.Request, 1),
        (update_metadata.Request, 2),
        (stop_replica.Request, 1),
    ] == kinds


def test_requests_of_one_batch_are_merged() -> None:
    w = world()
    context = w.controller()
    w.requests_sent()
    batch = Batch(context)
    batch.leader_and_isr([1, 2], ("t", 0), is_new=True)
    batch.leader_and_isr([2], ("t", 0), is_new=False)
    batch.leader_and_isr([2, 99], ("u", 0), is_new=False)
    batch.stop_replica([1], ("t", 1), delete=True)
    batch.stop_replica([1], ("t", 1), delete=False)
    w.sent += batch.send().requests
    assert [
        "LAI>1 t-0:1[1,2]@0 new",
        "LAI>2 t-0:1[1,2]@0 new u-0:2[2]@0",
        "UM>1 t-0:1[1,2]@0 u-0:2[2]@0",
        "UM>2 t-0:1[1,2]@0 u-0:2[2]@0",
        "SR>1 t-1 delete @0",
    ] == w.requests_sent()


def test_epochs_ids_and_addresses_are_in_every_request() -> None:
    w = world()
    context = w.controller(epoch=5)
    batch = Batch(context)
    batch.leader_and_isr([2], ("t", 0), is_new=False)
    batch.stop_replica([2], ("t", 0), delete=False)
    (_, lai), _, (_, um), (_, stop) = batch.send().requests
    for request in (lai, um, stop):
        assert (1, 5) == (request.controller_id, request.controller_epoch)
        assert context.brokers[2].epoch == request.broker_epoch
    assert context.topic_id("t") == lai.topic_states[0].topic_id == um.topic_states[0].topic_id
    assert [(1, "h1", 9092)] == [(e.broker_id, e.host_name, e.port) for e in lai.live_leaders]
    assert [(1, "r1"), (2, "r2")] == [(b.id, b.rack) for b in um.live_brokers]
    assert ["PLAINTEXT", "PLAINTEXT"] == [b.endpoints[0].listener for b in um.live_brokers]
    state = lai.topic_states[0].partition_states[0]
    assert (5, 0, 0, [1, 2]) == (state.controller_epoch, state.leader_epoch, state.partition_epoch, state.replicas)


def test_every_version_of_them_can_be_written() -> None:
    w = world()
    context = w.controller()
    batch = Batch(context)
    batch.leader_and_isr([2], ("t", 0), is_new=True)
    batch.stop_replica([2], ("t", 0), delete=True)
    for _, request in batch.send().requests:
        newest = {leader_and_isr.Request: 7, update_metadata.Request: 8, stop_replica.Request: 4}[type(request)]
        again = type(request).decode(newest, request.encode(newest))
        assert request.encode(newest) == again.encode(newest)


def test_offline_replicas_are_named() -> None:
    w = world()
    w.remove("/brokers/ids/2")
    context = w.controller()
    batch = Batch(context)
    batch.update_metadata([1], [("t", 0)])
    ((_, request),) = batch.send().requests
    assert [2] == request.topic_states[0].partition_states[0].offline_replicas


def test_a_partition_without_a_leader_is_not_metadata_and_nobody_means_nothing() -> None:
    w = world()
    context = w.controller()
    del context.leaderships["u", 0]
    batch = Batch(context)
    batch.update_metadata([1], [("u", 0)])
    ((_, request),) = batch.send().requests
    assert [] == request.topic_states
    assert Send([]) == Batch(context).send()


def test_a_topic_being_deleted_has_leader_minus_2_and_epoch_minus_2() -> None:
    w = world()
    context = w.controller()
    w.requests_sent()
    context.topics_to_delete.add("t")
    batch = Batch(context)
    batch.update_metadata([1], [("t", 0)])
    batch.stop_replica([1], ("t", 0), delete=True)
    w.sent += batch.send().requests
    assert ["UM>1 t-0:-2[1,2]@0", "SR>1 t-0 delete @-2"] == w.requests_sent()
