"""JSON and other text in znodes, read with distrust: what cannot be meant raises `Garbage`, which names the znode."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any


class Garbage(ValueError):
    """A znode holds what its format does not allow."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"znode {path} is ignored: {why}")


def encode_uuid(uuid: bytes) -> str:
    """16 bytes as Kafka prints them: 22 characters of URL-safe base64."""
    return base64.urlsafe_b64encode(uuid).decode().rstrip("=")


def decode_uuid(text: str) -> bytes:
    """The opposite; ValueError when it is no UUID."""
    uuid = base64.urlsafe_b64decode(text + "==")
    if len(uuid) != 16 or not text.isascii():
        raise ValueError(f"not a UUID: {text!r}")
    return uuid


def to_json(node: Mapping[str, Any]) -> bytes:
    return json.dumps(node, separators=(",", ":"), ensure_ascii=False).encode()


def json_object(path: str, data: bytes | None) -> dict[str, Any]:
    try:
        node = json.loads(data or b"")
    except (ValueError, RecursionError):
        raise Garbage(path, f"no JSON: {shortened(data)}") from None
    if not isinstance(node, dict):
        raise Garbage(path, f"no JSON object: {shortened(data)}")
    return node


def field_of(node: Mapping[str, Any], path: str, key: str, kind: type) -> Any:
    value = node.get(key)
    if not (is_int32(value) if kind is int else isinstance(value, kind)):
        raise Garbage(path, f"{key} is {shortened(value)}")
    return value


def is_int32(value: Any) -> bool:
    """Every number in a znode has to fit into a field of the protocol."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


def broker_ids(path: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(map(is_int32, value)):
        raise Garbage(path, f"no list of broker ids: {shortened(value)}")
    return tuple(value)


def shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def numbers(names: Iterable[str]) -> list[int]:
    """Those of the names that a broker or a partition can have, in order."""
    decimals = [name for name in names if name.isascii() and name.isdigit() and len(name) <= 10]
    return sorted(number for number in map(int, decimals) if is_int32(number))
