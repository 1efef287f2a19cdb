"""What stands in __consumer_offsets, byte by byte."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.coordinator.group_records import (
    GroupKey,
    GroupValue,
    MemberValue,
    OffsetKey,
    OffsetValue,
    RecordError,
    group_key,
    group_value,
    offset_key,
    offset_value,
    read_group_value,
    read_key,
    read_offset_value,
)

int32s = st.integers(-(2**31), 2**31 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
names = st.text(max_size=20)
members = st.builds(MemberValue, names, st.none() | names, names, names, int32s, int32s, st.binary(), st.binary())
groups = st.builds(
    GroupValue, names, int32s, st.none() | names, st.none() | names, int64s, st.lists(members, max_size=3).map(tuple)
)


def test_keys() -> None:
    assert offset_key("g", "topic", 3) == bytes.fromhex("0001 0001 67 0005 746f706963 00000003")
    assert group_key("g") == bytes.fromhex("0002 0001 67")
    assert read_key(bytes.fromhex("0000 0001 67 0001 74 00000003")) == OffsetKey("g", "t", 3)
    assert read_key(group_key("é")) == GroupKey("é")


def test_a_key_of_a_later_kind_is_passed_over() -> None:
    assert read_key(bytes.fromhex("0003 0001 67")) is None


def test_offset_value_is_written_in_version_3() -> None:
    value = OffsetValue(258, 7, "m", 1_700_000_000_000)
    assert offset_value(value) == bytes.fromhex("0003 0000000000000102 00000007 0001 6d 0000018bcfe56800")


def test_offset_value_with_its_own_expiry_is_written_in_version_1() -> None:
    assert offset_value(OffsetValue(1, 7, "", 2, 3)) == bytes.fromhex(
        "0001 0000000000000001 0000 0000000000000002 0000000000000003"
    )


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("0000 0000000000000001 0001 6d 0000000000000002", OffsetValue(1, -1, "m", 2)),
        ("0001 0000000000000001 0001 6d 0000000000000002 0000000000000003", OffsetValue(1, -1, "m", 2, 3)),
        ("0002 0000000000000001 0001 6d 0000000000000002", OffsetValue(1, -1, "m", 2)),
        ("0003 0000000000000001 00000005 0001 6d 0000000000000002", OffsetValue(1, 5, "m", 2)),
        ("0004 0000000000000001 00000005 02 6d 0000000000000002 00", OffsetValue(1, 5, "m", 2)),
    ],
)
def test_offset_value_is_read_in_every_version(data: str, value: OffsetValue) -> None:
    assert read_offset_value(bytes.fromhex(data)) == value


def test_empty_group_is_written_in_version_3() -> None:
    value = GroupValue("consumer", 4, None, None, 1_700_000_000_000)
    assert group_value(value) == bytes.fromhex(
        "0003 0008 636f6e73756d6572 00000004 ffff ffff 0000018bcfe56800 00000000"
    )


def test_group_value_is_read_in_every_version() -> None:
    head = "0001 63 00000004 0001 72 0001 6d"
    tail = "00001388 00000001 aa 00000002 bbcc"
    member = MemberValue("m", None, "c", "h", 9000, 5000, b"\xaa", b"\xbb\xcc")
    value = GroupValue("c", 4, "r", "m", -1, (member,))
    later = GroupValue("c", 4, "r", "m", 7, (member,))
    assert read_group_value(bytes.fromhex(f"0001 {head} 00000001 0001 6d 0001 63 0001 68 00002328 {tail}")) == value
    assert (
        read_group_value(
            bytes.fromhex(f"0002 {head} 0000000000000007 00000001 0001 6d 0001 63 0001 68 00002328 {tail}")
        )
        == later
    )
    assert (
        read_group_value(
            bytes.fromhex(f"0003 {head} 0000000000000007 00000001 0001 6d ffff 0001 63 0001 68 00002328 {tail}")
        )
        == later
    )
    compact = "0004 02 63 00000004 02 72 02 6d 0000000000000007 02 02 6d 00 02 63 02 68 00002328 00001388 02 aa 03 bbcc"
    assert read_group_value(bytes.fromhex(f"{compact} 01 05 02 ffff 00")) == later


def test_a_client_id_that_is_not_utf8_is_read_with_a_replacement() -> None:
    """So it may stand in a log of Apache's, and the group is not lost for it."""
    data = "0000 0001 63 00000004 0001 72 0001 6d 00000001 0001 6d 0001 e9 0001 68 00001388 00000000 00000000"
    assert "\ufffd" == read_group_value(bytes.fromhex(data)).members[0].client_id


def test_version_0_had_one_timeout_for_both_purposes() -> None:
    data = bytes.fromhex(
        "0000 0001 63 00000004 0001 72 0001 6d 00000001 0001 6d 0001 63 0001 68 00001388 00000000 00000000"
    )
    (member,) = read_group_value(data).members
    assert (member.rebalance_timeout_ms, member.session_timeout_ms) == (5000, 5000)


@given(groups)
def test_groups_come_back_as_written(value: GroupValue) -> None:
    assert read_group_value(group_value(value)) == value


@given(groups, st.data())
def test_a_cut_record_is_refused(value: GroupValue, data: st.DataObject) -> None:
    encoded = group_value(value)
    with pytest.raises(RecordError):
        read_group_value(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(st.binary(max_size=60))
def test_garbage_is_refused_or_read(data: bytes) -> None:
    for read in (read_key, read_offset_value, read_group_value):
        with contextlib.suppress(RecordError):
            read(data)
