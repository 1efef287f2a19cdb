"""Addresses, and what Metadata answers say."""

import pytest

from kafkalike.client.cluster import Cluster, Node, parse_servers
from tests.client.brokers import Brokers


def test_servers_are_parsed_or_refused_in_kafkas_words() -> None:
    assert [Node(-1, "a", 1), Node(-2, "b.c", 9092)] == parse_servers("a:1, PLAINTEXT://b.c:9092,")
    assert [Node(-1, "::1", 9092)] == parse_servers("[::1]:9092")
    for wrong in ("a", "a:b", "a:²", "a:0", "a:70000", ":1"):
        with pytest.raises(ValueError, match="Invalid url in bootstrap.servers"):
            parse_servers(wrong)
    with pytest.raises(ValueError, match="No resolvable"):
        parse_servers(" ,")


def test_an_answer_about_some_topics_leaves_the_others_known() -> None:
    cluster, brokers = Cluster(), Brokers()
    cluster.update(brokers.metadata({"a": [0, 1]}), every_topic=True)
    cluster.update(brokers.metadata({"b": [0], "c": []}, controller_id=1), every_topic=False)
    assert {"a": 2, "b": 1} == cluster.partition_counts(["a", "b", "c", "d"])
    assert (1, [0, 1]) == (cluster.controller_id, [p.leader for p in cluster.topics["a"].partitions])
    cluster.update(brokers.metadata({"b": [0]}), every_topic=True)
    assert ["b"] == list(cluster.topics)
