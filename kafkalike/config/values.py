"""Texts to typed values and back, as Java reads and prints them. The types are those of Kafka's ConfigDef."""

from __future__ import annotations

import math
import re
from typing import Any

BOOLEAN, STRING, INT, SHORT, LONG, DOUBLE, LIST, CLASS, PASSWORD = (
    "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD",
)  # fmt: skip
_BOUNDS = {SHORT: 2**15, INT: 2**31, LONG: 2**63}
LONG_MAX, INT_MAX, DOUBLE_MAX = 2**63 - 1, 2**31 - 1, 1.7976931348623157e308

# What Double.parseDouble takes: decimal or hexadecimal, with Java's suffixes.
_DECIMAL = re.compile(r"[+-]?(?:NaN|Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?)", re.ASCII)
_HEXADECIMAL = re.compile(r"([+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?\d+)[fFdD]?", re.ASCII)
_SPACES = "".join(map(chr, range(33)))  # what String.trim() takes off
_COMMA = re.compile(r"[ \t\n\v\f\r]*,[ \t\n\v\f\r]*")


class ConfigException(Exception):
    """A configuration that cannot be used. The text is one line for the operator, in Kafka's words."""


def invalid(name: str, value: Any, why: str) -> ConfigException:
    """The refusal of one value. `value` is a text that could not be read, or the typed value that is out of bounds."""
    return ConfigException(f"Invalid value {printed(value)} for configuration {name}: {why}")


def typed(name: str, kind: str, text: str) -> Any:
    """The value that `text` stands for. ConfigException when it is none of this type."""
    trimmed = text.strip(_SPACES)
    if kind == BOOLEAN:
        if trimmed.lower() not in ("true", "false"):
            raise invalid(name, text, "Expected value to be either true or false")
        return trimmed.lower() == "true"
    if kind in _BOUNDS:
        whole = integer(trimmed, kind)
        if whole is None:
            raise invalid(name, text, f"Not a number of type {kind}")
        return whole
    if kind == DOUBLE:
        number = _double(trimmed)
        if number is None:
            raise invalid(name, text, f"Not a number of type {DOUBLE}")
        return number
    if kind == LIST:
        return _COMMA.split(trimmed) if trimmed else []
    return trimmed


def integer(text: str, kind: str = INT) -> int | None:
    """The number that Integer.parseInt (or that of another type) reads; None where it throws."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    # int() refuses thousands of digits with an error of its own, be they zeros.
    significant = digits.lstrip("0") or digits[:1]
    if not digits.isdecimal() or len(significant) > 19:
        return None
    number = -int(significant) if text[0] == "-" else int(significant)
    return number if -_BOUNDS[kind] <= number < _BOUNDS[kind] else None


def _double(text: str) -> float | None:
    if _DECIMAL.fullmatch(text):
        return float(text if text.endswith(("Infinity", "NaN")) else text.rstrip("fFdD"))
    hexadecimal = _HEXADECIMAL.fullmatch(text)
    if hexadecimal is None:
        return None
    try:
        return float.fromhex(hexadecimal[1])
    except OverflowError:
        return -math.inf if text.startswith("-") else math.inf


def text_of(value: Any) -> str | None:
    """A typed value as Kafka prints it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(value)
    return _printed_double(value) if isinstance(value, float) else str(value)


def printed(value: Any) -> str:
    """A value inside a message: lists in brackets."""
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(text_of(value))


def _printed_double(value: float) -> str:
    """Double.toString: the shortest digits, with an exponent outside 0.001 to 10,000,000."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        text = repr(value)
        if "e" not in text:
            return text
    sign, digits, exponent = _digits(value)
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def _digits(value: float) -> tuple[str, str, int]:
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    shift = len(whole) - 1 if whole != "0" else len(digits) - len(fraction) - 1
    return "-" if value < 0 else "", digits.rstrip("0") or "0", shift + int(exponent or 0)
