"""A connection that keeps what it is answered, for tests of what comes between frames and handlers."""

import struct
from types import SimpleNamespace

from kafkalike.broker.dispatch import Dispatch
from kafkalike.protocol import framing
from kafkalike.protocol.messages import api_versions, delete_records

API_VERSIONS, DELETE_RECORDS = 18, 21


class Connection:
    """Counts its answers; they are in the calls."""

    peer, listener, fast_path = "127.0.0.1", "PLAINTEXT", None

    def __init__(self):
        self.closed = False
        self.received_at = 0.0
        self.answers = 0

    def answered(self):
        self.answers += 1

    def close(self):
        self.closed = True

    abort = close


def dispatch_alone():
    """Dispatch of a broker that has nothing but the list of its APIs."""
    broker = SimpleNamespace(api_versions=[api_versions.ApiVersion(api_key=18)])
    return Dispatch(broker)


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
