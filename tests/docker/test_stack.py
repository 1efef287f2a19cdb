"""What docker-compose.yml promises, while nothing is wrong."""

from __future__ import annotations

import re

import pytest

from tests.docker.stack import BROKERS, Stack, walk
from tests.servers import exchange, wait_until, zookeeper_client

pytestmark = pytest.mark.timeout(1200)


def test_three_zookeeper_servers_are_one_ensemble(stack: Stack) -> None:
    answers = [exchange(stack.ports[f"ZOOKEEPER{n}_PORT"], b"srvr").decode() for n in BROKERS]
    assert ["follower", "follower", "leader"] == sorted(re.findall(r"^Mode: (\w+)", "\n".join(answers), re.MULTILINE))


def test_the_brokers_are_registered_as_the_environment_says(stack: Stack) -> None:
    assert set(BROKERS) == stack.registered()
    properties = stack.broker(1).exec_run("cat /run/kafkalike/server.properties").output.decode()
    assert "min.insync.replicas=2\n" in properties and "zookeeper.connect=zookeeper1:2181," in properties


def test_the_broker_is_process_1_and_not_root(stack: Stack) -> None:
    assert "1000" == stack.broker(1).exec_run("id -u").output.decode().strip()
    assert b"kafkalike.cli.server_start" in stack.broker(1).exec_run("cat /proc/1/cmdline").output


def test_the_health_check_says_well(stack: Stack) -> None:
    done = stack.broker(2).exec_run("/opt/kafkalike/image/health.py")
    assert (0, b"well\n") == (done.exit_code, done.output)


def test_the_demonstration_goes_on(stack: Stack) -> None:
    def read() -> set[str]:
        return set(re.findall(r"message (\d+) of", stack.logs("demo-consumer")))

    wait_until(lambda: len(read()) >= 5, 90, "five messages")
    with zookeeper_client(stack.zookeeper) as zk:
        wait_until(
            lambda: any(int(zk.get(f"/consumers/demo/offsets/demo/{p}")[0]) > 0 for p in range(3)), 60, "an offset"
        )


def test_a_command_runs_in_the_image(stack: Stack) -> None:
    listed = stack.broker(1).exec_run("kafka-topics.sh --list --bootstrap-server broker2:9092")
    assert 0 == listed.exit_code and b"demo\n" in listed.output


def test_groups_are_kept_on_three_brokers(stack: Stack) -> None:
    partitions = stack.admin().list_topics("__consumer_offsets", timeout=30).topics["__consumer_offsets"].partitions
    assert {3} == {len(p.replicas) for p in partitions.values()}


def test_the_walk_holds(stack: Stack) -> None:
    walk(stack)
