"""Outlets on a real socket: what was put arrives in order, whatever the other side takes at once."""

import os
import socket

import pytest

from kafkalike.net.outlet import PlainOutlet
from tests.net.outlets import WritingOutlet


class Transport:
    """Twisted's transport, as far as an outlet uses it, turned by hand."""

    def __init__(self, sock):
        self.socket = sock
        self.producer = None
        self.aborted = False
        self.waiting = False
        self.unsent = b""

    def registerProducer(self, producer, streaming):
        assert self.producer is None and not streaming
        self.producer = producer
        producer.resumeProducing()

    def unregisterProducer(self):
        assert self.producer is not None
        self.producer = None

    def startWriting(self):
        self.waiting = True

    def write(self, data):
        self.unsent += data

    def abortConnection(self):
        self.aborted = True

    def turn(self):
        """There is room again, so far as the socket takes what is unsent."""
        self.waiting = False
        if self.unsent:
            try:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
            except BlockingIOError:
                return
        if not self.unsent and self.producer is not None:
            self.producer.resumeProducing()


class Owner:
    def __init__(self):
        self.heard = []

    def has_room(self):
        self.heard.append("room")

    def cannot_send(self, problem):
        self.heard.append(problem.errno)


class Range:
    def __init__(self, fd, position, size):
        self.fd, self.position, self.size, self.count = fd, position, size, 0

    def retain(self):
        self.count += 1

    def release(self):
        self.count -= 1

    def read(self):
        return os.pread(self.fd, self.size, self.position)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "records"
    path.write_bytes(bytes(range(256)) * 16384)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def received(theirs):
    try:
        return theirs.recv(1 << 20)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("kind", [PlainOutlet, WritingOutlet])
def test_everything_arrives_in_the_order_in_which_it_was_put(kind, pair, file):
    ours, theirs = pair
    transport, owner = Transport(ours), Owner()
    outlet = kind(transport, owner)
    ranges = [Range(file, 3, 3 << 20), Range(file, 100, 7)]
    items = [b"a" * 1000, b"b", ranges[0], b"c" * (1 << 20), b"d", ranges[1], b"e"]
    expected = b"".join(item if isinstance(item, bytes) else item.read() for item in items)
    outlet.put(items[:3])
    outlet.put(items[3:])
    assert sum(len(i) if isinstance(i, bytes) else i.size for i in items) == outlet.unflushed_bytes
    assert [1, 1] == [each.count for each in ranges]
    outlet.flush()
    assert outlet.stuck and outlet.holds(lambda item: item is ranges[1])
    assert 0 == outlet.unflushed_bytes
    heard = b""
    while len(heard) < len(expected):
        heard += received(theirs)
        transport.turn()
    while outlet.stuck:
        transport.turn()
    assert expected == heard
    assert [0, 0] == [each.count for each in ranges]
    assert ["room"] == owner.heard and transport.producer is None


def test_a_plain_outlet_asks_for_room_after_each_partial_send(pair):
    ours, theirs = pair
    transport = Transport(ours)
    outlet = PlainOutlet(transport, Owner())
    outlet.put([bytes(8 << 20)])
    outlet.flush()
    turns = 0
    while outlet.stuck:
        assert transport.waiting
        received(theirs)
        transport.turn()
        turns += 1
    assert turns > 1 and not transport.waiting


def test_who_does_not_listen_any_more_is_told_to_the_owner(pair):
    ours, theirs = pair
    owner = Owner()
    outlet = PlainOutlet(Transport(ours), owner)
    theirs.close()
    outlet.put([b"lost"])
    outlet.flush()
    assert 1 == len(owner.heard) and "room" not in owner.heard


def test_a_file_that_is_shorter_than_its_range_breaks_the_connection(pair, file):
    owner = Owner()
    outlet = PlainOutlet(Transport(pair[0]), owner)
    outlet.put([Range(file, 16384 * 256, 10)])
    outlet.flush()
    assert 1 == len(owner.heard)


def test_after_an_abort_nothing_is_sent(pair, file):
    ours, theirs = pair
    transport, owner = Transport(ours), Owner()
    outlet = PlainOutlet(transport, owner)
    held = Range(file, 0, 100)
    outlet.put([bytes(8 << 20), held])
    outlet.flush()
    while received(theirs):
        pass
    outlet.abort()
    transport.turn()
    assert b"" == received(theirs) and transport.aborted and 1 == held.count
    outlet.release()
    assert 0 == held.count and not outlet.queue
