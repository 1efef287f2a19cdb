"""Frames to calls: versions, errors, the ways in which a handler may answer."""

import struct
from types import SimpleNamespace

import pytest
from twisted.internet import defer

from kafkalike.broker.dispatch import LATER, Dispatch
from kafkalike.errors import Error, KafkaError, ProtocolError
from kafkalike.protocol import framing
from kafkalike.protocol.messages import api_versions, delete_records

API_VERSIONS, DELETE_RECORDS = 18, 21


class Connection:
    """Collects what is answered."""

    peer, listener = "127.0.0.1", "PLAINTEXT"

    def __init__(self):
        self.closed = False
        self.answers = 0

    def answered(self):
        self.answers += 1

    def close(self):
        self.closed = True

    abort = close


@pytest.fixture
def dispatch():
    broker = SimpleNamespace(api_versions=lambda: api_versions.Response(api_keys=[api_versions.ApiVersion(api_key=18)]))
    return Dispatch(broker)


@pytest.fixture
def connection():
    return Connection()


def frame(key, version, body):
    return framing.request_header(key, version, 7, "test") + body


def handled_by(dispatch, key, handler):
    dispatch.apis[key] = dispatch.apis[key]._replace(handler=handler)


def delete_records_call(dispatch, connection, version=2):
    call = dispatch.begin(connection, frame(DELETE_RECORDS, version, delete_records.Request().encode(version)))
    call.run()
    return call


def body(call, tagged=True):
    data = b"".join(call.answer)
    assert struct.unpack_from(">ii", data) == (len(data) - 4, 7)
    return data[9 if tagged else 8 :]


def test_every_api_is_listed_under_its_key_with_its_handler(dispatch):
    for key, api in dispatch.apis.items():
        assert api.key == key
        assert callable(api.handler)
        assert 0 <= api.oldest <= api.newest


def test_an_answer_is_framed_with_the_header_of_its_version(dispatch, connection):
    response = delete_records.Response(throttle_time_ms=5)
    handled_by(dispatch, DELETE_RECORDS, lambda broker, call: response)
    assert body(delete_records_call(dispatch, connection, 2)) == response.encode(2)
    assert body(delete_records_call(dispatch, connection, 1), tagged=False) == response.encode(1)
    assert connection.answers == 2


@pytest.mark.parametrize("wrap", [defer.succeed, lambda response: response], ids=["deferred", "value"])
def test_deferreds_and_values_are_answers(dispatch, connection, wrap):
    response = delete_records.Response()
    handled_by(dispatch, DELETE_RECORDS, lambda broker, call: wrap(response))
    assert body(delete_records_call(dispatch, connection)) == response.encode(2)


def test_a_coroutine_is_run_to_its_answer(dispatch, connection):
    waiting = defer.Deferred()

    async def handler(broker, call):
        return await waiting

    handled_by(dispatch, DELETE_RECORDS, handler)
    call = delete_records_call(dispatch, connection)
    assert call.answer is None
    waiting.callback(delete_records.Response(throttle_time_ms=3))
    assert body(call) == delete_records.Response(throttle_time_ms=3).encode(2)


def test_none_sends_nothing_and_later_waits(dispatch, connection):
    handled_by(dispatch, DELETE_RECORDS, lambda broker, call: None)
    assert delete_records_call(dispatch, connection).answer == []
    handled_by(dispatch, DELETE_RECORDS, lambda broker, call: LATER)
    call = delete_records_call(dispatch, connection)
    assert call.answer is None
    call.respond(delete_records.Response())
    call.respond(delete_records.Response(throttle_time_ms=9))
    assert body(call) == delete_records.Response().encode(2)


def raising(error):
    def handler(broker, call):
        raise error

    return handler


def test_a_kafka_error_becomes_the_answers_error_code(dispatch, connection):
    handled_by(dispatch, API_VERSIONS, raising(KafkaError(Error.INVALID_REQUEST)))
    request = api_versions.Request(client_software_name="a", client_software_version="1")
    call = dispatch.begin(connection, frame(API_VERSIONS, 3, request.encode(3)))
    call.run()
    assert api_versions.Response.decode(3, body(call, tagged=False)).error_code == Error.INVALID_REQUEST
    assert not connection.closed


def test_an_error_that_an_answer_cannot_say_closes_the_connection(dispatch, connection):
    handled_by(dispatch, DELETE_RECORDS, raising(KafkaError(Error.INVALID_REQUEST)))
    assert delete_records_call(dispatch, connection).answer == []
    assert connection.closed


def test_our_own_failure_is_logged_and_answered_as_unknown(dispatch, connection, caplog):
    dispatch.apis[API_VERSIONS] = dispatch.apis[API_VERSIONS]._replace(handler=raising(ZeroDivisionError("oops")))
    call = dispatch.begin(connection, frame(API_VERSIONS, 0, b""))
    call.run()
    assert api_versions.Response.decode(0, body(call, tagged=False)).error_code == Error.UNKNOWN_SERVER_ERROR
    assert "oops" in caplog.text


def test_api_versions_of_the_future_is_answered_as_version_0(dispatch, connection):
    call = dispatch.begin(
        connection, frame(API_VERSIONS, 3, b"\xff\xff anything").replace(b"\0\x12\0\3", b"\0\x12\0\x63")
    )
    call.run()
    answer = api_versions.Response.decode(0, body(call, tagged=False))
    assert answer.error_code == Error.UNSUPPORTED_VERSION
    assert [api.api_key for api in answer.api_keys] == [18]


@pytest.mark.parametrize(("key", "version"), [(9999, 0), (-1, 0), (DELETE_RECORDS, 99), (DELETE_RECORDS, -1)], ids=str)
def test_unknown_apis_and_versions_break_the_protocol(dispatch, connection, key, version):
    with pytest.raises(ProtocolError):
        dispatch.begin(connection, struct.pack(">hhih", key, version, 7, -1) + b"\0" * 20)


def test_trailing_bytes_are_ignored_as_apache_does_and_missing_ones_break_the_protocol(dispatch, connection):
    handled_by(dispatch, DELETE_RECORDS, lambda broker, call: delete_records.Response())
    sent = frame(DELETE_RECORDS, 2, delete_records.Request().encode(2))
    call = dispatch.begin(connection, sent + b"xyz")
    call.run()
    assert body(call) == delete_records.Response().encode(2)
    with pytest.raises(ProtocolError):
        dispatch.begin(connection, sent[:-1])
