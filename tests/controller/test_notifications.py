"""Failed log directories, and ISRs that old brokers changed by themselves."""

from __future__ import annotations

from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.controller import notifications, topic_deletion
from kafkalike.controller.context import ReplicaState
from tests.controller.world import world_with


def test_a_failed_directory_is_a_failed_replica() -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (1, 2), 1: (1, 2)})
    context = world.controller()
    world.put("/log_dir_event_notification/log_dir_event_0000000000", b'{"version":1,"broker":1,"event":1}')
    world.requests_sent()
    world.perform(notifications.log_dirs_failed(context))
    assert ["LAI>1 t-0:1[1,2]@0 t-1:1[1,2]@0"] == world.requests_sent()[:1]
    assert [] == world.children("/log_dir_event_notification")
    world.perform(notifications.log_dir_answered(context, 1, context.brokers[1].epoch, [("t", 0)], [("t", 1)]))
    assert {"leader": 2, "isr": [2]}.items() <= world.state("t", 0).items()
    assert {"leader": 1, "isr": [1, 2]}.items() <= world.state("t", 1).items()
    world.perform(notifications.log_dir_answered(context, 1, context.brokers[1].epoch, [], [("t", 0)]))
    assert context.is_online(1, ("t", 0))


def test_replicas_that_were_refused_for_a_while_are_asked_for_and_lead_again() -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (1,), 1: (1, 2), 2: (2,)})
    context = world.controller()
    epoch = context.brokers[1].epoch
    world.perform(notifications.log_dir_answered(context, 1, epoch, [("t", 0), ("t", 1)], []))
    assert {"leader": -1, "isr": [1]}.items() <= world.state("t", 0).items()
    assert {"leader": 2, "isr": [2]}.items() <= world.state("t", 1).items()
    world.requests_sent()
    world.put("/log_dir_event_notification/log_dir_event_0000000000", b'{"version":1,"broker":1,"event":1}')
    world.perform(notifications.log_dirs_failed(context))
    assert ["LAI>1 t-0:-1[1]@1 t-1:2[2]@1"] == world.requests_sent()[:1]
    # The replica is still refused, then it is there again.
    world.perform(notifications.log_dir_answered(context, 1, epoch, [("t", 0), ("t", 1)], []))
    assert -1 == world.state("t", 0)["leader"]
    world.perform(notifications.log_dir_answered(context, 1, epoch, [], [("t", 0), ("t", 1)]))
    assert {"leader": 1, "isr": [1], "leader_epoch": 2}.items() <= world.state("t", 0).items()
    assert 2 == world.state("t", 1)["leader"]
    assert ReplicaState.ONLINE is context.replica_state(("t", 1, 1)) and not context.offline_replicas[1]
    assert any(letter.startswith("LAI>1 t-0:1[1]@2") for letter in world.requests_sent())


def test_a_deletion_goes_on_when_replicas_that_were_refused_for_a_while_are_there_again() -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (1, 2), 1: (2,)})
    context = world.controller()
    epoch = context.brokers[2].epoch
    world.perform(notifications.log_dir_answered(context, 2, epoch, [("t", 0), ("t", 1)], []))
    world.put("/admin/delete_topics/t")
    world.perform(topic_deletion.deletions_changed(context, world.new_id))
    world.attend(context)
    assert ["t"] == world.children("/brokers/topics")
    world.put("/log_dir_event_notification/log_dir_event_0000000000", b'{"version":1,"broker":2,"event":1}')
    world.perform(notifications.log_dirs_failed(context))
    # One replica is there first, then the other.
    world.perform(notifications.log_dir_answered(context, 2, epoch, [("t", 1)], [("t", 0)]))
    world.attend(context)
    assert ["t"] == world.children("/brokers/topics")
    world.perform(notifications.log_dir_answered(context, 2, epoch, [], [("t", 0), ("t", 1)]))
    world.attend(context)
    assert [] == world.children("/brokers/topics") == world.children("/admin/delete_topics")


def test_isr_changes_of_old_leaders_are_told_to_everybody() -> None:
    world = world_with(1, 2)
    world.topic("t", {0: (1, 2)})
    context = world.controller()
    world.put(PartitionNode.path("t", 0), PartitionNode(1, 0, (1,), 1).encode())
    entry = b'{"version":1,"partitions":[{"topic":"t","partition":0},{"topic":"gone","partition":0},7]}'
    world.put("/isr_change_notification/isr_change_0000000000", entry)
    world.put("/isr_change_notification/isr_change_0000000001", b"garbage")
    world.requests_sent()
    world.perform(notifications.isr_changed(context))
    assert ["UM>1 t-0:1[1]@0", "UM>2 t-0:1[1]@0"] == world.requests_sent()
    assert (1,) == context.leaderships["t", 0].isr
    assert [] == world.children("/isr_change_notification")
