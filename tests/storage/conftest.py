"""Logs to try things on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kafkalike.storage.log import Log
from tests.storage.disk import NOW, SMALL, a_batch, new_log


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Log]:
    """Three segments of batches in three leader epochs, closed."""
    (tmp_path / "whole").mkdir()
    log = new_log(tmp_path / "whole", SMALL)
    for n in range(12):
        log.append(a_batch(1 + n % 3, NOW + n), n // 4, NOW)
    assert 3 <= len(list(Path(log.path).glob("*.log")))
    log.close()
    yield log
