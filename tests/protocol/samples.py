"""Random messages of any API and version, from a seed."""

from random import Random
from typing import Any

from kafkalike.errors import Error
from kafkalike.protocol import messages
from kafkalike.protocol.fields import Field
from kafkalike.protocol.schema import Message, Struct

ALL = [
    (message, version)
    for name in messages.names()
    for message in (messages.by_name(name).Request, messages.by_name(name).Response)
    for version in range(message.versions[0], message.versions[1] + 1)
]

LIMITS = {"int8": 7, "int16": 15, "uint16": 16, "int32": 31, "uint32": 32, "int64": 63}
TEXTS = ["", "a", "topic-1", "grün", "x" * 126, "y" * 127, "z" * 300]


def sample(random: Random, message: type[Message], version: int) -> Any:
    """A message with values in the fields that the version has, and defaults elsewhere."""
    return _struct(random, message, version)


def _struct(random: Random, cls: type[Struct], version: int) -> Any:
    return cls(**{f.name: _field(random, f, version) for f in cls.fields if f.exists_in(version)})


def _field(random: Random, field: Field, version: int) -> Any:
    if field.nullable_in(version) and random.random() < 0.25:
        return None
    if not field.many:
        return _value(random, field, version)
    most = 3 if field.is_struct or random.random() < 0.95 else 200
    return [_value(random, field, version) for _ in range(random.randint(0, most))]


def _value(random: Random, field: Field, version: int) -> Any:
    kind = field.of.name if not field.is_struct else "struct"
    if kind == "struct":
        return _struct(random, field.of, version)
    if kind == "string":
        return random.choice(TEXTS)
    if kind in ("binary", "records"):
        return random.randbytes(random.choice([0, 1, 10, 127, 128, 1000]))
    if kind == "uuid":
        return random.randbytes(16)
    if kind == "boolean":
        return random.random() < 0.5
    if kind == "float64":
        return random.random()
    if field.name.endswith("error_code"):
        return int(random.choice(list(Error)))
    bits = LIMITS[kind]
    if not field.many and random.random() < 0.2:
        return field.default
    # Times stay within what a calendar can hold.
    if field.name.endswith("_ms") or "timestamp" in field.name:
        return random.randrange(2 ** min(bits, 40))
    return random.choice([0, 1, random.randrange(128), random.randrange(2**bits), 2**bits - 1])
