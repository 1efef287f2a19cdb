"""The broker's loggers and their levels, as Kafka shows them: the resource type BROKER_LOGGER (KIP-412)."""

from __future__ import annotations

import logging

OURS = ("kafka", "kafkalike", "zk")
ROOT = "root"
NAMES = {logging.WARNING: "WARN", logging.CRITICAL: "FATAL"}  # where Kafka's words differ from Python's


def levels() -> dict[str, str]:
    """Level by logger, the root's first: each as it applies, its own or inherited."""
    found = {ROOT: _name(logging.getLogger().getEffectiveLevel())}
    for name in sorted(logging.root.manager.loggerDict):
        if name.split(".")[0] in OURS:
            found[name] = _name(logging.getLogger(name).getEffectiveLevel())
    return found


def _name(level: int) -> str:
    return NAMES.get(level) or logging.getLevelName(level)
