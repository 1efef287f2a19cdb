"""Texts and values as Java reads and prints them; what it reads is compared with Apache's in test_tables.py."""

from __future__ import annotations

import math

import pytest

from kafkalike.config.values import DOUBLE, DOUBLE_MAX, INT, LIST, LONG, integer, printed, text_of, typed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.5, "0.5"),
        (1.0, "1.0"),
        (100.0, "100.0"),
        (0.001, "0.001"),
        (0.000999, "9.99E-4"),
        (1e-5, "1.0E-5"),
        (1.5e-7, "1.5E-7"),
        (9999999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (12345678.9, "1.23456789E7"),
        (-1.25e20, "-1.25E20"),
        (1e100, "1.0E100"),
        (DOUBLE_MAX, "1.7976931348623157E308"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_doubles_are_printed_as_java_prints_them(value: float, text: str) -> None:
    assert text == text_of(value)
    again = typed("x", DOUBLE, text)
    assert again == value or math.isnan(again) and math.isnan(value)


def test_lists_are_printed_with_commas_and_inside_messages_in_brackets() -> None:
    assert ["a", "b", ""] == typed("x", LIST, " a , b, ")
    assert ("a,b", "[a, b]") == (text_of(["a", "b"]), printed(["a", "b"]))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5f", 0.5),
        ("1D", 1.0),
        (".5", 0.5),
        ("0x1p-1", 0.5),
        ("-0x.8P1d", -1.0),
        ("0x1p99999", math.inf),
        ("1e999", math.inf),
    ],
)
def test_doubles_have_javas_grammar(text: str, value: float) -> None:
    assert value == typed("x", DOUBLE, text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("+7", 7),
        ("-2147483648", -(2**31)),
        ("0" * 5000, 0),
        ("-" + "0" * 5000 + "12", -12),
        ("٧", 7),
        ("2147483648", None),
        ("9" * 5000, None),
        ("²", None),
        ("1_000", None),
        ("--1", None),
        ("-", None),
        ("", None),
    ],
)
def test_integers_are_read_as_java_reads_them(text: str, number: int | None) -> None:
    assert number == integer(text, INT)


def test_a_long_has_its_own_bounds() -> None:
    assert [2**63 - 1, None] == [integer(text, LONG) for text in ("9223372036854775807", "9223372036854775808")]
