"""What a broker makes of the number of its file descriptors; with real processes: tests/faults/test_descriptors.py."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from kafkalike.broker.file_descriptors import share
from kafkalike.storage.files import StorageError
from kafkalike.storage.open_files import OPEN_FILES


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A broker, as far as its file descriptors are looked at."""
    monkeypatch.setattr(OPEN_FILES, "most", OPEN_FILES.most)
    monkeypatch.setattr(OPEN_FILES, "on_many", OPEN_FILES.on_many)
    monkeypatch.setattr(OPEN_FILES, "close_some", OPEN_FILES.close_some)
    called: list[Any] = []
    closed: list[int] = []
    return SimpleNamespace(
        partitions=SimpleNamespace(directories=[SimpleNamespace(logs=dict.fromkeys(range(250)))]),
        log_maintenance=SimpleNamespace(close_files=closed.append),
        reactor=SimpleNamespace(callFromThread=called.append),
        called=called,
        closed=closed,
    )


def test_a_limit_that_is_too_low_for_what_is_hosted_is_told_at_the_start(
    broker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    share(broker.partitions, broker.log_maintenance, broker.reactor, 100_000)
    assert [] == caplog.messages
    descriptors = share(broker.partitions, broker.log_maintenance, broker.reactor, 220)
    (line,) = caplog.messages
    assert "may have 220 open files (ulimit -n), which is too few for 250 partitions" in line
    assert f"at most {descriptors.most_connections} connections" in line
    with pytest.raises(StorageError, match="a broker needs 64 at least"):
        share(broker.partitions, broker.log_maintenance, broker.reactor, 63)


def test_too_many_files_are_closed_in_a_turn_of_its_own_and_once(broker: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    share(broker.partitions, broker.log_maintenance, broker.reactor, 220)
    for _ in range(3):
        OPEN_FILES.on_many()
    assert 1 == len(broker.called) and [] == broker.closed
    broker.called.pop()()
    assert [OPEN_FILES.most * 3 // 4] == broker.closed
    OPEN_FILES.on_many()
    assert 1 == len(broker.called)
