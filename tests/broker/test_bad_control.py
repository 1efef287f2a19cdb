"""Requests between brokers that no broker means: Kafka's error, and nothing is changed by them.

They are also sent to Apache's brokers (`--on apache`), where what is asserted holds unless it says otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from kafkalike.cluster.znodes.brokers import BrokerNode
from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.cluster.znodes.topics import PartitionNode
from kafkalike.errors import Error
from kafkalike.protocol.messages import (
    alter_partition,
    controlled_shutdown,
    fetch,
    leader_and_isr,
    metadata,
    stop_replica,
    update_metadata,
)
from tests.mixed.cluster import QUIET, Mixed, ask, of_one_kind
from tests.servers import request

LEADER, FOLLOWER, OTHER = 1, 2, 3


@pytest.fixture(scope="module")
def brokers(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    with of_one_kind(tmp_path_factory.mktemp("control"), pytestconfig.getoption("--on"), 1, 2, 3) as cluster:
        yield cluster


class Scene:
    """A partition that 1 leads and 2 follows, and what the requests have to say to be believed."""

    def __init__(self, cluster: Mixed, topic: str) -> None:
        self.cluster = cluster
        self.topic = cluster.create_topic(topic, [LEADER, FOLLOWER], min_insync_replicas=1)
        self.controller = cluster.controller()
        with cluster.znodes() as client:
            self.epoch = ControllerEpoch.decode(client.get(ControllerEpoch.path())[0])
            self.brokers = {i: client.get(BrokerNode.path(i))[1].czxid for i in (1, 2, 3)}
        asked = [metadata.MetadataRequestTopic(name=topic)]
        answer = ask(cluster.brokers[LEADER], metadata, 12, metadata.Request(topics=asked))
        self.topic_id = answer.topics[0].topic_id
        self.produce()
        self.before = self.look()

    @property
    def by_apache(self) -> bool:
        return self.cluster.brokers[LEADER].kind == "apache"

    def produce(self) -> None:
        """Ten more messages that all replicas have."""
        producer = Producer({"bootstrap.servers": self.cluster.bootstrap, "acks": "all"} | QUIET)
        errors: list[object] = []
        for _ in range(10):
            producer.produce(self.topic, b"x", partition=0, on_delivery=lambda error, _: errors.append(error))
        assert 0 == producer.flush(30)
        assert [None] * 10 == errors

    def look(self) -> Any:
        """What must stay as it is."""
        with self.cluster.znodes() as client:
            data, stat = client.get(PartitionNode.path(self.topic, 0))
            state = data, stat.version, client.get(ControllerEpoch.path())[0], self.cluster.controller()
        told = [
            ask(broker, metadata, 9, metadata.Request(topics=[metadata.MetadataRequestTopic(name=self.topic)]))
            for broker in self.cluster.brokers.values()
        ]
        return state, [(each.controller_id, {b.node_id for b in each.brokers}, each.topics) for each in told]

    def assert_untouched(self) -> None:
        """Asserts that the partition is as it was, and followed as before."""
        assert self.before == self.look()
        self.produce()
        assert self.before == self.look()

    def ask(self, module: Any, version: int, broker_id: int = LEADER, **fields: Any) -> Any:
        """The answer of a broker to a control request."""
        made = module.Request(
            **{
                "controller_id": self.controller,
                "controller_epoch": self.epoch,
                "broker_epoch": self.brokers[broker_id],
            }
            | fields
        )
        return ask(self.cluster.brokers[broker_id], module, version, made)

    def leader_and_isr(self, leader: int, leader_epoch: int, replicas: list[int], **fields: Any) -> Any:
        state = leader_and_isr.LeaderAndIsrPartitionState(
            partition_index=0,
            controller_epoch=self.epoch,
            leader=leader,
            leader_epoch=leader_epoch,
            isr=replicas,
            partition_epoch=9,
            replicas=replicas,
        )
        topic_id = fields.pop("topic_id", self.topic_id)
        topics = [
            leader_and_isr.LeaderAndIsrTopicState(topic_name=self.topic, topic_id=topic_id, partition_states=[state])
        ]
        live = [leader_and_isr.LeaderAndIsrLiveLeader(broker_id=2, host_name="127.0.0.1", port=1)]
        return self.ask(leader_and_isr, 7, topic_states=topics, live_leaders=live, **fields)

    def stop_replica(self, leader_epoch: int, **fields: Any) -> Any:
        state = stop_replica.StopReplicaPartitionState(
            partition_index=0, leader_epoch=leader_epoch, delete_partition=True
        )
        topics = [stop_replica.StopReplicaTopicState(topic_name=self.topic, partition_states=[state])]
        return self.ask(stop_replica, 4, topic_states=topics, **fields)

    def update_metadata(self, **fields: Any) -> Any:
        endpoint = update_metadata.UpdateMetadataEndpoint(port=1, host="h", listener="PLAINTEXT")
        live = [update_metadata.UpdateMetadataBroker(id=9, endpoints=[endpoint])]
        return self.ask(update_metadata, 8, live_brokers=live, **fields)


@pytest.fixture
def scene(brokers: Mixed, name: str) -> Scene:
    return Scene(brokers, name)


def test_B2_orders_of_an_earlier_controller_or_for_an_earlier_life_are_refused(scene: Scene) -> None:
    mine = scene.brokers[LEADER]
    for fields, error in (
        ({"controller_epoch": scene.epoch - 1}, Error.STALE_CONTROLLER_EPOCH),
        ({"broker_epoch": mine - 1}, Error.STALE_BROKER_EPOCH),
    ):
        assert error == scene.leader_and_isr(FOLLOWER, 1, [1, 2], **fields).error_code
        assert error == scene.stop_replica(1, **fields).error_code
        assert error == scene.update_metadata(**fields).error_code
    scene.assert_untouched()


def test_orders_with_epochs_that_there_never_were_are_refused(scene: Scene) -> None:
    if scene.by_apache:
        pytest.skip("Apache's brokers believe them, and no controller from then on")
    for fields, error in (
        ({"controller_epoch": scene.epoch + 1}, Error.STALE_CONTROLLER_EPOCH),
        ({"controller_epoch": 2**31 - 1}, Error.STALE_CONTROLLER_EPOCH),
        ({"broker_epoch": scene.brokers[LEADER] + 1_000_000}, Error.STALE_BROKER_EPOCH),
    ):
        assert error == scene.leader_and_isr(FOLLOWER, 1, [1, 2], **fields).error_code
        assert error == scene.stop_replica(1, **fields).error_code
        assert error == scene.update_metadata(**fields).error_code
    scene.assert_untouched()


def test_orders_about_what_is_not_so_are_refused_for_their_partition(scene: Scene) -> None:
    def error(response: Any) -> int:
        assert 0 == response.error_code
        return int(response.topics[0].partition_errors[0].error_code)

    assert Error.STALE_CONTROLLER_EPOCH == error(scene.leader_and_isr(FOLLOWER, -1, [1, 2]))
    assert Error.UNKNOWN_TOPIC_OR_PARTITION == error(scene.leader_and_isr(FOLLOWER, 5, [2, 3]))
    assert Error.INCONSISTENT_TOPIC_ID == error(scene.leader_and_isr(FOLLOWER, 5, [1, 2], topic_id=b"0123456789abcdef"))
    # A state below the epoch that it is led under. (-1 and -2 stand for a topic that is being deleted.)
    moved = scene.cluster
    moved.reassign(scene.topic, [FOLLOWER, LEADER])
    moved.elect_preferred(scene.topic)
    scene.before = scene.look()
    answer = scene.stop_replica(0)
    assert (0, Error.FENCED_LEADER_EPOCH) == (answer.error_code, answer.partition_errors[0].error_code)
    scene.assert_untouched()


def test_a_stop_in_anothers_name_is_refused(scene: Scene) -> None:
    def stop(broker_id: int, epoch: int, at: int) -> int:
        made = controlled_shutdown.Request(broker_id=broker_id, broker_epoch=epoch)
        return int(ask(scene.cluster.brokers[at], controlled_shutdown, 3, made).error_code)

    mine = scene.brokers[LEADER]
    assert Error.STALE_BROKER_EPOCH == stop(LEADER, mine - 1, scene.controller)
    assert stop(9, mine, scene.controller) in (Error.BROKER_NOT_AVAILABLE, Error.STALE_BROKER_EPOCH)
    assert Error.NOT_CONTROLLER == stop(LEADER, mine, next(i for i in (1, 2, 3) if i != scene.controller))
    if not scene.by_apache:
        # Apache's controller believes an epoch above the one it knows.
        assert Error.STALE_BROKER_EPOCH == stop(LEADER, mine + 1_000_000, scene.controller)
    scene.assert_untouched()


def test_an_isr_that_its_leader_did_not_ask_for_is_refused(scene: Scene) -> None:
    def alter(sender: int, epoch: int, isr: list[int], at: int | None = None, **fields: Any) -> Any:
        members = [alter_partition.BrokerState(broker_id=i, broker_epoch=scene.brokers.get(i, 7)) for i in isr]
        partition = alter_partition.PartitionData(
            **{"partition_index": 0, "leader_epoch": 0, "new_isr_with_epochs": members, "partition_epoch": 0} | fields
        )
        topics = [alter_partition.TopicData(topic_id=scene.topic_id, partitions=[partition])]
        made = alter_partition.Request(broker_id=sender, broker_epoch=epoch, topics=topics)
        answer = ask(scene.cluster.brokers[scene.controller if at is None else at], alter_partition, 3, made)
        return answer.error_code or answer.topics[0].partitions[0].error_code

    mine = scene.brokers[LEADER]
    assert Error.STALE_BROKER_EPOCH == alter(LEADER, mine - 1, [1])
    assert Error.STALE_BROKER_EPOCH == alter(LEADER, mine + 1, [1])
    assert Error.STALE_BROKER_EPOCH == alter(9, mine, [1])
    assert Error.NOT_CONTROLLER == alter(LEADER, mine, [1], next(i for i in (1, 2, 3) if i != scene.controller))
    assert Error.NOT_CONTROLLER == alter(LEADER, mine, [1], leader_epoch=99)
    assert Error.NOT_CONTROLLER == alter(LEADER, mine, [1], partition_epoch=99)
    assert Error.FENCED_LEADER_EPOCH == alter(LEADER, mine, [1], leader_epoch=-1)
    assert Error.INVALID_UPDATE_VERSION == alter(LEADER, mine, [1], partition_epoch=-1)
    if not scene.by_apache:
        # In ZooKeeper mode Apache's controller believes every broker here.
        assert Error.INVALID_REQUEST == alter(OTHER, scene.brokers[OTHER], [1])
        assert Error.INVALID_REQUEST == alter(LEADER, mine, [1, 3])
        assert Error.INVALID_REQUEST == alter(LEADER, mine, [2])
        assert Error.INVALID_REQUEST == alter(LEADER, mine, [])
    scene.assert_untouched()


@pytest.mark.parametrize(
    ("replica", "fields", "error"),
    [
        (OTHER, {"current_leader_epoch": -1}, Error.NOT_LEADER_OR_FOLLOWER),
        (OTHER, {"current_leader_epoch": 0}, Error.UNKNOWN_LEADER_EPOCH),
        (99, {"current_leader_epoch": -1}, Error.NOT_LEADER_OR_FOLLOWER),
        (99, {"current_leader_epoch": 0}, Error.UNKNOWN_LEADER_EPOCH),
        (2**31 - 1, {"current_leader_epoch": 0}, Error.UNKNOWN_LEADER_EPOCH),
        (LEADER, {"current_leader_epoch": -1}, Error.NOT_LEADER_OR_FOLLOWER),
        (FOLLOWER, {"current_leader_epoch": 5}, Error.UNKNOWN_LEADER_EPOCH),
        (FOLLOWER, {"fetch_offset": 2**40, "current_leader_epoch": 0}, Error.OFFSET_OUT_OF_RANGE),
        (FOLLOWER, {"fetch_offset": -7, "current_leader_epoch": 0}, Error.OFFSET_OUT_OF_RANGE),
    ],
)
def test_a_forged_follower_is_refused(scene: Scene, replica: int, fields: dict[str, int], error: Error) -> None:
    assert error == fetched(scene, replica, -1, **fields)
    scene.assert_untouched()


def test_a_follower_of_an_earlier_life_is_refused(scene: Scene) -> None:
    if scene.by_apache:
        pytest.skip("in ZooKeeper mode Apache's brokers do not know the epochs of others")
    assert Error.NOT_LEADER_OR_FOLLOWER == fetched(scene, FOLLOWER, scene.brokers[FOLLOWER] - 1)
    scene.assert_untouched()


def test_a_follower_of_a_life_that_is_not_is_refused_and_not_remembered(scene: Scene) -> None:
    if scene.by_apache:
        pytest.skip("in ZooKeeper mode Apache's brokers do not know the epochs of others")
    epoch = scene.brokers[FOLLOWER]
    assert Error.STALE_BROKER_EPOCH == fetched(scene, FOLLOWER, epoch + 1)
    assert Error.STALE_BROKER_EPOCH == fetched(scene, FOLLOWER, 2**62)
    scene.assert_untouched()
    assert Error.NONE == fetched(scene, FOLLOWER, epoch, fetch_offset=0)


def fetched(scene: Scene, replica: int, replica_epoch: int, **fields: int) -> int:
    """The error that the leader answers to a follower's fetch."""
    partition = fetch.FetchPartition(
        **{"partition": 0, "fetch_offset": 10, "partition_max_bytes": 1000, "current_leader_epoch": 0} | fields
    )
    made = fetch.Request(
        replica_state=fetch.ReplicaState(replica_id=replica, replica_epoch=replica_epoch),
        max_wait_ms=0,
        max_bytes=1000,
        session_epoch=-1,
        topics=[fetch.FetchTopic(topic_id=scene.topic_id, partitions=[partition])],
    )
    answer = ask(scene.cluster.brokers[LEADER], fetch, 17, made)
    return int(answer.error_code or answer.responses[0].partitions[0].error_code)


def test_control_requests_that_break_off_end_their_connection(scene: Scene) -> None:
    """And nothing else: LeaderAndIsr, StopReplica, UpdateMetadata, ControlledShutdown, AlterPartition, producer ids."""
    for api, version in ((4, 7), (5, 4), (6, 8), (7, 3), (56, 3), (67, 0)):
        with pytest.raises(ConnectionError):
            request(scene.cluster.brokers[LEADER].port, api, version, struct.pack(">i", 1))
    scene.assert_untouched()
