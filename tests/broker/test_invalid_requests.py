"""What makes no sense gets Kafka's answer, field by field, in every API; invalid_requests.py has the table.

With `--on apache` the same requests go to Apache Kafka, and what is recorded of it must hold.
"""

from __future__ import annotations

import pytest

from tests.broker import invalid_requests
from tests.broker.valid_requests import module
from tests.servers import Kafka

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(kafka: Kafka) -> Kafka:
    invalid_requests.prepare(kafka)
    return kafka


@pytest.mark.parametrize("api", invalid_requests.BASES)
def test_what_makes_no_sense_gets_kafkas_answer(prepared: Kafka, api: str) -> None:
    expected = invalid_requests.recorded("apache")
    if prepared.kind == "kafkalike":
        expected |= invalid_requests.recorded("kafkalike")
    found = {row.key: invalid_requests.outcome(prepared, row) for row in invalid_requests.rows(api)}
    assert {key: text for key, text in expected.items() if key[0] == api} == found


def test_every_api_that_is_served_is_in_the_table(dispatch) -> None:
    assert {api.key for api in dispatch.apis.values()} == {module(api).API_KEY for api in invalid_requests.BASES}


def test_every_difference_has_its_reason() -> None:
    rows = {row.key: row for api in invalid_requests.BASES for row in invalid_requests.rows(api)}
    assert not [
        key for key in invalid_requests.recorded("kafkalike") if invalid_requests.why_different(rows[key]) is None
    ]
