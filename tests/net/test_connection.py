"""Accepted connections: order of answers, overlap, back-pressure, file ranges; on real sockets, with each outlet."""

import os
import socket
import struct
import threading

import pytest
from twisted.internet import reactor

from kafkalike.net.connection_limits import ConnectionLimits
from kafkalike.net.listener import Listener
from kafkalike.net.outlet import PlainOutlet
from kafkalike.net.server import Server
from tests import reactor as shared
from tests.net.outlets import WritingOutlet

PRODUCE, OTHER = 0, 3


def frame(api, body=b""):
    payload = struct.pack(">h", api) + body
    return struct.pack(">i", len(payload)) + payload


class Range:
    """A range of a file, counted."""

    def __init__(self, fd, position, size):
        self.fd, self.position, self.size, self.count = fd, position, size, 0

    def retain(self):
        self.count += 1

    def release(self):
        self.count -= 1

    def read(self):
        return os.pread(self.fd, self.size, self.position)


class Calls:
    """Remembers every call; tests answer them."""

    def __init__(self):
        self.started = []
        self.left = []  # what `sent` was told of, in order
        self.changed = threading.Condition()

    def begin(self, connection, frame):
        calls = self

        class Call:
            answer = None
            body = bytes(frame[2:])
            timing = body or None

            def run(self):
                self.connection = connection
                with calls.changed:
                    calls.started.append(self)
                    calls.changed.notify_all()

            def reply(self, *chunks):
                def answer():
                    self.answer = list(chunks)
                    connection.answered()

                shared.run(answer)

            def close(self):
                shared.run(connection.close)

        return Call()

    def sent(self, timings, began):
        together = []
        while timings is not None:
            timing, timings = timings
            together.insert(0, timing)
        self.left += together

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.started) >= count, 10), f"{len(self.started)} of {count}"
        return self.started


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture(params=[PlainOutlet, WritingOutlet])
def connect(calls, request):
    opened = []
    limits = ConnectionLimits(100, 100, {})
    server = Server(
        "PLAINTEXT", calls.begin, 1 << 20, limits, sent=calls.sent, overlapping=b"\0\0", outlet=request.param
    )
    listener = shared.run(Listener, reactor, server, "127.0.0.1", 0, 10, 600_000)
    shared.run(listener.accept)

    def open_one():
        client = socket.create_connection(("127.0.0.1", listener.port), timeout=10)
        opened.append(client)
        return client

    yield open_one
    for client in opened:
        client.close()
    shared.run(listener.close)
    shared.run(server.abort_all)


def read(client, size):
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        assert more, f"closed after {len(data)} of {size} bytes"
        data += more
    return data


def closed(client):
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def settled(client, calls, count):
    """A whole turn has passed: what could start has started."""
    shared.run(lambda: None)
    shared.run(lambda: None)
    return len(calls.started) == count


def test_produces_overlap_and_are_answered_in_order(calls, connect):
    client = connect()
    client.sendall(frame(PRODUCE, b"a") + frame(PRODUCE, b"b"))
    first, second = calls.wait_for(2)
    second.reply(b"2")
    first.reply(b"1")
    assert read(client, 2) == b"12"


def test_any_other_request_waits_for_all_before_it(calls, connect):
    client = connect()
    client.sendall(frame(PRODUCE) + frame(OTHER) + frame(PRODUCE))
    calls.wait_for(1)
    assert settled(client, calls, 1)
    calls.started[0].reply(b"1")
    calls.wait_for(2)
    assert settled(client, calls, 2)
    calls.started[1].reply(b"2")
    calls.wait_for(3)
    calls.started[2].reply(b"3")
    assert read(client, 3) == b"123"


def test_a_call_that_only_waits_is_hurried_by_what_comes_behind_it(calls, connect):
    client = connect()
    client.sendall(frame(OTHER))
    (first,) = calls.wait_for(1)
    hurried = []

    def hurry():
        hurried.append(1)
        first.answer = [b"1"]
        first.connection.answered()

    shared.run(setattr, first.connection, "hurry", hurry)
    client.sendall(frame(OTHER) + frame(OTHER))
    calls.wait_for(2)[1].reply(b"2")
    calls.wait_for(3)[2].reply(b"3")
    assert (read(client, 3), hurried) == (b"123", [1])


def test_an_empty_answer_sends_nothing_and_frees_the_way(calls, connect):
    client = connect()
    client.sendall(frame(OTHER) + frame(OTHER))
    calls.wait_for(1)[0].reply()
    calls.wait_for(2)[1].reply(b"x")
    assert read(client, 1) == b"x"


def test_calls_are_told_of_when_their_answers_have_left(calls, connect):
    client = connect()
    client.sendall(frame(PRODUCE, b"a") + frame(PRODUCE, b"b") + frame(PRODUCE, b"c"))
    first, second, third = calls.wait_for(3)
    second.reply(b"2")
    assert calls.left == []
    first.reply(b"1")
    assert read(client, 2) == b"12"
    third.reply()
    assert shared.run(lambda: calls.left) == [b"a", b"b", b"c"]


def test_of_calls_of_one_kind_that_leave_together_the_newest_tells(calls, connect):
    client = connect()
    client.sendall(frame(PRODUCE, b"a1") + frame(PRODUCE, b"a2") + frame(PRODUCE, b"b1") + frame(PRODUCE, b"a3"))
    first, *others = calls.wait_for(4)
    for each in others:
        each.reply(b".")
    first.reply(b".")
    read(client, 4)
    assert shared.run(lambda: calls.left) == [b"a2", b"b1", b"a3"]


@pytest.mark.parametrize("connect", [PlainOutlet], indirect=True)
def test_an_answer_that_the_client_does_not_read_has_not_left(calls, connect):
    client = connect()
    client.sendall(frame(OTHER, b"a"))
    calls.wait_for(1)[0].reply(bytes(8 << 20))
    assert settled(client, calls, 1) and calls.left == []
    read(client, 8 << 20)
    client.sendall(frame(OTHER, b"b"))
    calls.wait_for(2)
    assert calls.left == [b"a"]


def test_file_ranges_are_sent_in_place_and_released(calls, connect, tmp_path):
    content = os.urandom(8 << 20)
    (tmp_path / "segment").write_bytes(content)
    fd = os.open(tmp_path / "segment", os.O_RDONLY)
    ranges = [Range(fd, 10, 5_000_000), Range(fd, 5_000_010, 1000)]
    client = connect()
    client.sendall(frame(OTHER))
    calls.wait_for(1)[0].reply(b"head", ranges[0], b"middle", ranges[1], b"tail")
    expected = b"head" + content[10:5_000_010] + b"middle" + content[5_000_010:5_001_010] + b"tail"
    assert read(client, len(expected)) == expected
    shared.run(lambda: None)
    assert [r.count for r in ranges] == [0, 0]
    os.close(fd)


def test_ranges_of_a_lost_connection_are_released(calls, connect, tmp_path):
    (tmp_path / "segment").write_bytes(bytes(64 << 20))
    fd = os.open(tmp_path / "segment", os.O_RDONLY)
    unsent = Range(fd, 0, 64 << 20)
    client = connect()
    client.sendall(frame(OTHER))
    calls.wait_for(1)[0].reply(unsent)
    read(client, 1000)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    for _ in range(1000):
        if shared.run(lambda: unsent.count) == 0:
            break
    assert unsent.count == 0
    os.close(fd)


@pytest.mark.slow
def test_a_client_that_does_not_read_gets_no_further_answers_made(calls, connect, tmp_path):
    client = connect()
    client.sendall(frame(OTHER) * 3)
    calls.wait_for(1)[0].reply(bytes(64 << 20))
    assert settled(client, calls, 1)
    read(client, 64 << 20)
    calls.wait_for(2)


def test_a_call_that_ends_without_an_answer_and_closes_is_closed(calls, connect):
    client = connect()
    client.sendall(frame(OTHER))
    (call,) = calls.wait_for(1)
    call.close()
    call.reply()
    assert closed(client)


def test_a_frame_above_the_limit_closes_this_connection_only(calls, connect):
    bad, good = connect(), connect()
    bad.sendall(struct.pack(">i", (1 << 20) + 1))
    assert closed(bad)
    good.sendall(frame(OTHER))
    calls.wait_for(1)[0].reply(b"ok")
    assert read(good, 2) == b"ok"


def test_close_lets_earlier_answers_out_first(calls, connect):
    client = connect()
    client.sendall(frame(PRODUCE) + frame(PRODUCE))
    first, second = calls.wait_for(2)
    second.close()
    second.reply()
    first.reply(b"1")
    assert read(client, 1) == b"1"
    assert closed(client)
