"""Steps that run side by side."""

import pytest

from kafkalike.client.effects import Sleep, Steps, gather
from tests.client.brokers import Brokers


def later(ms: float, result: str) -> Steps[str]:
    yield Sleep(ms)
    if not result:
        raise ValueError("no result")
    return result


def test_results_are_in_the_order_of_the_steps_and_take_as_long_as_the_longest() -> None:
    brokers = Brokers()
    before = brokers.clock.now_ms
    assert ["a", "b", "c"] == brokers.run(gather([later(30, "a"), later(10, "b"), later(20, "c")]))
    assert 30 == brokers.clock.now_ms - before


def test_a_failure_is_told_when_all_have_ended() -> None:
    brokers = Brokers()
    before = brokers.clock.now_ms
    with pytest.raises(ValueError, match="no result"):
        brokers.run(gather([later(30, "a"), later(10, "")]))
    assert 30 == brokers.clock.now_ms - before
