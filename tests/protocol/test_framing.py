"""Frames out of chunks; headers of requests and responses."""

import tracemalloc
from contextlib import suppress
from random import Random
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.errors import ProtocolError
from kafkalike.protocol import messages
from kafkalike.protocol.framing import (
    Frames,
    frame,
    read_request_header,
    read_response_header,
    request_header,
    response_header,
)
from tests.protocol.samples import ALL


@given(st.lists(st.integers(0, 3000), max_size=8), st.integers(1, 5000), st.integers())
def test_frames_come_out_whole_however_they_arrive(sizes, step, seed):
    random = Random(seed)
    sent = [random.randbytes(size) for size in sizes]
    stream = b"".join(frame([body]) for body in sent)
    frames = Frames(3000)
    got = []
    for start in range(0, len(stream), step):
        got += frames.feed(stream[start : start + step])
    assert got == sent
    assert frames.pending_bytes == 0


def test_a_frame_in_the_same_chunk_waits_for_nothing():
    frames = Frames(100)
    assert frames.feed(frame([b"one"]) + frame([b"two"]) + b"\0\0") == [b"one", b"two"]
    assert frames.pending_bytes == 2
    assert frames.feed(b"\0\1x") == [b"x"]


@pytest.mark.parametrize("length", [-1, -(2**31), 101, 2**31 - 1])
def test_impossible_lengths_are_refused_at_once(length):
    with pytest.raises(ProtocolError):
        Frames(100).feed(pack(">i", length))


def test_an_announced_length_costs_no_memory():
    tracemalloc.start()
    try:
        frames = Frames(2**31 - 1)
        assert frames.feed(pack(">i", 2**30) + b"abc") == []
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_large_frame_in_many_chunks_is_joined_once():
    frames = Frames(100 << 20)
    body = bytes(8 << 20)
    stream = frame([body])
    got = []
    for start in range(0, len(stream), 16384):
        got += frames.feed(stream[start : start + 16384])
    assert got == [body]
    assert isinstance(got[0], memoryview)


def test_request_headers_of_every_api_and_version():
    for name in messages.names():
        api = messages.by_name(name)
        for version in range(api.VERSIONS[0], api.VERSIONS[1] + 1):
            wire = request_header(api.API_KEY, version, 7, "client") + b"body"
            key, at, correlation_id, client_id, pos = read_request_header(wire)
            assert (key, at, correlation_id) == (api.API_KEY, version, 7)
            assert client_id == ("client" if (name, version) != ("controlled_shutdown", 0) else None)
            assert wire[pos:] == b"body"


@pytest.mark.parametrize(
    ("api_key", "version", "wire"),
    [
        (12, 0, "000c 0000 00000007 0001 63"),
        (12, 4, "000c 0004 00000007 0001 63 00"),
        (18, 3, "0012 0003 00000007 0001 63 00"),
        (7, 0, "0007 0000 00000007"),
        (7, 1, "0007 0001 00000007 0001 63"),
        (7, 3, "0007 0003 00000007 0001 63 00"),
    ],
)
def test_request_header_bytes(api_key, version, wire):
    assert request_header(api_key, version, 7, "c") == bytes.fromhex(wire)


@pytest.mark.parametrize(
    ("api_key", "version", "wire"),
    [(12, 3, "00000007"), (12, 4, "00000007 00"), (18, 4, "00000007"), (7, 3, "00000007 00")],
)
def test_response_header_bytes(api_key, version, wire):
    assert response_header(api_key, version, 7) == bytes.fromhex(wire)
    assert read_response_header(bytes.fromhex(wire) + b"body", api_key, version) == (7, len(bytes.fromhex(wire)))


def test_a_client_id_that_is_not_utf8_is_read_with_a_replacement():
    for version in (0, 4):
        wire = request_header(12, version, 7, "caf?").replace(b"?", b"\xe9")
        assert "caf\ufffd" == read_request_header(wire)[3]


def test_null_client_id_and_unknown_tags():
    assert read_request_header(request_header(12, 4, 1, None))[3] is None
    wire = bytes.fromhex("000c 0004 00000007 0001 63 01 05 02 aabb") + b"body"
    assert read_request_header(wire) == (12, 4, 7, "c", 16)


@pytest.mark.parametrize(("api_key", "version"), [(99, 0), (-1, 0), (12, 5), (12, -1), (18, 99)])
def test_what_is_not_spoken_here_still_tells_who_asks(api_key, version):
    for rest in (b"", b"\0\1c", b"\xff"):
        wire = pack(">hhi", api_key, version, 7) + rest
        assert read_request_header(wire) == (api_key, version, 7, None, None)


@pytest.mark.parametrize(
    "wire",
    [
        "",
        "000c",
        "000c 0000 00000007",
        "000c 0000 00000007 0009 63",
        "000c 0000 00000007 fffe",
        "000c 0004 00000007 ffff",
    ]
    + ["000c 0004 00000007 ffff 01", "000c 0004 00000007 ffff ffffffffff00"],
)
def test_broken_request_headers(wire):
    with pytest.raises(ProtocolError):
        read_request_header(bytes.fromhex(wire))


@pytest.mark.parametrize("wire", ["", "000000", "00000007"])
def test_broken_response_headers(wire):
    with pytest.raises(ProtocolError):
        read_response_header(bytes.fromhex(wire), 12, 4)


def test_damaged_headers_only_ever_raise_protocol_error():
    random = Random(5)
    for message, version in ALL:
        wire = bytearray(request_header(messages.by_name(message.title.split(".")[0]).API_KEY, version, 1, "client"))
        for _ in range(5):
            wire[random.randrange(len(wire))] = random.randrange(256)
            with suppress(ProtocolError):
                read_request_header(bytes(wire[: random.randint(0, len(wire))]))
