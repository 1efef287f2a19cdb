"""How a client's calls fail, beside KafkaError, which is what a broker answered."""

from __future__ import annotations

from kafkalike.errors import Error, KafkaError


class Disconnected(Exception):
    """A connection could not be made, broke, or stayed silent."""


class Unreachable(Disconnected):
    """The connection could not be made: nobody is there, or whoever is there is no Kafka broker."""


class NotKafka(ValueError):
    """At the address that was given for a broker there is none, and never will be: nothing is tried again."""


class TimedOut(Exception):
    """It did not work within the time given for it."""


class NoOffset(Exception):
    """A partition has no committed offset, and auto.offset.reset=none."""


def raise_error(code: int, message: str | None = None, about: str = "") -> None:
    """Raises the KafkaError of a code other than 0."""
    if code:
        raise error_about(about, Error(code), message)


def error_about(about: str, error: Error, message: str | None = None) -> KafkaError:
    """With the broker's own text if it sent one; else with what it is about ("topic t") before the sentence that is the
    same for every such error."""
    if message in (None, "", error.message) and about:
        message = f"{about}: {error.message}"
    return KafkaError(error, message or None)
