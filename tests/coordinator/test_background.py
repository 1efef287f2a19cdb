"""Coroutines that nobody waits for."""

from __future__ import annotations

import logging

import pytest

from kafkalike.coordinator.background import Background


async def fails() -> None:
    raise ValueError("why not")


def test_what_ends_a_coroutine_in_a_way_not_foreseen_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    background = Background("poet", logging.getLogger("test"))
    background.run(fails())
    (record,) = caplog.records
    assert record.getMessage().startswith("The poet failed in a way not foreseen: ")
    assert "why not" in record.getMessage()


def test_after_a_stop_it_does_not_matter(caplog: pytest.LogCaptureFixture) -> None:
    background = Background("poet", logging.getLogger("test"))
    background.stopped = True
    background.run(fails())
    assert [] == caplog.records
