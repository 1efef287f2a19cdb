"""One line of a table of configuration keys."""

from __future__ import annotations

from typing import Any, NamedTuple

from kafkalike.config.validators import Check
from kafkalike.config.values import typed


class Key(NamedTuple):
    """One configuration key: how to read it, what it is when absent, how it may be changed, what it does."""

    name: str
    type: str
    default: Any
    check: Check | None
    dynamic: str  # "C" may change at run time for the cluster or one broker, "B" for one broker, "" needs a restart
    sentence: str
    unused: str = ""  # why no code reads the key, when none does
    internal: bool = False  # Kafka shows it only when it is set

    @property
    def documentation(self) -> str:
        """The sentence, and whether the key has an effect."""
        return _documentation(self.sentence, self.unused)


class TopicKey(NamedTuple):
    """One topic key. Its default is the first synonym that the broker sets, else the last one's default."""

    name: str
    type: str
    synonyms: tuple[tuple[str, int], ...]  # each broker key with the factor from its unit to this key's
    default: Any  # the default of a key without synonyms
    check: Check | None
    sentence: str
    unused: str = ""  # why no code reads the key, when none does

    @property
    def documentation(self) -> str:
        """The sentence, and whether the key has an effect."""
        return _documentation(self.sentence, self.unused)


def _documentation(sentence: str, unused: str) -> str:
    return f"{sentence} No effect here: {unused}".strip() if unused else sentence


def parse(key: Key | TopicKey, text: str) -> Any:
    """The typed value of `text`; ConfigException in Kafka's words if it is not one."""
    value = typed(key.name, key.type, text)
    if key.check is not None:
        key.check(key.name, value)
    return value
