"""How a handler may answer, and what becomes of its errors."""

import pytest
from twisted.internet import defer

from kafkalike.broker.pending_response import PendingResponse
from kafkalike.broker.request import NO_RESPONSE
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import api_versions, delete_records
from tests.broker.recording_connection import (
    API_VERSIONS,
    DELETE_RECORDS,
    body,
    delete_records_call,
    frame,
    handled_by,
)


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


def test_no_response_sends_nothing(dispatch, connection):
    handled_by(dispatch, DELETE_RECORDS, lambda broker, call: NO_RESPONSE)
    assert delete_records_call(dispatch, connection).answer == []
    handled_by(dispatch, DELETE_RECORDS, lambda broker, call: defer.succeed(NO_RESPONSE))
    assert delete_records_call(dispatch, connection).answer == []
    assert connection.answers == 2


def test_a_pending_response_is_waited_for_and_answers_once(dispatch, connection):
    pending = PendingResponse()
    handled_by(dispatch, DELETE_RECORDS, lambda broker, call: pending)
    call = delete_records_call(dispatch, connection)
    assert call.answer is None
    pending.respond(delete_records.Response())
    pending.respond(delete_records.Response(throttle_time_ms=9))
    assert body(call) == delete_records.Response().encode(2)
    assert connection.answers == 1


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


def test_a_string_that_has_grown_too_long_for_the_answer_closes_the_connection(dispatch, connection, caplog):
    """What is no UTF-8 is three bytes for each wrong one when it is sent back."""
    name = b"\xff".decode(errors="replace") * 20_000
    response = delete_records.Response(topics=[delete_records.DeleteRecordsTopicResult(name=name)])
    handled_by(dispatch, DELETE_RECORDS, lambda broker, call: response)
    assert delete_records_call(dispatch, connection, 1).answer == []
    assert (connection.closed, connection.answers) == (True, 1)
    (line,) = caplog.records
    assert line.getMessage().startswith("Closing the connection from 127.0.0.1: the answer to DeleteRecords v1 cannot")
    assert line.exc_info is None


def test_our_own_failure_is_logged_and_answered_as_unknown(dispatch, connection, caplog):
    dispatch.apis[API_VERSIONS] = dispatch.apis[API_VERSIONS]._replace(handler=raising(ZeroDivisionError("oops")))
    call = dispatch.begin(connection, frame(API_VERSIONS, 0, b""))
    call.run()
    assert api_versions.Response.decode(0, body(call, tagged=False)).error_code == Error.UNKNOWN_SERVER_ERROR
    assert "oops" in caplog.text
