"""Paths and nodes under /consumers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.cluster.znodes.consumers import (
    ConsumerIdNode,
    OffsetExtraNode,
    OffsetNode,
    OwnerNode,
    decode_name,
    encode_name,
)
from kafkalike.cluster.znodes.encoding import Garbage


@pytest.mark.parametrize(
    ("name", "element"),
    [
        ("my-group", "my-group"),
        ("a b%c", "a b%c"),
        ("ünï", "ünï"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("50%", "50%"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "..."),
        ("", "%"),
        ("%", "%25"),
        ("a\n", "a%0A"),
        ("\x85", "%C2%85"),
        ("😀", "%F0%9F%98%80"),
    ],
)
def test_names(name: str, element: str) -> None:
    assert encode_name(name) == element
    assert decode_name(element) == name


@given(st.text() | st.from_regex(r"[%2Fa./]{0,8}", fullmatch=True))
def test_every_name_has_a_path_that_zookeeper_takes(name: str) -> None:
    element = encode_name(name)
    assert decode_name(element) == name
    assert element not in ("", ".", "..")
    assert not re.search("[/\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U00010000-\U0010ffff]", element)


@given(st.lists(st.from_regex(r"[%25Fa./]{0,5}", fullmatch=True), unique=True, min_size=2, max_size=20))
def test_two_names_never_share_a_path(names: list[str]) -> None:
    assert len({encode_name(each) for each in names}) == len(names)


def test_paths() -> None:
    assert OffsetNode.path("g/1", "t", 3) == "/consumers/g%2F1/offsets/t/3"
    assert OffsetExtraNode.path("g", "t", 3) == "/consumers/g/offsets-extra/t/3"
    assert OwnerNode.directory("g", "t") == "/consumers/g/owners/t"
    assert OwnerNode.directory("g") == "/consumers/g/owners"
    assert ConsumerIdNode.directory("g") == "/consumers/g/ids"


@pytest.mark.parametrize(
    ("data", "offset"), [(b"0", 0), (b"42\n", 42), (b"-1", -1), (b"9223372036854775807", 2**63 - 1)]
)
def test_an_offset_as_any_tool_writes_it(data: bytes, offset: int) -> None:
    assert OffsetNode.decode(data, "g", "t", 0) == offset


@pytest.mark.parametrize("data", [None, b"", b"x", b"1.5", b"0x10", b"9223372036854775808", b"1_0", "१".encode()])
def test_what_is_no_offset_is_refused(data: bytes | None) -> None:
    with pytest.raises(Garbage, match="/consumers/g/offsets/t/0 is ignored: no offset"):
        OffsetNode.decode(data, "g", "t", 0)


@given(st.builds(OffsetExtraNode, st.integers(), st.integers(-1, 2**31 - 1), st.text()))
def test_extras_come_back(extra: OffsetExtraNode) -> None:
    assert OffsetExtraNode.decode(extra.encode()) == extra


def test_an_extra_says_only_what_there_is() -> None:
    assert OffsetExtraNode(5).encode() == b'{"version":1,"offset":5}'
    assert OffsetExtraNode(5, 2).encode() == b'{"version":1,"offset":5,"leader_epoch":2}'
    assert OffsetExtraNode(5, 2, "m").encode() == b'{"version":1,"offset":5,"leader_epoch":2,"metadata":"m"}'


@pytest.mark.parametrize(
    "data", [None, b"", b"[]", b"3", b"{}", b'{"offset":"5"}', b'{"offset":5,"metadata":7}', b"\xff"]
)
def test_an_extra_that_cannot_be_understood_is_none(data: bytes | None) -> None:
    assert OffsetExtraNode.decode(data) is None
