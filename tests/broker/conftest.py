"""A broker's dispatch without the broker, and a connection to it."""

import pytest

from tests.broker.recording_connection import Connection, dispatch_alone


@pytest.fixture
def dispatch():
    return dispatch_alone()


@pytest.fixture
def connection():
    return Connection()
