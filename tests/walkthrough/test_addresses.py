"""Wrong addresses are told before a step begins, by name."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kafkalike.cli.walkthrough.addresses import WrongAddress, cluster_id_in
from tests.cli.commands import run
from tests.servers import EmbeddedZooKeeper, Kafka, Server, free_port, zookeeper_client


def _refused(kafka: Kafka, zookeeper: str, bootstrap: str | None = None) -> str:
    done = run("walkthrough", "--bootstrap-server", bootstrap or kafka.bootstrap, "--zookeeper", zookeeper)
    assert (1, "") == (done.code, done.out)
    return done.err


def test_nobody_there(kafka: Kafka) -> None:
    zookeeper = f"127.0.0.1:{free_port()}"
    assert f"--zookeeper {zookeeper}: nobody listens at {zookeeper}\n" == _refused(kafka, zookeeper)


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(WrongAddress, match=r"^--zookeeper no\.such\.invalid:2181: .* does not resolve"):
        cluster_id_in("no.such.invalid:2181")


def test_a_broker_in_the_place_of_zookeeper(kafka: Kafka) -> None:
    expected = f"something answers at {kafka.bootstrap}, and it is Kafka, not ZooKeeper"
    assert f"--zookeeper {kafka.bootstrap}: {expected}\n" == _refused(kafka, kafka.bootstrap)


def test_somebody_who_closes() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        zookeeper = f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        with pytest.raises(WrongAddress, match=zookeeper):
            cluster_id_in(zookeeper)


def test_a_chroot_that_does_not_exist(kafka: Kafka) -> None:
    zookeeper = f"{kafka.zookeeper.connect}/nowhere"
    expected = f"ZooKeeper at {zookeeper} has no Kafka cluster there: /nowhere/cluster/id does not exist\n"
    assert expected == _refused(kafka, zookeeper)


def test_no_connect_string() -> None:
    with pytest.raises(WrongAddress, match=r"^--zookeeper: illegal name '' in ZooKeeper path '/a//b'"):
        cluster_id_in("localhost:2181/a//b")


def test_the_zookeeper_of_another_cluster(kafka: Kafka, started: Callable[[Server], Server], tmp_path: Path) -> None:
    other = EmbeddedZooKeeper(tmp_path)
    started(other)
    with zookeeper_client(other.connect) as client:
        client.create("/cluster/id", b'{"version":"1","id":"AAAAAAAAAAAAAAAAAAAAAA"}', makepath=True)
    ours = cluster_id_in(kafka.zookeeper.connect)
    assert (
        f"ZooKeeper at {other.connect} has the cluster AAAAAAAAAAAAAAAAAAAAAA, "
        f"but the brokers at {kafka.bootstrap} belong to {ours}\n"
    ) == _refused(kafka, other.connect)
