"""Which topic names are legal, which are internal, and which of two could not be told apart in the names of metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable

GROUP_METADATA = "__consumer_offsets"
TRANSACTION_STATE = "__transaction_state"
SHARE_GROUP_STATE = "__share_group_state"
CLUSTER_METADATA = "__cluster_metadata"
INTERNAL_TOPICS = frozenset((GROUP_METADATA, TRANSACTION_STATE, SHARE_GROUP_STATE))
MAX_LENGTH = 249
_LEGAL = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)


def illegal(name: str) -> str | None:
    """Why a name cannot be a topic's, in Kafka's words; None when it can."""
    reason = None
    if not name:
        reason = "the empty string is not allowed"
    elif name in (".", ".."):
        reason = f"'{name}' is not allowed"
    elif len(name) > MAX_LENGTH:
        reason = f"the length of '{name}' is longer than the max allowed length {MAX_LENGTH}"
    elif not _LEGAL.fullmatch(name):
        reason = f"'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    return f"Topic name is invalid: {reason}" if reason else None


def may_collide(name: str) -> bool:
    """Whether another name could differ from this one in `.` and `_` only."""
    return "." in name or "_" in name


def colliding(name: str, others: Iterable[str]) -> list[str]:
    """Those of the other topics whose names collide with this one."""
    plain = name.replace(".", "_")
    return sorted(other for other in others if other != name and other.replace(".", "_") == plain)
