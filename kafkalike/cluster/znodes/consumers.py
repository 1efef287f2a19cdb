"""The tree under /consumers, where offsets live: paths, names, what stands in the nodes. Pure.

    /consumers/G/offsets/T/P         the next offset to read, ASCII decimal; its mtime is the time of the commit
    /consumers/G/offsets-extra/T/P   JSON: metadata string and leader epoch, and the offset they were committed with
    /consumers/G/ids                 parent of the ephemerals of classic consumers; a modern group has it too
    /consumers/G/owners/T            parent of the owners of T's partitions; old tools find a group's topics here

Any program may write the first kind of node, so the second is believed only as far as its offset agrees.

Names of groups and topics stand for themselves, except for what ZooKeeper does not take. "/", control and other
refused characters are percent-encoded, and so is "%" before two hex digits, so that each name has one path and each
path one name. "." and ".." become "%2E" and "%2E%2E"; the empty name is "%", and the name "%" therefore "%25".
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import NamedTuple

from kafkalike.cluster.znodes.encoding import Garbage, shortened
from zk.paths import REFUSED_CHARACTERS

ROOT = "/consumers"

# What no name in a path may hold, and an ambiguous "%".
_ENCODED = re.compile(f"[/{REFUSED_CHARACTERS}]|%(?=[0-9A-Fa-f]{{2}})")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_SPECIAL = {"": "%", "%": "%25", ".": "%2E", "..": "%2E%2E"}
_DECIMAL = re.compile(rb"\s*-?[0-9]{1,19}\s*")


class GroupNode:
    """Everything about a group is below it."""

    @staticmethod
    def path(group: str) -> str:
        """/consumers/G"""
        return f"{ROOT}/{encode_name(group)}"

    @staticmethod
    def directory() -> str:
        """The parent of all groups."""
        return ROOT


class ConsumerIdNode:
    """A classic consumer that is alive: the consumer itself writes what it holds."""

    @staticmethod
    def directory(group: str) -> str:
        """The parent of those of one group."""
        return f"{ROOT}/{encode_name(group)}/ids"


class OwnerNode:
    """The classic consumer that has a partition: the consumer itself writes what it holds."""

    @staticmethod
    def directory(group: str, topic: str | None = None) -> str:
        """The parent of the owners of a topic's partitions, or of the topics."""
        above = f"{ROOT}/{encode_name(group)}/owners"
        return above if topic is None else f"{above}/{encode_name(topic)}"


class OffsetNode:
    """One committed offset."""

    @staticmethod
    def path(group: str, topic: str, partition: int) -> str:
        """/consumers/G/offsets/T/P"""
        return f"{ROOT}/{encode_name(group)}/offsets/{encode_name(topic)}/{partition}"

    @staticmethod
    def directory(group: str, topic: str | None = None) -> str:
        """The parent of a topic's offsets, or of the topics."""
        above = f"{ROOT}/{encode_name(group)}/offsets"
        return above if topic is None else f"{above}/{encode_name(topic)}"

    @classmethod
    def decode(cls, data: bytes | None, group: str, topic: str, partition: int) -> int:
        """The offset: a decimal number of 64 bits."""
        offset = int(data) if data is not None and _DECIMAL.fullmatch(data) else None
        if offset is None or not -(2**63) <= offset < 2**63:
            raise Garbage(cls.path(group, topic, partition), f"no offset: {shortened(data)}")
        return offset


class OffsetExtraNode(NamedTuple):
    """What a commit says besides the offset, and the offset that it belongs to."""

    offset: int
    leader_epoch: int = -1
    metadata: str = ""

    @staticmethod
    def path(group: str, topic: str, partition: int) -> str:
        """/consumers/G/offsets-extra/T/P"""
        return f"{ROOT}/{encode_name(group)}/offsets-extra/{encode_name(topic)}/{partition}"

    @staticmethod
    def directory(group: str, topic: str | None = None) -> str:
        """The parent of a topic's additions, or of the topics."""
        above = f"{ROOT}/{encode_name(group)}/offsets-extra"
        return above if topic is None else f"{above}/{encode_name(topic)}"

    def encode(self) -> bytes:
        """JSON."""
        if not self.metadata and self.leader_epoch >= 0:
            # What Java consumers send with every commit.
            return b'{"version":1,"offset":%d,"leader_epoch":%d}' % (self.offset, self.leader_epoch)
        fields: dict[str, object] = {"version": 1, "offset": self.offset}
        if self.leader_epoch >= 0:
            fields["leader_epoch"] = self.leader_epoch
        if self.metadata:
            fields["metadata"] = self.metadata
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes | None) -> OffsetExtraNode | None:
        """None if it cannot be understood: it is an addition, never a reason to refuse the offset."""
        try:
            fields = json.loads(data or b"")
            extra = cls(fields["offset"], fields.get("leader_epoch", -1), fields.get("metadata", ""))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        types = type(extra.offset), type(extra.leader_epoch), type(extra.metadata)
        return extra if types == (int, int, str) else None


@lru_cache(maxsize=10_000)
def encode_name(name: str) -> str:
    """The name as one element of a path."""
    special = _SPECIAL.get(name)
    if special is not None:
        return special
    return _ENCODED.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode(errors="replace")), name)


def decode_name(element: str) -> str:
    """The name that an element of a path stands for; an element that we would not have written stands for itself."""
    if element == "%":
        return ""
    try:
        return _ESCAPES.sub(lambda match: bytes.fromhex(match[0].replace("%", "")).decode(), element)
    except UnicodeDecodeError:
        return element
