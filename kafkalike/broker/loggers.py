"""The broker's loggers and their levels while it runs: the resource type BROKER_LOGGER (KIP-412).

Levels are not kept: a restart begins with those of the start. A logger without a level of its own has its parent's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from kafkalike.errors import Error, KafkaError

log = logging.getLogger("kafka.server.logger.RuntimeLoggerManager")

OURS = ("kafka", "kafkalike", "zk")
ROOT = "root"
SET, DELETE, APPEND, SUBTRACT = range(4)
LEVELS = {
    "DEBUG": logging.DEBUG,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "INFO": logging.INFO,
    "TRACE": 5,  # Python has none
    "WARN": logging.WARNING,
}
NAMES = {number: name for name, number in LEVELS.items()}


def levels() -> dict[str, str]:
    """Level by logger, the root's first: each as it applies, its own or inherited."""
    found = {ROOT: _name(logging.getLogger().getEffectiveLevel())}
    for name in sorted(logging.root.manager.loggerDict):
        if name.split(".")[0] in OURS:
            found[name] = _name(logging.getLogger(name).getEffectiveLevel())
    return found


def alter(operations: Sequence[Any], validate_only: bool) -> None:
    """Sets levels, or takes them away; none, when one operation is refused with KafkaError."""
    known = levels()
    for each in operations:
        _check(each, known)
    for each in () if validate_only else operations:
        logger = logging.getLogger(None if each.name == ROOT else each.name)
        if each.config_operation == SET:
            logger.setLevel(LEVELS[each.value])
            log.warning("Updated the log level of %s to %s", each.name, each.value)
        else:
            logger.setLevel(logging.NOTSET)
            log.warning("Unset the log level of %s", each.name)


def _check(operation: Any, known: dict[str, str]) -> None:
    name, kind = operation.name, operation.config_operation
    if kind in (APPEND, SUBTRACT):
        word = "APPEND" if kind == APPEND else "SUBTRACT"
        raise KafkaError(Error.INVALID_REQUEST, f"{word} operation is not allowed for the BROKER_LOGGER resource")
    if kind not in (SET, DELETE):
        why = f"Unknown operation type {kind} is not allowed for the BROKER_LOGGER resource"
        raise KafkaError(Error.INVALID_REQUEST, why)
    if name not in known:
        raise KafkaError(Error.INVALID_CONFIG, f"Logger {name} does not exist!")
    if kind == DELETE and name == ROOT:
        raise KafkaError(Error.INVALID_REQUEST, f"Removing the log level of the {ROOT} logger is not allowed")
    if kind == SET and operation.value not in LEVELS:
        raise KafkaError(
            Error.INVALID_CONFIG,
            f"Cannot set the log level of {name} to {operation.value} as it is not a supported log level. Valid log "
            f"levels are {', '.join(LEVELS)}",
        )


def _name(level: int) -> str:
    """Kafka's name of a level, or of the next below: somebody's library may have a number of its own."""
    return NAMES.get(level) or NAMES[max((known for known in NAMES if known < level), default=min(NAMES))]
