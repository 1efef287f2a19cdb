"""One stack for the tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docker.stack import BROKERS, Stack, engine


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack(engine()) as made:
        yield made
        for n in BROKERS:
            log = made.logs(f"broker{n}")
            at = log.find("Traceback")
            assert at < 0, f"broker{n}: {log[max(at - 400, 0) : at + 3000]}"
