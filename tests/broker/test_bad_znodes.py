"""Garbage in every znode that a broker reads: a line in the log, and everybody else's records and offsets go on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from confluent_kafka import Producer, TopicPartition
from kazoo.client import KazooClient
from kazoo.exceptions import NodeExistsError, NoNodeError

from tests.mixed.cluster import QUIET, Mixed, consumer, of_one_kind
from tests.servers import wait_until

pytestmark = pytest.mark.slow

GARBAGE = {
    "nothing": b"",
    "text": b"garbage",
    "another type": b'[1, "two", null]',
    "an empty object": b"{}",
    "bytes": b"\xff\xfe\x00",
    "a number of many digits": b"9" * 5000,
    "depth": b"[" * 100_000,
    "types inside": (
        b'{"version":"x","partitions":{"a":"b","0":[1.5,null]},"config":[],"brokerid":"1","host":7,"port":"p",'
        b'"endpoints":{},"leader":"1","leader_epoch":null,"isr":"12","controller_epoch":[],"broker":"b","event":{},'
        b'"topic_id":5,"entity_path":7,"features":[],"block_start":1,"block_end":[]}'
    ),
    "numbers that no field holds": (
        b'{"version":1,"partitions":{"0":[99999999999]},"config":{"retention.ms":"-9"},"brokerid":99999999999,'
        b'"leader":99999999999999,"leader_epoch":99999999999,"isr":[99999999999],"controller_epoch":1,'
        b'"broker":99999999999,"event":1,"host":"h","port":99999,"endpoints":["PLAINTEXT://h:99999"],'
        b'"topic_id":"AAAAAAAAAAAAAAAAAAAAAA","block_start":"99999999999999999999","block_end":"99999999999999999999"}'
    ),
    "partitions of nobody": (
        b'{"version":2,"partitions":[{"topic":"nowhere","partition":0,"replicas":[7,8]},{"topic":7},'
        b'{"topic":"steady","partition":-1,"replicas":[7]},{"topic":"steady","partition":99999999999}],'
        b'"entity_path":"topics/nowhere","broker":7,"event":1,"leader":7,"leader_epoch":3,"isr":[7,8],'
        b'"controller_epoch":1}'
    ),
    "numbers beyond all bounds": (
        b'{"version":99,"partitions":{"99999999999":[1]},"config":{"retention.ms":"9e99"},"brokerid":-7,'
        b'"leader":99999999999999,"leader_epoch":-99,"isr":[-1,99999999999],"controller_epoch":99999999999,'
        b'"broker":-1,"event":99,"entity_path":"topics/","block_start":"-5","block_end":"x"}'
    ),
}

# Nodes that nobody of the cluster made.
NEW = (
    "/brokers/ids/9",
    "/brokers/ids/-1",
    "/brokers/ids/nine",
    "/brokers/ids/99999999999",
    "/brokers/topics/new",
    "/brokers/topics/a topic",
    "/brokers/topics/half/partitions/0/state",
    "/brokers/topics/half/partitions/x",
    "/admin/delete_topics/nowhere",
    "/admin/delete_topics/a topic",
    "/admin/reassign_partitions",
    "/admin/preferred_replica_election",
    "/config/topics/nowhere",
    "/config/brokers/2",
    "/config/brokers/<default>",
    "/config/brokers/x",
    "/config/changes/config_change_0000009990",
    "/config/changes/config_change_x",
    "/config/changes/other",
    "/isr_change_notification/isr_change_0000009990",
    "/isr_change_notification/isr_change_x",
    "/isr_change_notification/other",
    "/log_dir_event_notification/log_dir_event_0000009990",
    "/log_dir_event_notification/other",
    "/consumers/broken/offsets/steady/0",
    "/consumers/broken/offsets/steady/x",
    "/consumers/broken/offsets/steady/99999999999",
    "/consumers/broken/offsets-extra/steady/0",
    "/consumers/broken/ids/someone",
    "/consumers/broken/owners/steady/0",
    "/consumers/reader/offsets/nowhere/0",
)
# Nodes that there are.
OVERWRITTEN = (
    "/brokers/topics/spoilt",
    "/brokers/topics/lost/partitions/0/state",
    "/config/topics/steady",
    "/config/topics/spoilt",
    "/latest_producer_id_block",
    "/feature",
    "/consumers/reader/offsets-extra/steady/0",
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    """Three brokers, and topics of three replicas."""
    home = tmp_path_factory.mktemp("bad-znodes")
    with of_one_kind(home, "kafkalike", 1, 2, 3, offsets_topic_num_partitions=2) as cluster:
        for topic in ("steady", "spoilt", "lost"):
            cluster.create_topic(topic, [1, 2, 3])
        yield cluster


@contextmanager
def garbage(client: KazooClient, data: bytes) -> Iterator[None]:
    """Everywhere, and all as it was before afterwards."""
    before = {path: client.get(path)[0] if client.exists(path) else None for path in OVERWRITTEN}
    for path in (*NEW, *OVERWRITTEN):
        write(client, path, data)
    try:
        yield
    finally:
        for path in NEW:
            client.delete(path, recursive=True)
        client.delete("/brokers/topics/half", recursive=True)
        for path, was in before.items():
            with suppress(NoNodeError):  # the controller may have taken it away
                client.set(path, was) if was is not None else client.delete(path)


def write(client: KazooClient, path: str, data: bytes) -> None:
    """Makes a node, or gives it other data."""
    try:
        client.create(path, data, makepath=True)
    except NodeExistsError:
        client.set(path, data)


def produce(cluster: Mixed, count: int) -> None:
    """So many messages, acknowledged by all replicas in sync. (Nobody gets a producer id from a block of garbage.)"""
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all"} | QUIET)
    errors: list[object] = []
    for _ in range(count):
        producer.produce("steady", b"x", partition=0, on_delivery=lambda error, _: errors.append(error))
    assert 0 == producer.flush(60)
    assert [None] * count == errors


def assert_works(cluster: Mixed, known: int | None = None) -> int:
    """Records come and go, the offset is where it was and can be moved; where it is then."""
    produce(cluster, 10)
    with closing(consumer(cluster, "reader")) as c:
        (found,) = c.committed([TopicPartition("steady", 0)], timeout=30)
        if known is None:
            known = max(found.offset, 0)
        assert (known or -1001) == found.offset
        c.assign([TopicPartition("steady", 0, known)])
        got: list[object] = []
        wait_until(lambda: got.extend(m for m in c.consume(10, 0.2) if m.error() is None) or len(got) >= 10)
        c.commit(offsets=[TopicPartition("steady", 0, known + 10)], asynchronous=False)
    return known + 10


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_in_any_znode_harms_nobody_else(cluster: Mixed, what: str) -> None:
    data = GARBAGE[what]
    known = first = assert_works(cluster)
    printed = {broker_id: len(broker.output()) for broker_id, broker in cluster.brokers.items()}
    with cluster.znodes() as client, garbage(client, data):
        # A broker that reads the znode after a change.
        known = assert_works(cluster, known)
        # A new controller, which reads it all.
        controller = cluster.controller()
        with suppress(NoNodeError):
            client.delete("/controller")
        wait_until(lambda: cluster.controller() >= 0)
        wait_until(lambda: cluster.agreed() is not None)
        known = assert_works(cluster, known)
        # A broker that reads the znode when it starts.
        victim = 2 if controller != 2 else 3
        cluster.brokers[victim].kill()
        cluster.start(victim)
        wait_until(lambda: cluster.state("steady", 0).isr and victim in cluster.state("steady", 0).isr)
        known = assert_works(cluster, known)
        assert data == client.get("/brokers/topics/spoilt")[0]
        assert data == client.get("/brokers/topics/lost/partitions/0/state")[0]
    assert first + 30 == known
    for broker_id, broker in cluster.brokers.items():
        # There are few log lines: some brokers read the znode three times.
        for path in ("/brokers/topics/spoilt", "/brokers/ids/9", "/config/topics/steady"):
            said = broker.output()[printed[broker_id] :]
            assert len(re.findall(rf"{re.escape(path)}\b", said)) <= 12, said[-3000:]


@pytest.mark.parametrize("path", ["/controller", "/controller_epoch"])
@pytest.mark.parametrize("what", ["text", "numbers beyond all bounds"])
def test_garbage_about_the_controller_ends_when_it_is_removed(cluster: Mixed, path: str, what: str, name: str) -> None:
    """Nobody can be the controller under garbage; records go on, and so does control when an operator mends it."""
    known = assert_works(cluster)
    with cluster.znodes() as client:
        epoch = client.get("/controller_epoch")[0]
        write(client, path, GARBAGE[what])
        known = assert_works(cluster, known)
        if path == "/controller_epoch":
            client.delete("/controller")
            known = assert_works(cluster, known)
            client.set(path, epoch)
        with suppress(NoNodeError):
            client.delete("/controller")
    wait_until(lambda: cluster.agreed() == cluster.controller() >= 0)
    cluster.create_topic(name, [1, 2, 3])
    assert_works(cluster, known)
