"""Names of topics."""

import pytest

from kafkalike.cluster.topic_names import colliding, illegal, may_collide


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249, "...", "__consumer_offsets"])
def test_legal_names(name: str) -> None:
    assert illegal(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "the empty string is not allowed"),
        (".", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        ("x" * 250, f"the length of '{'x' * 250}' is longer than the max allowed length 249"),
        ("a b", "'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
        ("ä", "'ä' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
        ("a\n", "'a\n' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
        ("a/b", "'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
    ],
)
def test_illegal_names_are_refused_in_kafkas_words(name: str, why: str) -> None:
    assert f"Topic name is invalid: {why}" == illegal(name)


def test_dots_and_underscores_collide() -> None:
    assert ["a.b_c", "a_b_c"] == colliding("a_b.c", ["a.b_c", "a_b.c", "a_b_c", "ab.c", "abc"])
    assert may_collide("a.b") and may_collide("a_b") and not may_collide("a-b")
