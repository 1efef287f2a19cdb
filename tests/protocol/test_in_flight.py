"""Requests of one connection, and the responses that answer them."""

import pytest

from kafkalike.errors import Error, ProtocolError
from kafkalike.protocol.framing import Frames, frame, read_request_header, response_header
from kafkalike.protocol.in_flight import InFlightRequests
from kafkalike.protocol.messages import api_versions, heartbeat


def answer(message, version, correlation_id, response):
    [found] = Frames(1000).feed(
        frame([response_header(message.API_KEY, version, correlation_id), response.encode(version)])
    )
    return found


def a_heartbeat(group="g"):
    return heartbeat.Request(group_id=group, member_id="m")


def test_responses_answer_the_requests_in_their_order_and_bring_the_token_back():
    requests = InFlightRequests("c")
    sent = [requests.send(heartbeat, 0, a_heartbeat(), token) for token in ("first", "second")]
    headers = [read_request_header(found) for wire in sent for found in Frames(1000).feed(wire)]
    assert [(12, 0, 1, "c"), (12, 0, 2, "c")] == [header[:4] for header in headers]
    for number, token in ((1, "first"), (2, "second")):
        asked, response = requests.complete(answer(heartbeat, 0, number, heartbeat.Response(error_code=number)))
        assert (token, number, number) == (asked.token, asked.correlation_id, response.error_code)
    assert 0 == len(requests)


def test_a_response_to_another_request_is_a_broken_peer():
    requests = InFlightRequests("c")
    requests.send(heartbeat, 0, a_heartbeat())
    with pytest.raises(ProtocolError, match="correlation id 9 where 1 was expected"):
        requests.complete(answer(heartbeat, 0, 9, heartbeat.Response()))
    assert 1 == len(requests)


def test_a_response_that_nobody_asked_for_is_a_broken_peer():
    with pytest.raises(ProtocolError, match="nobody asked for"):
        InFlightRequests("c").complete(answer(heartbeat, 0, 1, heartbeat.Response()))


def test_a_response_that_cannot_be_decoded_leaves_its_request_waiting():
    requests = InFlightRequests("c")
    requests.send(heartbeat, 0, a_heartbeat())
    for wire in (b"\0\0\0\1", b"\0\0"):
        with pytest.raises(ProtocolError):
            requests.complete(wire)
    assert 1 == len(requests)


def test_a_request_that_cannot_be_encoded_does_not_wait():
    requests = InFlightRequests("c")
    with pytest.raises(TypeError):
        requests.send(heartbeat, 0, "no request")
    assert 0 == len(requests)
    assert 1 == requests.add(heartbeat, 0)


def test_an_old_broker_answers_api_versions_in_its_oldest_version():
    requests = InFlightRequests("c")
    requests.send(api_versions, 4, api_versions.Request())
    asked, response = requests.complete(answer(api_versions, 0, 1, api_versions.unsupported()))
    assert (4, Error.UNSUPPORTED_VERSION) == (asked.version, response.error_code)
    assert [18] == [api.api_key for api in response.api_keys]


def test_a_produce_request_without_acks_waits_for_nothing():
    requests = InFlightRequests("c")
    requests.add(heartbeat, 0, "kept")
    requests.add(heartbeat, 0, "without")
    requests.expect_no_response()
    assert ["kept"] == [each.token for each in requests.clear()]
    assert 0 == len(requests)


def test_correlation_ids_begin_again_before_they_would_be_negative():
    requests = InFlightRequests("c")
    requests._correlation_id = 2**31 - 2
    assert [2**31 - 1, 0, 1] == [requests.add(heartbeat, 0) for _ in range(3)]
