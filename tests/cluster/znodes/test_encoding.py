"""Garbage in a znode: what is made of it, and how often that is said."""

from __future__ import annotations

import logging

import pytest

from kafkalike.cluster.znodes import encoding
from kafkalike.cluster.znodes.configs import EntityConfig
from kafkalike.cluster.znodes.controller import ControllerEpoch
from kafkalike.cluster.znodes.encoding import Garbage, OncePerContent, decode_or_none
from kafkalike.cluster.znodes.topics import PartitionNode


def test_garbage_is_nothing_and_a_line_that_names_the_znode(caplog: pytest.LogCaptureFixture) -> None:
    assert decode_or_none(ControllerEpoch, b"many") is None
    assert decode_or_none(PartitionNode, b"[]", "t", 3) is None
    assert 7 == decode_or_none(ControllerEpoch, b"7")
    assert {"a": "b"} == decode_or_none(EntityConfig, EntityConfig.encode({"a": "b"}), "topics", "t")
    assert [
        "znode /controller_epoch is ignored: not a number: b'many'",
        "znode /brokers/topics/t/partitions/3/state is ignored: no JSON object: b'[]'",
    ] == caplog.messages


def test_the_same_garbage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    once = OncePerContent()
    encoding.log.addFilter(once)
    for data in (b"a", b"a", b"b", b"b", b"a"):
        decode_or_none(ControllerEpoch, data)
    encoding.log.warning("%s", Garbage("/x", "no"))
    encoding.log.warning("another line")
    encoding.log.warning("another line")
    encoding.log.removeFilter(once)
    assert ["b'a'", "b'b'", "b'a'", "no", "line", "line"] == [line.split()[-1] for line in caplog.messages]
    assert all(record.levelno == logging.WARNING for record in caplog.records)
