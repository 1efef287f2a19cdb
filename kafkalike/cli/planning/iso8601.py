"""Dates and durations as Kafka's tools read them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_DURATION = re.compile(
    r"(?P<sign>[-+]?)P(?:(?P<days>[-+]?\d+)D)?"
    r"(?:T(?:(?P<hours>[-+]?\d+)H)?(?:(?P<minutes>[-+]?\d+)M)?(?:(?P<seconds>[-+]?\d+(?:[.,]\d{0,9})?)S)?)?",
    re.IGNORECASE,
)


def parse_datetime(text: str) -> int:
    """YYYY-MM-DDTHH:mm:SS.sss, with a zone or in UTC, as milliseconds since 1970. ValueError in Kafka's words."""
    if "T" not in text:
        raise ValueError("Error parsing timestamp. It does not contain a 'T' according to ISO8601 format")
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})(Z|[+-]\d\d(?::?\d\d)?)?", text)
    if match is None:
        raise ValueError(f'Unparseable date: "{text}"')
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise ValueError(f'Unparseable date: "{text}"') from problem
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def parse_duration(text: str) -> int:
    """PnDTnHnMn.nS as milliseconds. ValueError in Java's words."""
    match = _DURATION.fullmatch(text)
    given = match.groupdict() if match else {}
    if not any(given.get(unit) for unit in ("days", "hours", "minutes", "seconds")) or text.upper().endswith("T"):
        raise ValueError("Text cannot be parsed to a Duration")
    seconds = (
        int(given["days"] or 0) * 86400
        + int(given["hours"] or 0) * 3600
        + int(given["minutes"] or 0) * 60
        + float((given["seconds"] or "0").replace(",", "."))
    )
    return round(-seconds * 1000 if given["sign"] == "-" else seconds * 1000)
