"""What a broker has for its handlers beside the parts that it is built of."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

from kafkalike.broker.broker import Broker
from kafkalike.config import broker_config


def broker(rng: random.Random, **settings: str) -> Broker:
    config, _ = broker_config({"zookeeper.connect": "z"} | settings)
    parts: dict[str, Any] = dict.fromkeys(Broker.__dataclass_fields__)
    for made in ("fetch_sessions", "fetch_max_bytes", "rack_aware", "follower_epochs"):
        del parts[made]
    replication = SimpleNamespace(replicas="replicas", partitions="partitions", purgatory="purgatory")
    return Broker(**parts | {"config": config, "rng": rng, "replication": replication})


def test_what_fetch_needs_of_the_configuration_is_read_once() -> None:
    plain = broker(random.Random(1))
    assert (57671680, False) == (plain.fetch_max_bytes, plain.rack_aware)
    selector = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
    other = broker(random.Random(1), **{"fetch.max.bytes": "2000", "replica.selector.class": selector})
    assert (2000, True) == (other.fetch_max_bytes, other.rack_aware)


def test_the_ids_of_fetch_sessions_begin_where_the_source_of_random_numbers_says() -> None:
    first = [broker(random.Random(seed)).fetch_sessions._next_id for seed in (1, 1, 2)]
    assert first[0] == first[1] != first[2]
