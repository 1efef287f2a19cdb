"""Which paths can name a znode, what is above any string at all. What clients are told: tests/zk/test_odd_paths.py."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zk.paths import ancestors, check_path, is_path, parent_of, parents
from zk.wire import Code, Marshalling, ZkError


@pytest.mark.parametrize("path", ["", "a", "/a/", "//", "/.", "/..", "/a/./b", "/a/../b", "/\0", "/\x1f", "/\x9f",
                                  "/\u0001", "/\ud800", "/\ue000", "/\ufff0", "/\uffff", "/\U00010000"])  # fmt: skip
def test_illegal_paths(path: str) -> None:
    assert not is_path(path)
    with pytest.raises(ZkError) as refused:
        check_path(path)
    assert Code.BAD_ARGUMENTS == refused.value.code


@pytest.mark.parametrize("path", ["/", "/a", "/...", "/.a/b.", "/a b", "/ä", "/\ufeff", "/%00", "/a/b c/%2F", "/ü"])
def test_legal_paths(path: str) -> None:
    assert is_path(path)
    check_path(path)


@pytest.mark.parametrize(
    ("path", "above"),
    [("/a/b/c", ["/a/b", "/a", "/"]), ("/a", ["/"]), ("/", []), ("", []), ("//", ["/"]), ("/a/", ["/a", "/"])],
)
def test_what_is_above_a_path(path: str, above: list[str]) -> None:
    assert above == list(ancestors(path))


@pytest.mark.parametrize(("path", "parent"), [("/a/b", "/a"), ("/a", ""), ("/", ""), ("", ""), ("a/b", "a")])
def test_the_parent_of_a_path(path: str, parent: str) -> None:
    assert parent == parent_of(path)


def test_parents_come_from_the_top() -> None:
    assert ["/a", "/a/b", "/a/b/c"] == parents("/a/b/c")
    assert [] == parents("/")
    assert [] == parents("")


def test_a_path_without_a_slash_has_no_parent() -> None:
    with pytest.raises(Marshalling):
        parent_of("a")
    with pytest.raises(Marshalling):
        list(ancestors("a/b"))


@given(st.text(alphabet="/.a\0", max_size=12) | st.text())
def test_any_string_is_told_by_an_error_of_the_protocol(path: str) -> None:
    for function in (check_path, parent_of, lambda path: list(ancestors(path))):
        with contextlib.suppress(ZkError):
            function(path)
