"""Every API and version: read back what was written, and the same bytes and values as kio, another implementation."""

import dataclasses
import datetime
import enum
import subprocess
import sys
from importlib import import_module
from io import BytesIO
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType

from kafkalike.errors import Error
from kafkalike.protocol import messages
from kafkalike.protocol.fields import NEVER
from kafkalike.protocol.messages import api_versions
from kafkalike.protocol.schema import Message
from tests.hypothesis_examples import examples
from tests.protocol.samples import ALL, sample

# What a broker of Kafka 3.9 lists when it runs with ZooKeeper.
LISTED = [*range(52), 56, 57, 58, 60, 61, *range(65, 70)]


def test_the_directory_has_what_kafka_lists():
    modules = [messages.by_name(name) for name in messages.names()]
    assert sorted(module.API_KEY for module in modules) == LISTED
    for name, module in zip(messages.names(), modules, strict=True):
        assert name == "".join("_" + c.lower() if c.isupper() else c for c in module.NAME)[1:]
        assert messages.by_key(module.API_KEY) is module
        for message in (module.Request, module.Response):
            assert (message.versions, message.flexible) == (module.VERSIONS, module.FLEXIBLE)
            assert message.__doc__ is None or "TODO" not in message.__doc__
    with pytest.raises(KeyError):
        messages.by_key(52)


@examples(10)
@given(st.integers(0, 2**32))
def test_every_message_of_every_version_reads_back_as_it_was_written(seed):
    random = Random(seed)
    for message, version in ALL:
        value = sample(random, message, version)
        wire = value.encode(version)
        assert message.decode(version, wire) == value, (message.title, version)
        assert message.decode(version, memoryview(b"head" + wire), 4) == value


def kio_class(message: type[Message], version: int) -> type | None:
    """kio's class for the same message; None for what Kafka 4 dropped."""
    api = message.__module__.rpartition(".")[2]
    side = message.__name__.lower()
    try:
        module = import_module(f"kio.schema.{api}.v{version}.{side}")
    except ModuleNotFoundError:
        return None
    kind = EntityType[side]
    name = messages.by_name(api).NAME + message.__name__
    found = getattr(module, name)
    assert found.__type__ is kind
    return found


SHARED = [(message, version, other) for message, version in ALL if (other := kio_class(message, version))]


def test_kio_has_most_versions():
    assert len(SHARED) > 400


def plain(value):
    """kio's types as ours."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.timedelta):
        return round(value / datetime.timedelta(milliseconds=1))
    if isinstance(value, datetime.datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, UUID):
        return value.bytes
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def ours(value, version):
    """Our message as kio would show it: by field, in the fields of this version."""
    if isinstance(value, list):
        return [ours(item, version) for item in value]
    if hasattr(type(value), "fields"):
        shown = [field for field in type(value).fields if field.exists_in(version)]
        return {field.name: ours(getattr(value, field.name), version) for field in shown}
    return value


def same(mine, theirs, where=""):
    """Equal but for two habits of kio: it names times without their unit, and reads zero ids and dates as None."""
    if isinstance(mine, dict):
        assert isinstance(theirs, dict), where
        assert len(mine) == len(theirs), where
        for name, value in mine.items():
            other = name if name in theirs else name.removesuffix("_ms")
            same(value, theirs[other], f"{where}.{name}")
    elif isinstance(mine, list):
        assert isinstance(theirs, list), where
        assert len(mine) == len(theirs), where
        for one, other in zip(mine, theirs, strict=True):
            same(one, other, where)
    elif theirs is None:
        assert mine in (None, bytes(16), -1), where
    else:
        assert mine == theirs, where


@examples(10)
@given(st.integers(0, 2**32))
def test_kio_reads_the_same_values_and_writes_the_same_bytes(seed):
    random = Random(seed)
    for message, version, other in SHARED:
        value = sample(random, message, version)
        wire = value.encode(version)
        where = f"{message.title} v{version}"
        theirs, size = entity_reader(other)(wire, 0)
        assert size == len(wire), where
        same(ours(value, version), plain(theirs), where)
        out = BytesIO()
        entity_writer(other)(out, theirs)
        assert out.getvalue() == wire, where


def test_an_unsupported_version_of_api_versions_is_answered_in_version_0():
    body = api_versions.unsupported().encode(0)
    assert body == bytes.fromhex("002300000001001200000004")
    assert api_versions.Response.decode(0, body).error_code == Error.UNSUPPORTED_VERSION


def test_never_flexible():
    assert messages.by_name("sasl_handshake").FLEXIBLE == NEVER


def test_one_message_loads_no_other():
    """A command starts in a fraction of a second, so it must not pay for APIs that it does not use."""
    code = (
        "import sys; from kafkalike.protocol.messages import by_key, metadata; by_key(3);"
        "print([m for m in sys.modules if m.startswith('kafkalike.protocol.messages.')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "['kafkalike.protocol.messages.metadata']"
