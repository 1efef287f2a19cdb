"""What brokers leave in ZooKeeper when they stop or fall behind is what Apache's leave: goldens 42, 43, 46 and 48."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from kafkalike.cluster.znodes.topics import PartitionNode
from tests.mixed.cluster import QUIET, Mixed, of_one_kind
from tests.oracle import znodes_golden as golden
from tests.servers import wait_until

Tree = dict[str, golden.Form]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Mixed]:
    """Brokers 11 and 12, as the goldens have them; 12 is the controller."""
    settings = {
        "min_insync_replicas": 1,
        "replica_lag_time_max_ms": 1000,
        "zookeeper_session_timeout_ms": 20_000,
    }
    with of_one_kind(tmp_path, "kafkalike", 12, 11, **settings) as cluster:
        assert 12 == cluster.controller()
        yield cluster


def tree(client: KazooClient, path: str = "/") -> Tree:
    """Everything there is, as the goldens are compared."""
    try:
        data, stat = client.get(path)
        found = {path: golden.form(data, stat.ephemeralOwner != 0, stat.version)}
        for child in client.get_children(path):
            found |= tree(client, f"{path.rstrip('/')}/{child}")
    except NoNodeError:
        return {}
    return found


def steps(before: golden.Form, after: golden.Form) -> Any:
    """What became of a partition's state: its leader and ISR, and by how much its epoch and its node's version grew."""
    was, now = before[0], after[0]
    assert was.keys() == now.keys() and was["controller_epoch"] == now["controller_epoch"]
    return now["leader"], now["isr"], now["leader_epoch"] - was["leader_epoch"], after[2] - before[2]


def expected(number: str) -> tuple[dict[str, Any], set[str]]:
    """The steps of every node that changed in a golden, and what was deleted."""
    dump = golden.dump(number)
    assert not dump["created"]
    changed = {
        node["path"]: steps(
            golden.form(node["was"], False, node["wasVersion"]), golden.form(node["data"], False, node["dataVersion"])
        )
        for node in dump["changed"]
    }
    return changed, set(dump["deleted"])


def difference(before: Tree, after: Tree) -> tuple[dict[str, Any], set[str]]:
    """The same of two trees."""
    assert after.keys() <= before.keys()
    changed = {path: steps(before[path], form) for path, form in after.items() if before[path] != form}
    return changed, before.keys() - after.keys()


def test_a_broker_that_is_stopped_hands_over_and_the_last_one_leaves_all_as_it_is(cluster: Mixed) -> None:
    """Goldens 42 and 43."""
    cluster.create_topic("gold-e", [11, 12], [12, 11])
    cluster.create_topic("gold-cc", *[[11]] * 5)
    with cluster.znodes() as client:
        whole = tree(client)
        assert 0 == cluster.brokers[11].stop()
        without_11 = tree(client)
        assert expected("42") == difference(whole, without_11)
        assert 0 == cluster.brokers[12].stop()
        assert expected("43") == difference(without_11, tree(client))


@contextmanager
def stopped(cluster: Mixed, broker_id: int) -> Iterator[None]:
    """A broker that holds still."""
    process = cluster.brokers[broker_id].process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def test_a_follower_that_falls_behind_leaves_the_isr_and_comes_back(cluster: Mixed) -> None:
    """Golden 46: the leader epoch stays, the node's version grows by one each time, and nothing else is written.

    The numbers are exchanged: the one that holds still must not be the controller.
    """
    cluster.create_topic("gold-e", [12, 11])
    with cluster.znodes() as client:
        before = tree(client)
        path = PartitionNode.path("gold-e", 0)
        seen: list[golden.Form] = []

        def watch(data: bytes | None, stat: Any, *_: object) -> None:
            if stat is not None:
                seen.append(golden.form(data, False, stat.version))

        client.DataWatch(path)(watch)
        producer = Producer({"bootstrap.servers": cluster.brokers[12].bootstrap, "acks": 1} | QUIET)
        with stopped(cluster, 11):
            for _ in range(10):
                producer.produce("gold-e", b"x", partition=0)
            assert 0 == producer.flush(20)
            wait_until(lambda: cluster.state("gold-e", 0).isr == (12,))
        wait_until(lambda: len(seen) == 3)
        after = tree(client)
    assert [[12, 11], *(exchanged(event["data"]) for event in golden.dump("46")["timeline"])] == [
        form[0]["isr"] for form in seen
    ]
    assert [0, 1, 2] == [form[2] - before[path][2] for form in seen]
    assert {before[path][0]["leader_epoch"]} == {form[0]["leader_epoch"] for form in seen}
    ((_, (leader, _, *grown)),) = expected("46")[0].items()
    assert ({path: (23 - leader, [12, 11], *grown)}, set()) == difference(before, after)


def exchanged(state: str) -> list[int]:
    """A golden's ISR with 11 for 12 and 12 for 11."""
    return [23 - broker_id for broker_id in json.loads(state)["isr"]]


def test_what_an_old_leader_writes_of_its_isr_is_told_to_everybody(cluster: Mixed) -> None:
    """Golden 48: a leader of Apache's at protocol 2.6 writes the state itself, then a notification; it is removed."""
    cluster.create_topic("gold-e", [11, 12])
    path = PartitionNode.path("gold-e", 0)
    *states, created, deleted = golden.dump("48")["timeline"]
    assert (created["path"], "deleted") == (deleted["path"], deleted["event"])
    with cluster.znodes() as client:
        before = tree(client)
        for event in states:
            mine = before[path][0] | {"isr": [each - 2 for each in json.loads(event["data"])["isr"]]}
            client.set(path, json.dumps(mine).encode())
            written = client.create("/isr_change_notification/isr_change_", created["data"].encode(), sequence=True)
            wait_until(lambda written=written: client.exists(written) is None)  # type: ignore[misc]
            for broker in cluster.running.values():
                wait_until(lambda broker=broker, isr=mine["isr"]: told(cluster, broker.bootstrap) == isr)  # type: ignore[misc]
        assert ({path: (11, [11, 12], 0, 2)}, set()) == difference(before, tree(client))


def told(cluster: Mixed, bootstrap: str) -> list[int]:
    """The ISR of the topic's only partition, as this broker tells it."""
    found = AdminClient({"bootstrap.servers": bootstrap} | QUIET).list_topics("gold-e", timeout=10)
    return sorted(found.topics["gold-e"].partitions[0].isrs)
