"""What a typed value must fulfil beyond its type: one function for each kind of Kafka's validators.

A validator takes the key's name and the value and raises ConfigException in Kafka's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kafkalike.config.listeners import http_endpoints
from kafkalike.config.values import INT, ConfigException, invalid, typed

CONNECTIONS = "max.connections.per.ip.overrides"
Check = Callable[[str, Any], None]

# Every name that inter.broker.protocol.version and the versions of message formats may have.
# fmt: off
VERSIONS = (
    "0.8.0", "0.8.1", "0.8.2", "0.9.0", "0.10.0-IV0", "0.10.0-IV1", "0.10.1-IV0", "0.10.1-IV1", "0.10.1-IV2",
    "0.10.2-IV0", "0.11.0-IV0", "0.11.0-IV1", "0.11.0-IV2", "1.0-IV0", "1.1-IV0", "2.0-IV0", "2.0-IV1", "2.1-IV0",
    "2.1-IV1", "2.1-IV2", "2.2-IV0", "2.2-IV1", "2.3-IV0", "2.3-IV1", "2.4-IV0", "2.4-IV1", "2.5-IV0", "2.6-IV0",
    "2.7-IV0", "2.7-IV1", "2.7-IV2", "2.8-IV0", "2.8-IV1", "3.0-IV0", "3.0-IV1", "3.1-IV0", "3.2-IV0", "3.3-IV0",
    "3.3-IV1", "3.3-IV2", "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1",
)
# fmt: on


def at_least(low: float) -> Check:
    """Accepts numbers from `low` upwards."""

    def check(name: str, value: Any) -> None:
        if value < low:
            raise invalid(name, value, f"Value must be at least {low}")

    return check


def between(low: float, high: float) -> Check:
    """Accepts numbers from `low` to `high`, both included."""

    def check(name: str, value: Any) -> None:
        if value < low:
            raise invalid(name, value, f"Value must be at least {low}")
        if value > high:
            raise invalid(name, value, f"Value must be no more than {high}")

    return check


def gzip_level(name: str, value: int) -> None:
    """Accepts 1 to 9, and -1 for the default of gzip."""
    if value != -1 and not 1 <= value <= 9:
        raise invalid(name, value, "Value must be between 1 and 9 or equal to -1")


def compression_id(name: str, value: int) -> None:
    """Accepts the numbers of codecs in a batch's attributes."""
    if not 0 <= value <= 4:
        raise ConfigException(f"Unknown compression type id: {value}")


def one_of(*choices: str) -> Check:
    """Accepts exactly these words."""

    def check(name: str, value: Any) -> None:
        if value not in choices:
            raise invalid(name, value, f"String must be one of: {', '.join(choices)}")

    return check


def one_of_any_case(*choices: str) -> Check:
    """Accepts these words however they are written."""

    def check(name: str, value: str) -> None:
        if value.upper() not in choices:
            raise invalid(name, value, f"String must be one of (case insensitive): {', '.join(choices)}")

    return check


def list_of(*choices: str) -> Check:
    """Accepts lists of these words."""
    word = one_of(*choices)

    def check(name: str, value: list[str]) -> None:
        for each in value:
            word(name, each)

    return check


def not_empty(name: str, value: Any) -> None:
    """Accepts any text but the empty one."""
    if not value:
        raise invalid(name, value, "String must be non-empty")


def positive_or_minus_one(name: str, value: int) -> None:
    """Accepts -1, and numbers from 1 upwards."""
    if value < -1 or value == 0:
        raise invalid(name, value, "Value can be -1 or greater than 0")


def version(name: str, value: str) -> None:
    """Accepts what MetadataVersion.fromVersionString takes: a version, with or without its IV."""
    segments = re.sub(r"\.+$", "", value).split(".")
    count = 3 if value.startswith("0.") else 2
    wanted = value if len(segments) <= count else ".".join(segments[:count])
    # No release is called 4.0 yet.
    if wanted != "4.0" and any(wanted in (known, known.partition("-")[0]) for known in VERSIONS):
        return
    raise invalid(name, value, f"Version {value} is not a valid version")


def throttled(name: str, replicas: list[str]) -> None:
    """Accepts * or partition:broker, for the replicas whose copying is throttled."""
    if replicas != ["*"] and not all(re.fullmatch(r"(\d+:\d+)?", part, re.ASCII) for part in replicas):
        raise invalid(
            name,
            replicas,
            f"{name} must be the literal '*' or a list of replicas in the following format: "
            "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
        )


def connections_by_host(text: str) -> dict[str, int]:
    """host:count,... as in max.connections.per.ip.overrides; the host may be an IPv6 address."""
    counts = {}
    for part in re.split(r"\s*,\s*", text.rstrip(", \t")) if text.strip(", \t") else ():
        host, colon, count = part.rpartition(":")
        try:
            counts[host.strip()] = typed(CONNECTIONS, INT, count)
        except ConfigException:
            colon = ""
        if not colon:
            raise invalid(CONNECTIONS, text, f"{part!r} is not host:count")
    odd = [host for host in counts if not re.fullmatch(r"[0-9a-zA-Z\-%._:]*", host)]
    if odd:
        raise ConfigException(f"{CONNECTIONS} contains invalid addresses : {','.join(odd)}")
    return counts


def hosts_and_counts(name: str, text: str) -> None:
    """Accepts what `connections_by_host` reads."""
    connections_by_host(text)


def http_listeners(name: str, text: str) -> None:
    """Accepts what `http_endpoints` reads."""
    http_endpoints(text)
