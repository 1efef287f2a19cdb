"""What one connection says and hears."""

import struct

import pytest

from kafkalike.client.cluster import Node
from kafkalike.client.connection import Connection, Question
from kafkalike.client.errors import Disconnected, Unreachable
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.framing import frame, read_request_header, response_header
from kafkalike.protocol.messages import api_versions, heartbeat, metadata


def opened(**versions: tuple[int, int]) -> Connection:
    """A connection to a broker that speaks these versions of Heartbeat and Metadata."""
    connection = Connection(Node(0, "b0", 1), "", "client", 1000)
    connection.connected()
    key, version, correlation_id, client_id, _ = read_request_header(connection.take_outgoing()[4:])
    assert (api_versions.API_KEY, api_versions.VERSIONS[1], "client") == (key, version, client_id)
    keys = {"heartbeat": heartbeat.API_KEY, "metadata": metadata.API_KEY}
    answer = api_versions.Response(
        api_keys=[
            api_versions.ApiVersion(api_key=keys[name], min_version=low, max_version=high)
            for name, (low, high) in versions.items()
        ]
    )
    head = response_header(key, version, correlation_id)
    assert [] == list(connection.received(frame((head, answer.encode(version)))))
    assert connection.ready
    return connection


def question(api, request=None, token="t"):
    return Question(api, request or (lambda version: api.Request()), token, 5000)


def test_the_newest_version_that_both_speak_is_spoken() -> None:
    connection = opened(heartbeat=(0, 2), metadata=(0, 99))
    assert (2, metadata.VERSIONS[1]) == (connection.version(heartbeat), connection.version(metadata))


def test_what_the_broker_does_not_speak_fails_at_once() -> None:
    connection = opened(metadata=(0, 1))
    (answer,) = connection.ask(question(heartbeat))
    assert isinstance(answer.failure, KafkaError)
    assert (Error.UNSUPPORTED_VERSION, "The node does not support Heartbeat") == (
        answer.failure.error,
        answer.failure.message,
    )
    assert b"" == connection.take_outgoing()


def test_answers_find_their_requests_in_order() -> None:
    connection = opened(heartbeat=(0, 0))
    for token in "ab":
        assert [] == connection.ask(question(heartbeat, token=token))
    sent = connection.take_outgoing()
    first = struct.unpack_from(">i", sent, 8)[0]
    answers = b"".join(
        frame((response_header(heartbeat.API_KEY, 0, first + n), heartbeat.Response(error_code=n).encode(0)))
        for n in range(2)
    )
    assert [] == list(connection.received(answers[:7]))
    assert [("a", 0), ("b", 1)] == [(a.token, a.response.error_code) for a in connection.received(answers[7:])]
    assert connection.due_ms is None


def test_what_is_asked_early_waits_for_the_versions() -> None:
    connection = Connection(Node(0, "b0", 1), "", "client", 1000)
    connection.ask(question(heartbeat))
    connection.connected()
    assert api_versions.API_KEY == read_request_header(connection.take_outgoing()[4:])[0]
    assert 1000 == connection.due_ms
    assert ["t"] == connection.ended()


def test_what_is_no_answer_ends_the_connection() -> None:
    connection = Connection(Node(0, "b0", 1), "", "client", 1000)
    connection.connected()
    with pytest.raises(Unreachable, match="this is no Kafka broker"):
        list(connection.received(b"HTTP/1.1 400"))
    connection = opened(heartbeat=(0, 0))
    connection.ask(question(heartbeat))
    with pytest.raises(Disconnected, match="correlation id 77"):
        list(connection.received(frame((response_header(heartbeat.API_KEY, 0, 77), heartbeat.Response().encode(0)))))
    assert ["t"] == connection.ended()
