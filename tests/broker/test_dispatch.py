"""Frames to calls: APIs, versions, lengths."""

import struct
from typing import get_type_hints

import pytest

from kafkalike.broker.broker import Broker
from kafkalike.broker.request import Call
from kafkalike.errors import Error, ProtocolError
from kafkalike.protocol.messages import api_versions, delete_records
from tests.broker.recording_connection import (
    API_VERSIONS,
    DELETE_RECORDS,
    body,
    frame,
    handled_by,
)


def test_every_api_is_listed_under_its_key_with_its_handler(dispatch):
    for key, api in dispatch.apis.items():
        assert api.key == key
        assert callable(api.handler)
        assert 0 <= api.oldest <= api.newest


def test_every_handler_says_what_it_takes_and_what_it_answers(dispatch):
    for api in dispatch.apis.values():
        hints = get_type_hints(api.handler)
        assert (Broker, Call[api.request]) == (hints["broker"], hints["call"]), api.name
        assert "Any" not in str(hints["return"]), api.name


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
