"""Every znode that real Kafka wrote is read, and written again as it was; garbage is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.cluster.znodes.brokers import BrokerNode, Endpoint
from kafkalike.cluster.znodes.cluster import ClusterId, FeatureNode
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.controller import ControllerEpoch, ControllerNode
from kafkalike.cluster.znodes.encoding import Garbage, decode_uuid, encode_uuid, numbers
from kafkalike.cluster.znodes.producer_ids import ProducerIdBlock
from kafkalike.cluster.znodes.topics import Assignment, PartitionNode, TopicNode
from tests.oracle.znodes_golden import HERE

DECODERS: dict[str, Callable[[str, bytes | None], Any]] = {
    "broker": lambda path, data: BrokerNode.decode(data, int(path.rsplit("/", 1)[1])),
    "topic": lambda path, data: TopicNode.decode(data, path.split("/")[3]),
    "state": lambda path, data: PartitionNode.decode(data, path.split("/")[3], int(path.split("/")[5])),
    "config": lambda path, data: EntityConfig.decode(data, *path.split("/")[2:4]),
    "controller": lambda path, data: ControllerNode.decode(data),
    "epoch": lambda path, data: ControllerEpoch.decode(data),
    "cluster": lambda path, data: ClusterId.decode(data),
    "block": lambda path, data: ProducerIdBlock.decode(data),
}


def kind(path: str) -> str | None:
    parts = path.strip("/").split("/")
    match parts:
        case ["brokers", "ids", _]:
            return "broker"
        case ["brokers", "topics", _]:
            return "topic"
        case ["brokers", "topics", _, "partitions", _, "state"]:
            return "state"
        case ["config", "topics" | "brokers" | "clients" | "ips", _]:
            return "config"
        case ["controller"]:
            return "controller"
        case ["controller_epoch"]:
            return "epoch"
        case ["cluster", "id"]:
            return "cluster"
        case ["latest_producer_id_block"]:
            return "block"
    return None


def golden() -> list[tuple[str, str]]:
    """Every (path, data) in any dump."""
    seen = set()
    for file in sorted(HERE.glob("*.json")):
        dump = json.loads(file.read_text())
        for part in ("created", "changed", "znodes", "timeline"):
            for node in dump.get(part, ()):
                if kind(node["path"]) and node.get("data"):
                    seen.add((node["path"], node["data"]))
    return sorted(seen)


def again(path: str, value: Any) -> bytes:
    """What we would write for a value that was read."""
    match kind(path):
        case "config":
            return EntityConfig.encode(value)
        case "epoch":
            return ControllerEpoch.encode(value)
        case "cluster":
            return ClusterId.encode(value)
    return value.encode()


def test_there_are_many_examples() -> None:
    assert 90 < len(golden())


@pytest.mark.parametrize(("path", "data"), golden())
def test_what_kafka_wrote_is_written_again_as_it_was(path: str, data: str) -> None:
    value = DECODERS[kind(path)](path, data.encode())  # type: ignore[index]
    expected, actual = json.loads(data), json.loads(again(path, value))
    if kind(path) == "controller":
        del expected["timestamp"], actual["timestamp"]
    if kind(path) == "broker" and expected["version"] == 4:
        # Written by a broker that speaks the protocol of 2.6: read, never written here.
        expected |= {"version": 5, "features": {}}
    if kind(path) == "topic" and expected["version"] < 3:
        expected["version"] = 3
    assert expected == actual


def test_the_feature_node_is_kafkas() -> None:
    assert {"features": {}, "version": 2, "status": 1} == json.loads(FeatureNode.encode())
    assert FeatureNode.is_current(FeatureNode.encode())
    for other in (None, b"", b"{}", b'{"features":{},"version":1,"status":0}', b"[]"):
        assert not FeatureNode.is_current(other)


def test_an_old_broker_has_one_plaintext_endpoint() -> None:
    node = BrokerNode.decode(b'{"version":1,"host":"h","port":9092,"jmx_port":-1,"timestamp":"1"}', 1)
    assert (Endpoint("PLAINTEXT", "PLAINTEXT", "h", 9092),) == node.endpoints


def test_without_a_map_a_listener_is_named_as_its_protocol() -> None:
    node = BrokerNode.decode(b'{"version":2,"host":"h","port":1,"endpoints":["SSL://[::1]:2"]}', 1)
    assert (Endpoint("SSL", "SSL", "::1", 2),) == node.endpoints


def test_host_and_port_are_those_of_the_first_plaintext_endpoint() -> None:
    endpoints = (Endpoint("S", "SSL", "s", 1), Endpoint("A", "PLAINTEXT", "a", 2), Endpoint("B", "PLAINTEXT", "b", 3))
    node = json.loads(BrokerNode(endpoints).encode())
    assert ("a", 2) == (node["host"], node["port"])
    node = json.loads(BrokerNode(endpoints[:1]).encode())
    assert (None, -1) == (node["host"], node["port"])


def test_keys_of_ours_are_kept() -> None:
    node = BrokerNode((Endpoint("A", "PLAINTEXT", "a", 2),), extra={"ours": {"x": 1}})
    assert {"ours": {"x": 1}} == BrokerNode.decode(node.encode(), 1).extra


def test_a_reassignment_is_read_and_written() -> None:
    node = TopicNode({0: Assignment((3, 2, 1), (3,), (1,)), 1: Assignment((2, 1))}, bytes(range(16)))
    assert node == TopicNode.decode(node.encode(), "t")
    assert node.partitions[0].being_reassigned and not node.partitions[1].being_reassigned
    assert Assignment((3, 2), (3,), ()) == node.partitions[0].without(1)


def test_producer_id_blocks_follow_each_other() -> None:
    assert ProducerIdBlock.decode(None) is None
    first = ProducerIdBlock.after(None, 1)
    assert (0, 999) == (first.first, first.last)
    assert ProducerIdBlock(2, 1000, 1999) == ProducerIdBlock.after(first, 2)


@given(st.binary(min_size=16, max_size=16))
def test_uuids_are_22_characters(uuid: bytes) -> None:
    assert 22 == len(encode_uuid(uuid))
    assert uuid == decode_uuid(encode_uuid(uuid))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
# fmt: off
KEYS = [
    "version", "endpoints", "host", "port", "listener_security_protocol_map", "partitions", "topic_id",
    "adding_replicas", "leader", "leader_epoch", "isr", "controller_epoch", "config", "brokerid", "id", "broker",
    "block_start", "block_end", "rack", "timestamp",
]
# fmt: on
SHAPED = st.dictionaries(st.sampled_from(KEYS), JSON | st.just(5) | st.just({"0": [1]}) | st.just([1]), max_size=8)


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
@given(data=st.none() | st.binary(max_size=40) | (JSON | SHAPED).map(lambda value: json.dumps(value).encode()))
def test_garbage_is_one_kind_of_error(decode: Callable[[str, bytes | None], Any], data: bytes | None) -> None:
    path = "/brokers/topics/t/partitions/0/1" if decode is DECODERS["state"] else "/brokers/topics/1"
    try:
        decode(path, data)
    except Garbage as error:
        assert "\n" not in str(error)
        assert 300 > len(str(error))


def test_numbers_in_znodes_fit_into_the_protocols_fields() -> None:
    huge, path = 2**31, "/brokers/topics/t/partitions/0/state"
    good = {"leader": 1, "leader_epoch": 2, "isr": [1], "controller_epoch": 3, "version": 1}
    assert PartitionNode(1, 2, (1,), 3) == PartitionNode.decode(json.dumps(good).encode(), "t", 0)
    for key, value in (("leader", huge), ("leader_epoch", -huge - 1), ("isr", [huge]), ("controller_epoch", huge)):
        with pytest.raises(Garbage, match=path):
            PartitionNode.decode(json.dumps(good | {key: value}).encode(), "t", 0)
    assert 2**31 - 1 == ControllerEpoch.decode(b"2147483647")
    for text in (b"2147483648", b"9" * 5000):
        with pytest.raises(Garbage):
            ControllerEpoch.decode(text)
    block = {"broker": 1, "block_start": "0", "block_end": "9" * 19}
    with pytest.raises(Garbage):
        ProducerIdBlock.decode(json.dumps(block).encode())
    assert [0, 7, 12, 2147483647] == numbers(
        ["12", "7", "0", "2147483648", "9" * 5000, "x", "-1", "", "٣", "2147483647"]
    )
