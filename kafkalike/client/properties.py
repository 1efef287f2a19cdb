"""Java client properties as keyword arguments of Producer, Consumer and Admin; what they do not know is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def producer_options(properties: Mapping[str, str]) -> dict[str, Any]:
    """Java's property names as this producer's keyword arguments; properties that do not concern it are left out."""
    numbers = {
        "batch.size": "batch_size",
        "linger.ms": "linger_ms",
        "buffer.memory": "buffer_memory",
        "max.request.size": "max_request_size",
        "max.block.ms": "max_block_ms",
        "delivery.timeout.ms": "delivery_timeout_ms",
        "request.timeout.ms": "request_timeout_ms",
        "retry.backoff.ms": "retry_backoff_ms",
        "retries": "retries",
        "max.in.flight.requests.per.connection": "max_in_flight_requests_per_connection",
    }
    options: dict[str, Any] = {name: int(properties[key]) for key, name in numbers.items() if key in properties}
    if "acks" in properties:
        options["acks"] = -1 if properties["acks"] == "all" else int(properties["acks"])
    if "enable.idempotence" in properties:
        options["enable_idempotence"] = properties["enable.idempotence"].strip().lower() == "true"
    if "compression.type" in properties:
        options["compression_type"] = properties["compression.type"]
    if "client.id" in properties:
        options["client_id"] = properties["client.id"]
    partitioner = properties.get("partitioner.class", "")
    if partitioner:
        options["keyless"] = "roundrobin" if "RoundRobin" in partitioner else "sticky"
    return options


def consumer_options(properties: Mapping[str, str]) -> dict[str, Any]:
    """Java's property names as this consumer's keyword arguments; properties that do not concern it are left out."""
    numbers = {
        "session.timeout.ms": "session_timeout_ms",
        "heartbeat.interval.ms": "heartbeat_interval_ms",
        "max.poll.interval.ms": "max_poll_interval_ms",
        "max.poll.records": "max_poll_records",
        "fetch.max.wait.ms": "fetch_max_wait_ms",
        "fetch.min.bytes": "fetch_min_bytes",
        "fetch.max.bytes": "fetch_max_bytes",
        "max.partition.fetch.bytes": "max_partition_fetch_bytes",
        "auto.commit.interval.ms": "auto_commit_interval_ms",
        "metadata.max.age.ms": "metadata_max_age_ms",
        "request.timeout.ms": "request_timeout_ms",
    }
    texts = {
        "group.id": "group_id",
        "client.id": "client_id",
        "auto.offset.reset": "auto_offset_reset",
        "group.instance.id": "group_instance_id",
        "isolation.level": "isolation_level",
    }
    switches = {"enable.auto.commit": "enable_auto_commit", "allow.auto.create.topics": "allow_auto_create_topics"}
    options: dict[str, Any] = {name: int(properties[key]) for key, name in numbers.items() if key in properties}
    options |= {name: properties[key] for key, name in texts.items() if key in properties}
    options |= {n: properties[key].strip().lower() == "true" for key, n in switches.items() if key in properties}
    strategy = properties.get("partition.assignment.strategy", "")
    if strategy:
        options["strategies"] = ["roundrobin"] if "RoundRobin" in strategy.split(",")[0] else ["range"]
    return options


def admin_options(properties: Mapping[str, str]) -> dict[str, Any]:
    """Java's property names as Admin's keyword arguments."""
    numbers = {"request.timeout.ms": "request_timeout_ms", "default.api.timeout.ms": "default_api_timeout_ms"}
    options: dict[str, Any] = {name: int(properties[key]) for key, name in numbers.items() if key in properties}
    if "client.id" in properties:
        options["client_id"] = properties["client.id"]
    return options
