"""Dates and durations as Kafka's tools read them."""

import pytest

from kafkalike.cli.planning.iso8601 import parse_datetime, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01.500", 1500),
        ("1970-01-01T00:00:01.500Z", 1500),
        ("1970-01-01T01:00:01.500+01:00", 1500),
        ("1970-01-01T01:00:01.500+01", 1500),
    ],
)
def test_dates_are_utc_unless_they_say_otherwise(text: str, expected: int) -> None:
    assert expected == parse_datetime(text)


@pytest.mark.parametrize("text", ["", "2020-01-01", "2020-01-01T00:00", "2020-13-01T00:00:00.000", "T"])
def test_other_dates_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="pars"):
        parse_datetime(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT1S", 1000),
        ("PT0.250S", 250),
        ("P1DT2H3M4S", ((26 * 60 + 3) * 60 + 4) * 1000),
        ("P2D", 172_800_000),
        ("-PT1M", -60_000),
        ("pt-1m", -60_000),
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert expected == parse_duration(text)


@pytest.mark.parametrize("text", ["", "P", "PT", "1D", "P1Y", "P1DT"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Duration"):
        parse_duration(text)
