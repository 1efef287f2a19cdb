"""What a controller tells brokers: Apache's bytes through our codec, and ours compared with it, field by field."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from kafkalike.protocol.framing import read_request_header, request_header
from kafkalike.protocol.messages import by_key
from tests.mixed.cluster import Mixed
from tests.mixed.recording_broker import compared, record, save, saved

CAPTURES = Path(__file__).parent.parent / "oracle" / "control"
# No replica is taken out of an ISR because it does not fetch: the brokers of the story never do.
SETTINGS = {"replica_lag_time_max_ms": 600_000, "broker_rack": "r1"}


def test_apaches_bytes_are_understood_and_made_again() -> None:
    found: Counter[str] = Counter()
    for told in saved(CAPTURES):
        key, version, correlation, client, pos = read_request_header(told.frame)
        module = by_key(key)
        request = module.Request.decode(version, told.frame, pos)
        assert told.frame == request_header(key, version, correlation, client) + request.encode(version)
        found[f"{module.NAME} {version}"] += 1
    assert {"LeaderAndIsr 7": 29, "StopReplica 4": 10, "UpdateMetadata 8": 77} == found


@pytest.mark.timeout(240)
def test_our_controller_tells_the_same(new_cluster: Callable[..., Mixed]) -> None:
    expected, actual = compared(saved(CAPTURES)), compared(record(new_cluster(**SETTINGS), "kafkalike"))
    assert expected.keys() == actual.keys()
    for where in expected:
        assert expected[where] == actual[where], where


@pytest.mark.mixed
@pytest.mark.timeout(300)
def test_the_captures_are_what_apache_sends(new_cluster: Callable[..., Mixed]) -> None:
    """With CAPTURE=1 in the environment it writes them anew."""
    told = record(new_cluster(**SETTINGS), "apache")
    if os.environ.get("CAPTURE"):
        save(CAPTURES, told)
    expected, actual = compared(saved(CAPTURES)), compared(told)
    assert expected.keys() == actual.keys()
    for where in expected:
        assert expected[where] == actual[where], where
