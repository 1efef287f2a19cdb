"""Two brokers' replicas in one process: the follower copies, cuts what has diverged, and enters the ISR."""

import shutil
from types import SimpleNamespace

import pytest
from twisted.internet import defer, reactor, task

from kafkalike.broker.current_leader import CurrentLeader
from kafkalike.broker.dispatch import Dispatch
from kafkalike.broker.fetch_sessions import FetchSessions
from kafkalike.cluster.metadata import Image
from kafkalike.config import broker_config, reconfigure
from kafkalike.errors import Error
from kafkalike.protocol.framing import read_response_header, request_header
from kafkalike.protocol.messages import alter_partition
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.log import Log
from tests import reactor as shared
from tests.replication.test_replicas import ID, lead, records
from tests.replication.views import Opened


class Link:
    """A connection that hands the answer to who asked."""

    listener = "PLAINTEXT"
    peer = "127.0.0.1"
    fast_path = None
    received_at = 0.0

    def __init__(self):
        self.call = None
        self.answer = defer.Deferred()

    def answered(self):
        data = b"".join(item if isinstance(item, bytes) else item.read() for item in self.call.answer)
        self.answer.callback(data[4:])

    def close(self):
        self.answer.errback(ConnectionError("closed"))


class Node:
    """One broker: replicas and the APIs that followers use, without sockets."""

    def __init__(self, broker_id, directory, cluster):
        (directory / f"logs{broker_id}").mkdir(exist_ok=True)
        settings = {
            "zookeeper.connect": "x:1",
            "broker.id": str(broker_id),
            "log.dirs": str(directory / f"logs{broker_id}"),
            "replica.fetch.wait.max.ms": "100",
            "replica.fetch.backoff.ms": "20",
            "min.insync.replicas": "1",
        }
        self.broker_id = broker_id
        self.config, _ = broker_config(settings)
        self.replication = Opened(self.config, reactor, broker_id)
        self.replication.around.ask = cluster.ask
        self.replication.around.ask_controller = cluster.ask_controller
        self.replication.around.broker_epoch = 100 + broker_id
        # No ZooKeeper is asked whether there are such followers.
        self.follower_epochs = dict.fromkeys(range(10), 1000)
        self.clock = self.replication.around.clock
        self.replicas, self.partitions = self.replication.replicas, self.replication.partitions
        self.purgatory = self.replication.purgatory
        self.fetch_sessions = FetchSessions(100, 1)
        self.fetch_max_bytes = 1 << 20
        self.rack_aware = False
        self.metadata = SimpleNamespace(image=Image(names={ID: "t"}))
        self.current_leader = CurrentLeader(broker_id, self.metadata, self.partitions)
        self.dispatch = Dispatch(self)
        shared.run(self.replication.load, "cluster", {}, [LogDirectory(path) for path in self.config.log_dirs])

    def log(self):
        return self.replication.log("t", 0)

    def content(self):
        log = self.log()
        found = log.read(log.log_start_offset, 1 << 30, log.log_end_offset, True)
        return found.read() if found else b""


class Cluster:
    """The nodes, their network, and a controller that agrees to every ISR."""

    def __init__(self, directory):
        self.proposed = []
        self.cut = set()
        self.epoch = 0
        self.partition_epoch = 0
        self.nodes = {}
        for broker_id in (0, 1):
            self.nodes[broker_id] = Node(broker_id, directory, self)

    def ask(self, broker_id, message, version, request):
        if broker_id in self.cut:
            return defer.fail(ConnectionError("cut off"))
        link = Link()
        frame = request_header(message.API_KEY, version, 1, "") + request.encode(version)
        link.call = self.nodes[broker_id].dispatch.begin(link, memoryview(frame))
        link.call.run()

        def decode(data):
            if broker_id in self.cut:
                raise ConnectionError("cut off")
            _, position = read_response_header(data, message.API_KEY, version)
            return message.Response.decode(version, data, position)

        # A turn of the reactor lies between question and answer, as on a real network.
        return link.answer.addCallback(lambda data: task.deferLater(reactor, 0, decode, data))

    def ask_controller(self, request):
        asked = request.topics[0].partitions[0]
        isr = [member.broker_id for member in asked.new_isr_with_epochs]
        self.proposed.append(isr)
        self.partition_epoch += 1
        answer = alter_partition.ResponsePartitionData(
            partition_index=0,
            leader_id=request.broker_id,
            leader_epoch=asked.leader_epoch,
            isr=isr,
            partition_epoch=self.partition_epoch,
        )
        topic = alter_partition.ResponseTopicData(topic_id=ID, partitions=[answer])
        return defer.succeed(alter_partition.Response(topics=[topic]))

    def elect(self, leader, isr=(0, 1)):
        """A new leader epoch, told to both."""
        for node in self.nodes.values():
            request = lead(leader=leader, epoch=self.epoch, isr=(0, 1))
            request.topic_states[0].partition_states[0].isr = list(isr)
            shared.run(node.replication.leader_and_isr, request)
        self.epoch += 1

    def append(self, leader, count=1, acks=1):
        return shared.run(self.nodes[leader].replication.append_as_leader, "t", 0, records(count), acks)

    def until(self, condition):
        async def wait():
            for _ in range(2000):
                if condition():
                    return
                await task.deferLater(reactor, 0.005, lambda: None)
            raise AssertionError("it did not come to pass")

        shared.run(wait)


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    yield cluster
    for node in cluster.nodes.values():
        shared.run(node.replication.stop)


def same(cluster):
    first, second = cluster.nodes.values()
    return first.content() == second.content() and first.log().log_end_offset == second.log().log_end_offset


def test_a_follower_becomes_a_byte_for_byte_copy_and_the_high_watermark_follows(cluster):
    cluster.elect(0)
    cluster.append(0, 3)
    cluster.append(0, 2)
    cluster.until(lambda: all(n.replication.partition("t", 0).high_watermark == 5 for n in cluster.nodes.values()))
    assert same(cluster)
    assert cluster.nodes[1].log().latest_epoch() == 0


def test_acks_all_waits_for_the_follower(cluster):
    cluster.elect(0)
    done = []
    cluster.cut = {0}
    cluster.until(lambda: True)
    shared.run(cluster.nodes[0].replication.replicas.append, "t", 0, records(), -1, 20_000, done.append)
    assert done == []
    cluster.cut = set()
    cluster.until(lambda: done)
    assert (done[0].base_offset, done[0].last_offset) == (0, 0)


def test_a_record_that_only_the_old_leader_had_is_cut_off(cluster):
    """A1, A2: the log is cut where the epochs parted, and both logs are the same again."""
    cluster.elect(0)
    cluster.append(0, 4)
    cluster.until(lambda: same(cluster))
    cluster.cut = {0}
    cluster.append(0, 3)
    cluster.elect(1, isr=(1,))
    cluster.append(1, 2)
    cluster.cut = set()
    cluster.until(lambda: same(cluster))
    assert cluster.nodes[0].log().log_end_offset == 6
    assert cluster.nodes[0].log().end_offset_for_epoch(0) == (0, 4)


def test_fast_elections_on_both_sides_with_and_without_records_end_in_the_same_log(cluster):
    """A2, A10: epochs with holes on either side."""
    cluster.elect(0)
    cluster.append(0, 2)
    cluster.until(lambda: same(cluster))
    cluster.cut = {0, 1}
    for leader, count in ((0, 3), (1, 2), (1, 0), (0, 1), (1, 1)):
        cluster.elect(leader, isr=(leader,))
        if count:
            cluster.append(leader, count)
    cluster.cut = set()
    cluster.elect(1, isr=(1,))
    cluster.until(lambda: same(cluster))


def test_a_follower_that_caught_up_is_proposed_for_the_isr(cluster):
    cluster.elect(0, isr=(0,))
    cluster.append(0, 3)
    cluster.until(lambda: cluster.proposed)
    assert cluster.proposed[0] == [0, 1]
    cluster.until(lambda: cluster.nodes[0].replication.partition("t", 0).isr == (0, 1))


def test_A11_a_follower_behind_the_leaders_first_record_begins_anew(cluster):
    cluster.elect(0, isr=(0,))
    cluster.cut = {0}
    cluster.append(0, 5)
    cluster.nodes[0].replication.partition("t", 0).high_watermark = 5
    shared.run(cluster.nodes[0].replication.replicas.delete_records, "t", 0, 4)
    cluster.cut = set()
    cluster.until(lambda: cluster.nodes[1].log().log_end_offset == 5)
    assert cluster.nodes[1].log().log_start_offset == 4


def test_A11_of_a_follower_that_diverged_before_the_leaders_first_record_nothing_is_left(cluster, tmp_path):
    """What only it had is read by nobody, also if it is killed before a checkpoint says where its log begins."""
    cluster.elect(0, isr=(0,))
    cluster.append(0, 2)
    cluster.until(lambda: same(cluster))
    cluster.cut = {0, 1}
    for _ in range(4):
        cluster.append(0, 1)
    cluster.elect(1, isr=(1,))
    cluster.append(1, 2)
    cluster.nodes[1].replication.partition("t", 0).high_watermark = 4
    shared.run(cluster.nodes[1].replication.replicas.delete_records, "t", 0, 4)
    cluster.cut = set()
    follower = cluster.nodes[0].log()
    cluster.until(lambda: follower.log_end_offset == 4)
    cluster.append(1, 1)
    cluster.until(lambda: follower.log_end_offset == 5 and follower.log_start_offset == 4)
    shutil.copytree(follower.path, tmp_path / "killed")
    killed = Log.open(str(tmp_path / "killed"), "t", 0, follower.config)
    assert (killed.log_start_offset, killed.log_end_offset) == (4, 5)
    killed.abandon()


def test_A11_also_while_the_leader_does_not_know_yet_what_is_committed(cluster):
    """Its high watermark lies below what it had when it was elected, and only this follower can raise it."""
    cluster.elect(0, isr=(0,))
    cluster.cut = {0}
    cluster.append(0, 5)
    cluster.nodes[0].replication.partition("t", 0).high_watermark = 4
    shared.run(cluster.nodes[0].replication.replicas.delete_records, "t", 0, 3)
    cluster.nodes[0].replication.partitions.hosted["t", 0].partition.min_insync_replicas = 2
    cluster.elect(0, isr=(0,))
    cluster.nodes[0].replication.partitions.hosted["t", 0].partition.min_insync_replicas = 2
    cluster.cut = set()
    cluster.until(lambda: cluster.nodes[0].replication.partition("t", 0).high_watermark == 5)
    assert (cluster.nodes[1].log().log_start_offset, cluster.nodes[1].log().log_end_offset) == (3, 5)


def test_a_broker_that_is_no_replica_gets_nothing_and_changes_nothing(cluster):
    """A forged follower."""
    cluster.elect(0)
    cluster.cut = {0}
    cluster.append(0, 2)
    asked = SimpleNamespace(offset=2, current_leader_epoch=-1, last_fetched_epoch=-1, follower_start_offset=0)
    replication = cluster.nodes[0].replication
    with pytest.raises(Exception) as refusal:
        shared.run(replication.replicas.read_as_follower, "t", 0, asked, 1000, True, 7, -1)
    assert refusal.value.error == Error.NOT_LEADER_OR_FOLLOWER
    assert replication.partition("t", 0).high_watermark == 0


@pytest.mark.parametrize(("side", "broker_id"), [("leader", 0), ("follower", 1)])
def test_a_throttle_holds_back_who_is_not_in_sync_until_it_is_taken_away(cluster, side, broker_id):
    """As Kafka's ReplicationQuotaManager, asked by the leader for its answers and by the follower for its requests."""
    node = cluster.nodes[broker_id]
    cluster.elect(0, isr=(0,))
    cluster.until(lambda: cluster.nodes[0].replication.partition("t", 0).isr == (0, 1))
    throttle = getattr(node.replication, f"{side}_quota")
    reconfigure(node.config, {f"{side}.replication.throttled.rate": "1"}, {})
    node.replication.configure("t", {f"{side}.replication.throttled.replicas": f"0:{broker_id}"})
    cluster.append(0, 3)
    cluster.until(lambda: same(cluster))
    assert throttle.exceeded(node.clock.wall_ms())

    cluster.cut = {0}
    cluster.append(0, 3)
    cluster.elect(0, isr=(0,))
    looks = []
    throttle.exceeded = lambda now_ms: looks.append(now_ms) or True
    cluster.cut = set()
    cluster.until(lambda: len(looks) > 3)
    assert cluster.nodes[1].log().log_end_offset == 3
    del throttle.exceeded

    reconfigure(node.config, {}, {})
    node.replication.configure("t", {})
    cluster.until(lambda: same(cluster))
    cluster.until(lambda: cluster.nodes[0].replication.partition("t", 0).isr == (0, 1))


def test_a_throttle_does_not_hold_back_who_is_in_sync(cluster):
    replication = cluster.nodes[0].replication
    cluster.elect(0)
    cluster.append(0, 1)
    cluster.until(lambda: same(cluster))
    reconfigure(cluster.nodes[0].config, {"leader.replication.throttled.rate": "1"}, {})
    replication.configure("t", {"leader.replication.throttled.replicas": "*"})
    replication.leader_quota.record(1 << 30, replication.around.clock.wall_ms())
    cluster.append(0, 3)
    cluster.until(lambda: same(cluster))
