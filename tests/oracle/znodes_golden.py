"""The golden dumps: reading them, and the form in which two trees are compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "znodes"
# Different in every run.
VOLATILE = frozenset(("timestamp", "topic_id", "id", "port", "endpoints", "host"))
# Keys that Apache Kafka does not have.
OURS = frozenset(("former_isr", "suspect_isr", "unclean_shutdown"))

Form = tuple[Any, bool, int]


def dump(number: str) -> dict[str, Any]:
    """The dump whose file name begins with a number."""
    (file,) = HERE.glob(f"{number}-*.json")
    parsed: dict[str, Any] = json.loads(file.read_text())
    return parsed


def tree(nodes: list[dict[str, Any]]) -> dict[str, Form]:
    """Path -> what is compared of a node."""
    return {node["path"]: form(node["data"], node["ephemeral"], node["dataVersion"]) for node in nodes}


def form(data: str | bytes | None, ephemeral: bool, version: int) -> Form:
    """Parsed data without what is volatile, whether it is an ephemeral, and its version."""
    text = data.decode() if isinstance(data, bytes) else data
    return parsed(text), ephemeral, version


def parsed(text: str | None) -> Any:
    """JSON as an object, all else as it is."""
    if not text:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return _stable(value) if isinstance(value, dict) else value


def _stable(value: dict[str, Any]) -> dict[str, Any]:
    return {key: "*" if key in VOLATILE else item for key, item in value.items() if key not in OURS}
