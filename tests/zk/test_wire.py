"""Records as the protocol has them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zk import wire
from zk.wire import Acl, Marshalling


@given(st.none() | st.binary(max_size=50))
def test_a_buffer_is_read_as_written(data: bytes | None) -> None:
    record = wire.buffer(data)
    assert (data, len(record)) == wire.read_buffer(record, 0)


@given(st.lists(st.text(max_size=20), max_size=5))
def test_strings_are_read_as_written(texts: list[str]) -> None:
    record = wire.strings(texts)
    assert (texts, len(record)) == wire.read_strings(record, 0)


@given(st.lists(st.builds(Acl, st.integers(-(2**31), 2**31 - 1), st.text(max_size=9), st.text(max_size=9)), max_size=4))
def test_acls_are_read_as_written(entries: list[Acl]) -> None:
    record = wire.acls(entries)
    assert (entries, len(record)) == wire.read_acls(record, 0)


READERS = [wire.read_int, wire.read_long, wire.read_bool, wire.read_buffer, wire.read_text, wire.read_string,
           wire.read_strings, wire.read_acls]  # fmt: skip


@given(st.binary(max_size=40), st.sampled_from(READERS))
def test_whatever_comes_is_read_or_refused(data: bytes, read: object) -> None:
    try:
        _, pos = read(data, 0)  # type: ignore[operator]
    except Marshalling:
        return
    assert 0 < pos <= len(data)


@pytest.mark.parametrize("read", READERS)
def test_nothing_is_refused(read: object) -> None:
    with pytest.raises(Marshalling):
        read(b"", 0)  # type: ignore[operator]


def test_bytes_that_are_no_text_become_the_replacement_character() -> None:
    assert "/\ufffd" == wire.read_string(wire.buffer(b"/\xff"), 0)[0]


def test_a_null_path_is_refused() -> None:
    with pytest.raises(Marshalling):
        wire.read_string(wire.buffer(None), 0)


def test_a_claimed_count_is_checked_against_the_bytes() -> None:
    with pytest.raises(Marshalling):
        wire.read_strings(struct.pack("!i", 2**31 - 1) + bytes(100), 0)


def test_a_reply_has_its_length() -> None:
    assert struct.pack("!iiqi", 19, 7, 9, -101) + b"abc" == wire.reply(7, 9, -101, b"abc")


def test_an_event_has_xid_and_zxid_of_minus_one() -> None:
    expected = struct.pack("!iiqiiii", 30, -1, -1, 0, 3, 3, 2) + b"/a"
    assert expected == wire.event(3, "/a")
