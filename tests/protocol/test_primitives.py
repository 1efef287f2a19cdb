"""Scalars: what is written reads back, and nothing reads past the end."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.errors import ProtocolError
from kafkalike.protocol import primitives as p
from kafkalike.protocol.messages import heartbeat


@given(st.integers(0, 2**32 - 1))
def test_uvarint(value):
    wire = p.write_uvarint(value)
    assert p.read_uvarint(b"x" + wire + b"y", 1) == (value, 1 + len(wire))


@given(st.integers(-(2**31), 2**31 - 1))
def test_varint(value):
    wire = p.write_varint(value)
    assert p.read_varint(wire, 0) == (value, len(wire))


@given(st.integers(-(2**63), 2**63 - 1))
def test_varlong(value):
    wire = p.write_varlong(value)
    assert p.read_varlong(wire, 0) == (value, len(wire))


@pytest.mark.parametrize(
    ("value", "wire"),
    [(0, "00"), (-1, "01"), (1, "02"), (63, "7e"), (64, "8001"), (2**31 - 1, "feffffff0f"), (-(2**31), "ffffffff0f")],
)
def test_zigzag(value, wire):
    assert p.write_varint(value).hex() == wire


@pytest.mark.parametrize("wire", ["", "80", "ffffffff1f", "8080808080", "808080808001", "ffffffffffffffffffff01"])
def test_varints_that_are_cut_off_or_too_long(wire):
    with pytest.raises(ProtocolError):
        p.read_uvarint(bytes.fromhex(wire), 0)


@pytest.mark.parametrize("wire", ["ff" * 9, "ff" * 9 + "02", "ff" * 10])
def test_varlongs_that_are_cut_off_or_too_long(wire):
    with pytest.raises(ProtocolError):
        p.read_varlong(bytes.fromhex(wire), 0)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_integers(size):
    read, write = getattr(p, f"read_int{size}"), getattr(p, f"write_int{size}")
    for value in (0, -1, 2 ** (size - 1) - 1, -(2 ** (size - 1))):
        assert read(b"--" + write(value), 2) == (value, 2 + size // 8)
    with pytest.raises(ProtocolError):
        read(bytes(size // 8), 1)


@pytest.mark.parametrize("kind", ["string", "nullable_string", "compact_string", "compact_nullable_string"])
@given(text=st.text(max_size=200))
def test_strings(kind, text):
    wire = getattr(p, f"write_{kind}")(text)
    assert getattr(p, f"read_{kind}")(wire, 0) == (text, len(wire))
    with pytest.raises(ProtocolError):
        getattr(p, f"read_{kind}")(wire[:-1], 0)


@given(st.binary(max_size=200))
def test_bytes(data):
    for kind in ("bytes", "nullable_bytes"):
        wire = getattr(p, f"write_{kind}")(data)
        assert getattr(p, f"read_{kind}")(wire, 0) == (data, len(wire))


def test_null():
    for kind in ("nullable_string", "nullable_bytes", "compact_nullable_string"):
        wire = getattr(p, f"write_{kind}")(None)
        assert getattr(p, f"read_{kind}")(wire, 0) == (None, len(wire))
        with pytest.raises(ProtocolError, match="null"):
            getattr(p, f"read_{kind.replace('nullable_', '')}")(wire, 0)


@pytest.mark.parametrize(("kind", "wire"), [("nullable_string", "fffe"), ("nullable_bytes", "fffffffe")])
def test_other_negative_lengths(kind, wire):
    with pytest.raises(ProtocolError):
        getattr(p, f"read_{kind}")(bytes.fromhex(wire), 0)


# Java replaces the whole of a surrogate that was written as UTF-8, Python each of its bytes.
NOT_UTF8 = {
    b"caf\xe9": "caf?",
    b"\xff\xfe": "??",
    b"\xc0\x80": "??",
    b"\xe2\x82": "?",
    b"\xe2\x82x": "?x",
    b"\xf0\x9f\x92": "?",
    b"\xf0\x9f\x92x": "?x",
    b"\xf5\x80\x80\x80": "????",
    b"\xed\xa0\x80": "?",
    b"\xed\xbf\xbfx": "?x",
    b"\xed\xa0": "?",
    b"\xed\xa0x": "?x",
    b"\xed": "?",
}


@pytest.mark.parametrize("raw", NOT_UTF8)
def test_what_is_not_utf8_is_replaced_as_in_java(raw):
    expected = NOT_UTF8[raw].replace("?", "\ufffd")
    wire = p.write_int16(len(raw)) + raw
    assert (expected, len(wire)) == p.read_string(wire, 0)
    assert expected == heartbeat.Request.decode(0, wire + bytes(4) + bytes(2)).group_id


def test_one_call_replaces_all_there_is_in_a_text():
    """Else a request of 100 MB that is nothing but such bytes would hold the reactor up for minutes."""
    raw = b"a" + b"\xff\xed\xa0\x80\xe2\x82" * 1000
    with pytest.raises(UnicodeDecodeError) as fault:
        raw.decode()
    assert ("\ufffd" * 3000, len(raw)) == codecs.lookup_error(p.LENIENT)(fault.value)


def test_tagged_fields_are_skipped():
    assert p.skip_tagged_fields(b"\x02\x00\x01a\x07\x00rest", 0) == 6
    with pytest.raises(ProtocolError):
        p.skip_tagged_fields(b"\x01\x00\x05a", 0)
