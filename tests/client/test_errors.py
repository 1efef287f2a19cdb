"""How failures are worded."""

import pytest

from kafkalike.client.errors import error_about, raise_error
from kafkalike.errors import Error, KafkaError


def test_the_brokers_own_text_is_told_else_what_it_is_about() -> None:
    error = Error.UNKNOWN_TOPIC_OR_PARTITION
    assert "my own words" == error_about("topic t", error, "my own words").message
    assert f"topic t: {error.message}" == error_about("topic t", error, None).message
    assert f"topic t: {error.message}" == error_about("topic t", error, error.message).message


def test_no_error_is_none() -> None:
    raise_error(0)
    with pytest.raises(KafkaError):
        raise_error(3)
