"""What the generated readers and writers do with bytes that are wrong: ProtocolError, and no memory for promises."""

import tracemalloc
from contextlib import suppress
from random import Random
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.errors import ProtocolError
from kafkalike.protocol.compiler import reader_source, writer_source
from kafkalike.protocol.messages import fetch, heartbeat, metadata
from kafkalike.protocol.primitives import write_uvarint
from tests.hypothesis_examples import examples
from tests.protocol.samples import ALL, sample


@examples(10)
@given(st.integers(0, 2**32))
def test_damaged_bytes_only_ever_raise_protocol_error(seed):
    random = Random(seed)
    for message, version in ALL:
        wire = sample(random, message, version).encode(version)
        for damaged in _damage(random, wire):
            with suppress(ProtocolError):
                message.decode(version, damaged).encode(version)


def _damage(random, wire):
    at = random.randint(0, len(wire))
    yield wire[:at]
    yield (
        wire[:at] + random.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", write_uvarint(2**32 - 1)]) + wire[at + 4 :]
    )
    yield wire[:at] + random.randbytes(random.randint(1, 8)) + wire[at:]
    flipped = bytearray(wire)
    for _ in range(random.randint(1, 4) if wire else 0):
        flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
    yield bytes(flipped)
    yield random.randbytes(random.randint(0, 60))


def test_cutting_a_message_anywhere_or_adding_to_it_is_noticed():
    random = Random(1)
    for message, version in ALL:
        wire = sample(random, message, version).encode(version)
        for end in range(len(wire)) if len(wire) < 200 else random.sample(range(len(wire)), 50):
            with pytest.raises(ProtocolError):
                message.decode(version, wire[:end])
        with pytest.raises(ProtocolError):
            message.decode(version, wire + b"\0")


def test_announced_counts_and_lengths_cost_no_memory():
    """Wherever a huge number stands in a message, reading takes memory in proportion to the bytes that are there."""
    random = Random(2)
    huge = [b"\x7f\xff\xff\xff", b"\x7f\xff", b"\xff\xff\xff\xff\x0f", b"\xff\xff\x7f"]
    tracemalloc.start()
    try:
        for message, version in ALL:
            wire = sample(random, message, version).encode(version)[:400]
            message._readers[version]
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(4):
                at = random.randint(0, len(wire))
                with suppress(ProtocolError):
                    message.decode(version, wire[:at] + random.choice(huge) + wire[at:])
            assert tracemalloc.get_traced_memory()[1] - before < 200_000, (message.title, version)
    finally:
        tracemalloc.stop()


def test_unknown_tagged_fields_are_skipped():
    wire = heartbeat.Request(group_id="g", generation_id=3, member_id="m").encode(4)
    assert wire.endswith(b"\0")
    tagged = wire[:-1] + b"\x02" + b"\x05\x03abc" + b"\x81\x01\x00"
    assert heartbeat.Request.decode(4, tagged) == heartbeat.Request(group_id="g", generation_id=3, member_id="m")


@pytest.mark.parametrize(
    "section",
    [
        b"\x01\x05\x04abc",  # longer than what is left
        b"\xff\xff\xff\xff\x0f",  # four billion of them
        b"\x01\xff\xff\xff\xff\xff\x01\x00",  # a tag of six bytes
        b"\x01",
    ],
)
def test_broken_tagged_sections_are_refused(section):
    wire = heartbeat.Request(group_id="g", member_id="m").encode(4)
    with pytest.raises(ProtocolError):
        heartbeat.Request.decode(4, wire[:-1] + section)


def test_a_known_tagged_field_must_fill_its_size():
    wire = fetch.Request(cluster_id="c").encode(12)
    assert wire.endswith(b"\x01\x00\x02\x02c")
    for section in (b"\x01\x00\x03\x02c\x00", b"\x01\x00\x01\x02c"):
        with pytest.raises(ProtocolError):
            fetch.Request.decode(12, wire[:-5] + section)


def test_null_is_refused_where_none_is_allowed():
    with pytest.raises(ProtocolError, match="null"):
        heartbeat.Request.decode(0, pack(">hih", -1, 0, 0))
    with pytest.raises(ProtocolError, match="null"):
        metadata.Request.decode(0, pack(">i", -1))
    assert metadata.Request.decode(1, pack(">i", -1)).topics is None
    with pytest.raises(ProtocolError):
        metadata.Request.decode(1, pack(">i", -2))


def test_a_run_of_numbers_is_one_unpack():
    source, _ = reader_source(heartbeat.Response, 1)
    assert "o.throttle_time_ms, o.error_code = unpack_from_ih(buf, pos)" in source
    source, _ = writer_source(heartbeat.Response, 1)
    assert "w(pack_ih(o.throttle_time_ms, o.error_code))" in source
