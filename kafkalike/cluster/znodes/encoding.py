"""JSON and other text in znodes, read with distrust: what cannot be meant raises `Garbage`, which names the znode.

Who only wants to know what a znode says calls `decode_or_none`, which logs garbage and goes on as if the znode had said
nothing. Who has to answer somebody, or would overwrite the znode, calls the class's own `decode`.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar, TypeVarTuple, cast

log = logging.getLogger(__name__)

Key = TypeVarTuple("Key")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Garbage(ValueError):
    """A znode holds what its format does not allow."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"znode {path} is ignored: {why}")
        self.path = path


class ReadableZnode(Protocol[T_co, *Key]):
    """A class of znodes. The key says which of them is meant: a broker's id, say, or a topic and a partition."""

    def path(self, *key: *Key) -> str:
        """The znode's path."""
        ...

    def decode(self, data: bytes | None, /, *key: *Key) -> T_co:
        """The value of a znode's data; raises `Garbage`."""
        ...


def decode_or_none(znode: ReadableZnode[T, *Key], data: bytes | None, *key: *Key) -> T | None:
    """What a znode's data say; None, and a line in the log, when that is garbage."""
    try:
        return znode.decode(data, *key)
    except Garbage as garbage:
        log.warning("%s", garbage)
        return None


class OncePerContent(logging.Filter):
    """A logging filter: a line about garbage is not repeated while the znode holds the same data."""

    MOST = 10_000

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, str] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the log line is new."""
        garbage = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if not isinstance(garbage, Garbage):
            return True
        text = str(garbage)
        if self._said.get(garbage.path) == text:
            return False
        if len(self._said) >= self.MOST:
            self._said.clear()
        self._said[garbage.path] = text
        return True


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
    """JSON as Apache Kafka writes it: without spaces, and with characters unescaped."""
    return json.dumps(node, separators=(",", ":"), ensure_ascii=False).encode()


def json_object(path: str, data: bytes | None) -> dict[str, Any]:
    """The object that a znode holds."""
    try:
        node = json.loads(data or b"")
    except (ValueError, RecursionError):
        raise Garbage(path, f"no JSON: {shortened(data)}") from None
    if not isinstance(node, dict):
        raise Garbage(path, f"no JSON object: {shortened(data)}")
    return node


def field_of(node: Mapping[str, Any], path: str, key: str, kind: type[T]) -> T:
    """A field that has to be there, and of this type."""
    value = node.get(key)
    if not (is_int32(value) if kind is int else isinstance(value, kind)):
        raise Garbage(path, f"{key} is {shortened(value)}")
    return cast(T, value)


def is_int32(value: Any) -> bool:
    """Every number in a znode has to fit into a field of the protocol."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


def broker_ids(path: str, value: Any) -> tuple[int, ...]:
    """A list of broker ids, as of replicas."""
    if not isinstance(value, list) or not all(map(is_int32, value)):
        raise Garbage(path, f"no list of broker ids: {shortened(value)}")
    return tuple(value)


def shortened(value: Any) -> str:
    """A znode's data, cut for a log line."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def numbers(names: Iterable[str]) -> list[int]:
    """Those of the names that are numbers of a broker or a partition, in order."""
    decimals = [name for name in names if name.isascii() and name.isdigit() and len(name) <= 10]
    return sorted(number for number in map(int, decimals) if is_int32(number))
