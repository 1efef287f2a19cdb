"""The server as a machine: frames and time in, effects out. What clients see is in tests/zk/test_conformance.py."""

from __future__ import annotations

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from tests.hypothesis_examples import examples
from tests.zk.raw import OPEN, buffer, string, strings
from zk import wire
from zk.server.config import Limits
from zk.server.standalone import Append, Close, Effects, Send, Standalone
from zk.wire import Op

LIMITS = Limits(tick_ms=100, container_check_ms=1000)


class Machine:
    """A server, its clock, and everything it appended."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.server = Standalone(limits, b"secret", 10**12)
        self.now = 0
        self.log: list[bytes] = []
        self.xid = 0
        self.server.started(0)

    def connect(self, number: int, timeout_ms: int = 1000, session: int = 0, password: bytes = bytes(16)) -> Effects:
        self.server.connected(number, "127.0.0.1")
        return self.frame(number, struct.pack("!iqiq", 0, 0, timeout_ms, session) + buffer(password) + b"\0")

    def call(self, number: int, op: int, record: bytes = b"") -> Effects:
        self.xid += 1
        return self.frame(number, struct.pack("!ii", self.xid, op) + record)

    def frame(self, number: int, data: bytes) -> Effects:
        return self._logged(self.server.receive(number, data, self.now, 10**12 + self.now))

    def wait(self, elapsed_ms: int) -> Effects:
        self.now += elapsed_ms
        return self._logged(self.server.tick(self.now, 10**12 + self.now))

    def restarted(self) -> Machine:
        """A machine that has read what this one has appended."""
        other = Machine(self.limits)
        for entry in self.log:
            other.server.replay(entry)
        other.log = list(self.log)
        other.now = self.now + 10**6
        other.server.started(other.now)
        return other

    def picture(self) -> object:
        server = self.server
        nodes = {path: (node.stat(), node.data, node.acl, node.owner) for path, node in server.tree.nodes.items()}
        sessions = {number: session.timeout_ms for number, session in server.sessions.by_id.items()}
        owned = {owner: set(paths) for owner, paths in server.tree.ephemerals.items()}
        return server.zxid, nodes, sessions, owned, set(server.tree.containers), server.tree.data_size

    def _logged(self, effects: Effects) -> Effects:
        self.log += [effect.entry for effect in effects if type(effect) is Append]
        return effects


def create(path: str, flags: int = 0) -> bytes:
    return string(path) + buffer(b"") + OPEN + struct.pack("!i", flags)


def kinds(effects: Effects) -> list[tuple[str, int]]:
    """Each effect's name, and the connection it concerns (0: the journal)."""
    return [(type(effect).__name__, getattr(effect, "connection", 0)) for effect in effects]


def error(effect: object) -> int:
    assert type(effect) is Send
    code: int = struct.unpack_from("!i", effect.data, 16)[0]
    return code


def test_a_session_is_durable_before_the_client_hears_of_it() -> None:
    assert [("Append", 0), ("Send", 1)] == kinds(Machine().connect(1))


def test_a_change_is_durable_before_anybody_hears_of_it() -> None:
    m = Machine()
    m.connect(1)
    m.connect(2)
    m.call(2, Op.EXISTS, string("/a") + b"\1")
    assert [("Append", 0), ("Send", 2), ("Send", 1)] == kinds(m.call(1, Op.CREATE, create("/a")))


def test_a_refused_change_is_durable_too() -> None:
    m = Machine()
    m.connect(1)
    effects = m.call(1, Op.DELETE, string("/no") + struct.pack("!i", -1))
    assert [("Append", 0), ("Send", 1)] == kinds(effects) and -101 == error(effects[1])
    assert m.restarted().server.zxid == m.server.zxid


def test_reads_and_pings_append_nothing() -> None:
    m = Machine()
    m.connect(1)
    for op in (Op.GET_DATA, Op.EXISTS, Op.GET_CHILDREN, Op.GET_CHILDREN2, Op.SYNC, Op.GET_ACL, Op.PING):
        assert [("Send", 1)] == kinds(m.call(1, op, string("/") + b"\0"))


def test_a_session_expires_with_its_ephemeral_nodes() -> None:
    m = Machine()
    m.connect(1, timeout_ms=500)
    m.connect(2, timeout_ms=2000)
    m.call(1, Op.CREATE, create("/e", 1))
    m.call(2, Op.EXISTS, string("/e") + b"\1")
    assert [] == m.wait(500)
    assert [("Append", 0), ("Send", 2), ("Close", 1)] == kinds(m.wait(100))
    assert "/e" not in m.server.tree.nodes
    assert [] == m.call(1, Op.PING)


def test_a_session_without_connection_expires_too() -> None:
    m = Machine()
    m.connect(1, timeout_ms=500)
    m.server.disconnected(1)
    assert [("Append", 0)] == kinds(m.wait(600))


def test_every_request_is_a_sign_of_life() -> None:
    m = Machine()
    m.connect(1, timeout_ms=500)
    for _ in range(10):
        m.call(1, Op.PING)
        assert [] == m.wait(400)


def test_a_session_moves_to_another_connection() -> None:
    m = Machine()
    m.connect(1)
    session = m.server.connections[1].session
    assert session is not None
    password = m.server.sessions.password(session.id)
    assert [("Close", 1), ("Send", 2)] == kinds(m.connect(2, session=session.id, password=password))
    m.server.disconnected(1)
    assert 2 == session.connection
    assert [("Send", 2)] == kinds(m.call(2, Op.PING))


def test_a_wrong_password_leaves_the_session_alone() -> None:
    m = Machine()
    m.connect(1)
    session = m.server.connections[1].session
    assert session is not None
    assert [("Send", 2), ("Close", 2)] == kinds(m.connect(2, session=session.id))
    assert [("Send", 1)] == kinds(m.call(1, Op.PING))


def test_sessions_survive_a_restart_with_their_whole_timeout() -> None:
    m = Machine()
    m.connect(1, timeout_ms=500)
    m.call(1, Op.CREATE, create("/e", 1))
    session = m.server.connections[1].session
    assert session is not None
    after = m.restarted()
    assert [] == after.wait(400)
    assert [("Send", 1)] == kinds(after.connect(1, 500, session.id, m.server.sessions.password(session.id)))
    assert "/e" in after.server.tree.nodes
    assert [("Append", 0), ("Close", 1)] == kinds(after.wait(600))
    assert "/e" not in after.server.tree.nodes


def test_a_new_session_never_has_an_old_ones_id() -> None:
    m = Machine()
    m.connect(1)
    after = m.restarted()
    after.connect(1)
    assert 2 == len(after.server.sessions.by_id)


def test_an_emptied_container_goes() -> None:
    m = Machine()
    m.connect(1, timeout_ms=2000)
    m.wait(0)
    m.call(1, Op.CREATE_CONTAINER, create("/c", 4))
    m.call(1, Op.CREATE, create("/c/a"))
    m.call(1, Op.DELETE, string("/c/a") + struct.pack("!i", -1))
    m.call(1, Op.EXISTS, string("/c") + b"\1")
    assert [("Append", 0), ("Send", 1)] == kinds(m.wait(1000))
    assert "/c" not in m.server.tree.nodes


def test_a_super_user_may_everything() -> None:
    m = Machine(Limits(super_digest="super:D/InIHSb7yEEbrWz8b9l71RjZJU="))
    m.connect(1)
    locked = string("/a") + buffer(b"") + struct.pack("!ii", 1, 31) + string("digest") + string("x:y")
    m.call(1, Op.CREATE, locked + struct.pack("!i", 0))
    read = string("/a") + b"\0"
    assert -102 == error(m.call(1, Op.GET_DATA, read)[0])
    m.call(1, Op.AUTH, struct.pack("!i", 0) + string("digest") + buffer(b"super:test"))
    assert 0 == error(m.call(1, Op.GET_DATA, read)[0])


def test_a_closed_connection_is_deaf() -> None:
    m = Machine()
    m.connect(1)
    m.call(1, Op.CLOSE_SESSION)
    assert [] == m.call(1, Op.CREATE, create("/a"))
    assert "/a" not in m.server.tree.nodes


def test_entries_are_numbered_without_gaps() -> None:
    m = Machine()
    m.connect(1)
    m.call(1, Op.CREATE, create("/a"))
    other = Machine()
    other.server.replay(m.log[0])
    other.server.replay(m.log[0])
    try:
        other.server.replay(Append(m.log[1].replace(struct.pack("!q", 2), struct.pack("!q", 3), 1)).entry)
    except ValueError as problem:
        assert "0x3 follows 0x1" in str(problem)
    else:
        raise AssertionError("a gap went unnoticed")


# Random clients.

PATHS = st.sampled_from(["/a", "/b", "/a/x", "/a/y", "/a/x/1", "/c", ""])
VERSIONS = st.sampled_from([-1, -1, -1, 0, 1])
CHANGES = st.one_of(
    st.tuples(st.sampled_from([Op.CREATE, Op.CREATE2]), st.builds(create, PATHS, st.integers(0, 3))),
    st.tuples(st.just(Op.CREATE_CONTAINER), st.builds(lambda path: create(path, 4), PATHS)),
    st.tuples(st.just(Op.DELETE), st.builds(lambda p, v: string(p) + struct.pack("!i", v), PATHS, VERSIONS)),
    st.tuples(
        st.just(Op.SET_DATA),
        st.builds(lambda p, d, v: string(p) + buffer(d) + struct.pack("!i", v), PATHS, st.binary(max_size=3), VERSIONS),
    ),
    st.tuples(st.just(Op.CHECK), st.builds(lambda p, v: string(p) + struct.pack("!i", v), PATHS, VERSIONS)),
)
MULTIS = st.lists(CHANGES, max_size=4).map(
    lambda steps: (
        Op.MULTI,
        b"".join(wire.MULTI_HEADER.pack(op, False, -1) + record for op, record in steps) + wire.MULTI_END,
    )
)
OTHERS = st.sampled_from(
    [(Op.GET_DATA, string("/a") + b"\1"), (Op.GET_CHILDREN, string("/a") + b"\1"), (Op.EXISTS, string("/b") + b"\1"),
     (Op.ADD_WATCH, string("/a") + struct.pack("!i", 1)), (Op.SET_WATCHES, struct.pack("!q", 0) + strings("/a") * 3),
     (Op.SET_ACL, string("/a") + OPEN + struct.pack("!i", -1)), (Op.CLOSE_SESSION, b"")]
)  # fmt: skip
REQUESTS = st.lists(
    st.tuples(st.integers(1, 3), CHANGES | MULTIS | OTHERS, st.sampled_from([0, 0, 0, 50, 900])), max_size=40
)


@given(REQUESTS, st.integers(0, 40))
@examples(150)
def test_the_journal_gives_the_same_state(requests: list, snapshot_at: int) -> None:
    """By itself, and from a snapshot taken anywhere, written while changes go on."""
    m = Machine()
    for number in (1, 2, 3):
        m.connect(number, timeout_ms=1000)
    records, loaded, skipped = None, [], 0
    for turn, (number, (op, record), wait) in enumerate(requests):
        if turn == snapshot_at:
            records, skipped = m.server.snapshot(), len(m.log)
        if records is not None:
            loaded += [item for item in (next(records, None),) if item is not None]
        if m.server.connections[number].closing:
            m.server.disconnected(number)
            m.connect(number, timeout_ms=1000)
        m.call(number, op, record)
        if wait:
            m.wait(wait)
    assert m.restarted().picture() == m.picture()
    if records is not None:
        other = Machine()
        for item in [*loaded, *records]:
            other.server.load(item)
        for entry in m.log[max(skipped - 5, 0) :]:
            other.server.replay(entry)
        assert other.picture() == m.picture()


KINDS = st.sampled_from(list(Op)) | st.integers(-20, 120)
ODD_PATHS = st.text(alphabet="/.a\0\x7f", max_size=6) | st.sampled_from([None, "", "/", "/a", "/zookeeper", "/a/b"])
NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 5, 2**31 - 1, -(2**31)]).map(lambda value: struct.pack("!i", value))
TAILS = st.sampled_from([b"", b"\0", b"\1"]) | NUMBERS | st.builds(lambda n: buffer(b"") + OPEN + n, NUMBERS)
PATHED = st.builds(lambda path, tail: string(path) + tail, ODD_PATHS, TAILS)
# Any operation on any path; the vectors of set watches; a step of a multi.
RECORDS = (
    PATHED
    | st.binary(max_size=30)
    | CHANGES.map(lambda change: change[1])
    | st.lists(ODD_PATHS, max_size=3).map(
        lambda paths: struct.pack("!q", 0) + (NUMBER_OF[len(paths)] + b"".join(map(string, paths))) * 5
    )
    | st.builds(lambda op, record: wire.MULTI_HEADER.pack(op, False, -1) + record + wire.MULTI_END, KINDS, PATHED)
)
NUMBER_OF = [struct.pack("!i", count) for count in range(4)]


@given(st.lists(st.tuples(KINDS, RECORDS, st.binary(max_size=4) | st.just(b"")), max_size=8))
@examples(300)
@example([(Op.CHECK_WATCHES, string(path) + struct.pack("!i", 3), b"") for path in ("", "x", "a/b")])
def test_no_frame_harms_the_server(frames: list) -> None:
    m = Machine()
    m.connect(1)
    m.connect(2)
    for op, record, more in frames:
        if m.server.connections[2].closing:
            m.server.disconnected(2)
            m.connect(2)
        m.call(2, op, record + more)
    assert 0 == error(m.call(1, Op.PING)[0])
    assert m.restarted().picture() == m.picture()


@given(st.binary(max_size=60))
@examples(200)
def test_no_first_frame_harms_the_server(data: bytes) -> None:
    m = Machine()
    m.server.connected(1, "127.0.0.1")
    effects = m.frame(1, data)
    assert ("Send", 1) in kinds(effects) or [Close(1)] == effects
