"""Each test of an operation runs in every face of the client."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.client import faces
from tests.servers import Kafka


@pytest.fixture(params=faces.FACES)
def admin(kafka: Kafka, request: pytest.FixtureRequest) -> Iterator[Any]:
    with faces.admin(request.param, kafka.bootstrap) as admin:
        yield admin
