"""Listeners as Kafka writes them: NAME://host:port, separated by commas, each with a security protocol; and those of
metrics.listeners, http://host:port.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from kafkalike.config.values import ConfigException, integer, invalid

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_HOST = re.compile(r"\[?[0-9a-zA-Z%._:-]*\]?")


class Endpoint(NamedTuple):
    """One listener: its name, protocol and address. Port 0 means that the system chooses."""

    listener: str
    security_protocol: str
    host: str
    port: int


def security_protocols(text: str) -> dict[str, str]:
    """The security protocol by listener, from listener.security.protocol.map."""
    found = {}
    for part in text.split(","):
        if part.strip():
            name, _, protocol = part.rpartition(":")
            if protocol.strip() not in SECURITY_PROTOCOLS:
                raise ConfigException(
                    f"Invalid security protocol `{protocol.strip()}` defined in listener.security.protocol.map"
                )
            found[name.strip().upper()] = protocol.strip()
    return found


def endpoints(key: str, text: str, protocols: Mapping[str, str]) -> list[Endpoint]:
    """The listeners in the value of `key`, which is listeners or advertised.listeners."""
    try:
        found = [_endpoint(part.strip(), protocols) for part in text.split(",") if part.strip()]
    except ConfigException as problem:
        raise ConfigException(f"Error creating broker listeners from '{text}': {problem}") from None
    names = [endpoint.listener for endpoint in found]
    ports = [endpoint.port for endpoint in found if endpoint.port]
    if len(set(names)) != len(names):
        raise ConfigException(f"Each listener must have a different name, {key}: {text}")
    if key == "listeners" and len(set(ports)) != len(ports):
        raise ConfigException(f"Each listener must have a different port, {key}: {text}")
    return found


def _endpoint(part: str, protocols: Mapping[str, str]) -> Endpoint:
    name, separator, address = part.partition("://")
    host, _, port = address.rpartition(":")
    number = integer(port) if port.isascii() and port.isdigit() else None
    if not separator or not _HOST.fullmatch(host) or number is None or number > 65535:
        raise ConfigException(f"Unable to parse {part} to a broker endpoint")
    name = name.upper()
    if name not in protocols:
        raise ConfigException(f"No security protocol defined for listener {name}")
    return Endpoint(name, protocols[name], host.removeprefix("[").removesuffix("]"), number)


class HttpEndpoint(NamedTuple):
    """Where an HTTP server listens. Port 0 means that the system chooses."""

    host: str
    port: int


def http_endpoints(text: str) -> list[HttpEndpoint]:
    """http://host:port,... as in metrics.listeners; the host may be an IPv6 address in brackets, or empty for all."""
    found = []
    for part in re.split(r"\s*,\s*", text.strip(", \t")) if text.strip(", \t") else ():
        parts = re.fullmatch(r"http://(\[[0-9a-fA-F:.%]+\]|[0-9a-zA-Z._-]*):([0-9]{1,5})/?", part, re.IGNORECASE)
        if parts is None or int(parts[2]) > 65535:
            raise invalid("metrics.listeners", text, f"{part!r} is not http://host:port")
        found.append(HttpEndpoint(parts[1].strip("[]"), int(parts[2])))
    if len({each for each in found if each.port}) != len([each for each in found if each.port]):
        raise invalid("metrics.listeners", text, "Each listener must have a different address")
    return found
