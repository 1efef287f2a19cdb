"""What makes no sense gets Kafka's answer, field by field, in every API; senseless.py has the table.

With `--on apache` the same requests go to Apache Kafka, and what is recorded of it must hold.
"""

from __future__ import annotations

import pytest

from tests.broker import senseless
from tests.broker.sensible import module
from tests.servers import Kafka

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(kafka: Kafka) -> Kafka:
    senseless.prepare(kafka)
    return kafka


@pytest.mark.parametrize("api", senseless.BASES)
def test_what_makes_no_sense_gets_kafkas_answer(prepared: Kafka, api: str) -> None:
    expected = senseless.recorded("apache")
    if prepared.kind == "kafkalike":
        expected |= senseless.recorded("kafkalike")
    found = {row.key: senseless.outcome(prepared, row) for row in senseless.rows(api)}
    assert {key: text for key, text in expected.items() if key[0] == api} == found


def test_every_api_that_is_served_is_in_the_table(dispatch) -> None:
    assert {api.key for api in dispatch.apis.values()} == {module(api).API_KEY for api in senseless.BASES}


def test_every_difference_has_its_reason() -> None:
    rows = {row.key: row for api in senseless.BASES for row in senseless.rows(api)}
    assert not [key for key in senseless.recorded("kafkalike") if senseless.why_different(rows[key]) is None]
