"""What the controller believes."""

from __future__ import annotations

from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.topics import Assignment
from kafkalike.controller.context import Context, Leadership, LiveBroker, PartitionState, ReplicaState


def context() -> Context:
    made = Context(1, 1)
    made.brokers = {i: LiveBroker(i, 100 + i, BrokerNode(())) for i in (1, 2, 3)}
    for partition, replicas in {("t", 0): (1, 2), ("t", 1): (2, 3), ("u", 0): (3,)}.items():
        made.set_assignment(partition, Assignment(replicas))
        made.leaderships[partition] = Leadership(replicas[0], 0, replicas, 1, 0)
    return made


def test_a_broker_that_shuts_down_is_not_live_but_hears_of_everything() -> None:
    c = context()
    c.shutting_down.add(2)
    assert ({1, 3}, {1, 2, 3}) == (c.live, c.live_or_shutting_down)
    assert not c.is_online(2, ("t", 0))
    assert c.is_online(2, ("t", 0), even_shutting_down=True)
    assert not c.is_online(9, ("t", 0), even_shutting_down=True)


def test_a_replica_on_a_failed_directory_is_not_online() -> None:
    c = context()
    c.offline_replicas[2] = {("t", 0)}
    assert not c.is_online(2, ("t", 0)) and c.is_online(2, ("t", 1))


def test_replicas_and_partitions_are_found() -> None:
    c = context()
    assert [("t", 0, 2), ("t", 1, 2), ("t", 1, 3), ("u", 0, 3)] == c.replicas_on([2, 3])
    assert [("t", 0, 1), ("t", 0, 2), ("t", 1, 2), ("t", 1, 3)] == c.replicas_of_topic("t")
    assert [("t", 1)] == c.partitions_led_by([2])
    c.topics_to_delete.add("t")
    assert [] == c.partitions_led_by([2])
    assert c.partitions_in(PartitionState.NONEXISTENT) == [("t", 0), ("t", 1), ("u", 0)]
    assert () == c.replicas_of(("none", 0))


def test_a_forgotten_topic_leaves_nothing() -> None:
    c = context()
    c.topics_to_delete.add("t")
    c.deletion_started.add("t")
    c.deletion_ineligible.add("t")
    c.offline_replicas[2] = {("t", 0)}
    c.replica_states = {("t", 0, 1): ReplicaState.ONLINE, ("u", 0, 3): ReplicaState.ONLINE}
    c.topic_ids["t"] = b"x" * 16
    c.forget_topic("t")
    other = context()
    other.forget_topic("t")
    other.replica_states = {("u", 0, 3): ReplicaState.ONLINE}
    other.offline_replicas = {2: set()}
    assert other == c
    assert [("u", 0)] == list(c.leaderships) == list(c.partition_states)
