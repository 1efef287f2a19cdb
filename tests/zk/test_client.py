"""The client on the reactor, against both servers."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kazoo.exceptions import BadVersionError, RolledBackError, RuntimeInconsistency
from kazoo.protocol.serialization import CheckVersion, SetData, Transaction
from kazoo.protocol.serialization import Create as KazooCreate
from kazoo.protocol.serialization import Delete as KazooDelete
from kazoo.security import OPEN_ACL_UNSAFE
from twisted.internet import protocol, reactor
from twisted.protocols.portforward import ProxyFactory

from tests.reactor import on_reactor, until
from tests.servers import free_port
from tests.zookeeper import Clients
from zk import wire
from zk.client import (
    BadVersion,
    Check,
    ConnectionClosed,
    ConnectionLoss,
    ConnectTimeout,
    Create,
    Delete,
    NodeExists,
    NoNode,
    NotEmpty,
    Set,
    TooLarge,
    ZkClient,
    _Handler,
    _Multi,
    gather,
    handshake_seconds,
)


@pytest.mark.real_zookeeper
@on_reactor
async def test_what_no_server_takes_is_refused_and_the_session_lives(clients: Clients) -> None:
    zk = await clients.open()
    states: list[str] = []
    zk.add_listener(states.append)
    await zk.create("/a")
    much = bytes(1 << 20)
    for operation in (
        lambda: zk.set("/a", much),
        lambda: zk.create("/b", much),
        lambda: zk.multi([Check("/a", -1), Create("/b", much)]),
        lambda: zk.multi([Set("/a", much[: 1 << 15]) for _ in range(32)]),
    ):
        with pytest.raises(TooLarge, match="ZooKeeper takes 1048567"):
            await operation()
    # What is just within is taken.
    header, longest = len(_Multi(zk._real, [Set("/a", b"")]).serialize()), 0xFFFFF - 8
    await zk.multi([Set("/a", bytes(longest - header))])
    with pytest.raises(TooLarge):
        await zk.multi([Set("/a", bytes(longest - header + 1))])
    assert longest - header == len((await zk.get("/a"))[0] or b"")
    assert [] == states


@pytest.mark.real_zookeeper
@on_reactor
async def test_nodes_are_made_read_written_and_deleted(clients: Clients) -> None:
    zk = await clients.open()
    assert "/a" == await zk.create("/a")
    data, stat = await zk.get("/a")
    assert (None, 0) == (data, stat.version)
    assert 1 == (await zk.set("/a", b"x")).version
    assert b"x" == (await zk.get("/a"))[0]
    assert ["a"] == await zk.children("/")
    assert "/a/b" == await zk.create("/a/b", b"", ephemeral=True)
    assert zk.session_id == (await zk.exists("/a/b")).ephemeralOwner
    with pytest.raises(NotEmpty):
        await zk.delete("/a")
    await zk.delete("/a/b", 0)
    await zk.delete("/a")
    assert await zk.exists("/a") is None


@pytest.mark.real_zookeeper
@on_reactor
async def test_errors_are_exceptions(clients: Clients) -> None:
    zk = await clients.open()
    with pytest.raises(NoNode):
        await zk.get("/none")
    with pytest.raises(NoNode):
        await zk.create("/none/below")
    await zk.create("/a")
    with pytest.raises(NodeExists):
        await zk.create("/a")
    with pytest.raises(BadVersion):
        await zk.set("/a", b"", 7)
    with pytest.raises(BadVersion):
        await zk.delete("/a", 7)


@pytest.mark.real_zookeeper
@on_reactor
async def test_parents_and_the_chroot_are_made_with_null_data(clients: Clients) -> None:
    zk = await clients.open()
    assert "/a/b/c" == await zk.create("/a/b/c", b"x", makepath=True)
    assert "/a/b/d" == await zk.create("/a/b/d", b"x", makepath=True)
    await zk.ensure_path("/a/e/f")
    for path in ("/", "/a", "/a/b", "/a/e", "/a/e/f"):
        assert (await zk.get(path))[0] is None
    with pytest.raises(NodeExists):
        await zk.create("/a/b/c", b"y", makepath=True)


@pytest.mark.real_zookeeper
@on_reactor
async def test_sequential_names_come_without_the_chroot(clients: Clients) -> None:
    zk = await clients.open()
    assert "/n-0000000000" == await zk.create("/n-", None, sequence=True)
    assert "/n-0000000001" == await zk.create("/n-", None, sequence=True)


@pytest.mark.real_zookeeper
@on_reactor
async def test_a_multi_is_all_or_nothing_and_says_which_part_failed(clients: Clients) -> None:
    zk = await clients.open()
    results = await zk.multi([Create("/e", None, True), Set("/e", b"x", 0), Check("/e", 1), Create("/p", b"")])
    assert ("/e", 1, True, "/p") == (results[0], results[1].version, results[2], results[3])
    with pytest.raises(BadVersion) as caught:
        await zk.multi([Delete("/p"), Check("/e", 1), Set("/e", b"y", 7), Create("/q")])
    assert 2 == caught.value.index  # type: ignore[attr-defined]
    assert ["e", "p"] == sorted(await zk.children("/"))
    assert await zk.multi([Delete("/p"), Delete("/e", 1)]) == [True, True]


PATHS = st.text("/aé", min_size=1).map(lambda path: "/" + path)
DATA = st.none() | st.binary(max_size=9)
VERSIONS = st.integers(-1, 2**31 - 1)
OPERATIONS = st.one_of(
    st.builds(Create, PATHS, DATA, st.booleans(), st.booleans()),
    st.builds(Set, PATHS, DATA, VERSIONS),
    st.builds(Delete, PATHS, VERSIONS),
    st.builds(Check, PATHS, VERSIONS),
)


def _kazoos(op: Any) -> Any:
    if isinstance(op, Create):
        return KazooCreate("/root" + op.path, op.data, OPEN_ACL_UNSAFE, op.ephemeral + 2 * op.sequence)
    return {Set: SetData, Delete: KazooDelete, Check: CheckVersion}[type(op)]("/root" + op.path, *op[1:])


@given(st.lists(OPERATIONS))
def test_a_multi_is_what_kazoo_would_send(operations: list[Any]) -> None:
    sent = _Multi(lambda path: "/root" + path, operations).serialize()
    assert Transaction([_kazoos(op) for op in operations]).serialize() == sent


def test_the_results_of_a_multi_are_what_kazoo_would_read() -> None:
    stat = wire.STAT.pack(*range(11))
    results = [
        (wire.Op.SET_DATA, stat),
        (wire.Op.CHECK, b""),
        (wire.Op.CREATE, wire.string("/é")),
        (wire.Op.DELETE, b""),
    ]
    reply = b"skip" + b"".join(wire.multi_result(kind, 0, body) for kind, body in results) + wire.MULTI_END
    assert [tuple(range(11)), True, "/é", True] == _Multi.deserialize(reply, 4) == Transaction.deserialize(reply, 4)
    codes = wire.Code.OK, wire.Code.BAD_VERSION, wire.Code.RUNTIME_INCONSISTENCY
    refused = b"".join(wire.multi_result(wire.Op.ERROR, code, wire.INT.pack(code)) for code in codes) + wire.MULTI_END
    errors = [type(error) for error in _Multi.deserialize(refused, 0)]
    assert [RolledBackError, BadVersionError, RuntimeInconsistency] == errors
    assert errors == [type(error) for error in Transaction.deserialize(refused, 0)]


@pytest.mark.real_zookeeper
@on_reactor
async def test_watches_fire_once_without_the_chroot(clients: Clients) -> None:
    zk = await clients.open()
    seen: list[Any] = []
    await zk.exists("/a", seen.append)
    await zk.children("/", seen.append)
    await zk.create("/a")
    await zk.set("/a", b"x")
    await zk.sync()
    assert [("CREATED", "/a"), ("CHILD", "/")] == sorted(((e.type, e.path) for e in seen), reverse=True)


@on_reactor
async def test_answers_and_watch_events_come_in_the_servers_order(clients: Clients) -> None:
    zk = await clients.open()
    order: list[Any] = []
    await zk.create("/a")
    await zk.exists("/a", lambda event: order.append("event"))
    answers = [zk.get("/a").addCallback(lambda _, i=i: order.append(i)) for i in range(300)]
    changed = zk.set("/a", b"x").addCallback(lambda _: order.append("set"))
    await gather([*answers, changed])
    assert [*range(300), "event", "set"] == order


@on_reactor
async def test_reads_survive_a_lost_connection_and_writes_say_that_they_may_not_have(clients: Clients) -> None:
    zk = await clients.open()
    states: list[str] = []
    zk.add_listener(states.append)
    await zk.create("/a")
    session = zk.session_id
    zk.drop_connection()
    assert (None, 0) == (await zk.get("/a"))[:1] + ((await zk.get("/a"))[1].version,)
    assert ["SUSPENDED", "CONNECTED"] == states
    assert session == zk.session_id
    writes = [zk.set("/a", b"x") for _ in range(100)]
    zk.drop_connection()
    with pytest.raises(ConnectionLoss):
        await gather(writes)


@on_reactor
async def test_an_operation_issued_while_suspended_waits(clients: Clients) -> None:
    zk = await clients.open()
    answers: list[Any] = []

    def suspended(state: str) -> None:
        if state == "SUSPENDED":
            zk.create("/waited").addBoth(answers.append)

    zk.add_listener(suspended)
    zk.drop_connection()
    await until(lambda: answers)
    assert ["/waited"] == answers


@pytest.mark.real_zookeeper
@on_reactor
async def test_an_expired_session_is_replaced(clients: Clients) -> None:
    zk = await clients.open()
    states: list[str] = []
    zk.add_listener(states.append)
    await zk.create("/mine", None, ephemeral=True)
    old = zk.session_id
    await clients.expire(zk)
    await until(lambda: zk.state == "CONNECTED" and zk.session_id != old)
    assert "LOST" in states
    assert await zk.exists("/mine") is None


@on_reactor
async def test_a_session_can_be_attached_to_again(clients: Clients) -> None:
    first = await clients.open()
    await first.create("/mine", None, ephemeral=True)
    second = await clients.open(session=first.session)
    assert first.session_id == second.session_id
    await second.stop()
    third = await clients.open()
    assert await third.exists("/mine") is None


@on_reactor
async def test_nobody_there_is_one_clear_error() -> None:
    zk = ZkClient(f"127.0.0.1:{free_port()}", 6000, reactor)
    with pytest.raises(ConnectTimeout, match=r"no ZooKeeper server at 127.0.0.1:\d+ answered within 200 ms"):
        await zk.start(200)


@on_reactor
async def test_after_stop_operations_fail(clients: Clients) -> None:
    zk = await clients.open()
    await zk.stop()
    await zk.stop()
    with pytest.raises(ConnectionClosed):
        await zk.get("/")


@on_reactor
async def test_gather_gives_the_first_error_after_all_have_ended() -> None:
    ended: list[str] = []

    async def one(name: str, error: bool) -> str:
        ended.append(name)
        if error:
            raise ValueError(name)
        return name

    assert ["a", "b"] == await gather([one("a", False), one("b", False)])
    with pytest.raises(ValueError, match="b"):
        await gather([one("a", False), one("b", True), one("c", True)])
    assert ["a", "b", "a", "b", "c"] == ended


def test_waiting_for_files_is_as_select_does_it() -> None:
    """kazoo's handler asks for what can be read and written; a closed end can be both."""
    handler = _Handler(None)  # type: ignore[arg-type]
    left, right = socket.socketpair()
    with left, right:
        assert handler.select([left], [left], [], 0) == ([], [left], [])
        right.send(b"x")
        assert handler.select([left.fileno(), right], [], [], None) == ([left.fileno()], [], [])
        right.close()
        assert handler.select([left], [left], [], 0.01) == ([left], [left], [])
        with pytest.raises(ValueError):
            handler.select([right], [], [], 0)


def test_a_server_has_a_third_of_the_session_to_accept_it() -> None:
    assert [1, 2, 5] == [handshake_seconds(ms) for ms in (400, 6000, 18000)]


@on_reactor
async def test_a_server_that_accepts_a_connection_and_never_answers_is_left_in_time(clients: Clients) -> None:
    """Debian's ZooKeeper 3.8 sometimes forgets who came while it started; kazoo would wait for the whole session."""
    host, port = clients.connect_string.partition("/")[0].split(":")

    class DeafAtFirst(ProxyFactory):
        noisy = False
        accepted = 0

        def buildProtocol(self, address: Any) -> Any:
            self.accepted += 1
            return protocol.Protocol() if self.accepted == 1 else super().buildProtocol(address)

    deaf = reactor.listenTCP(0, DeafAtFirst(host, int(port)), interface="127.0.0.1")
    zk = ZkClient(f"127.0.0.1:{deaf.getHost().port}", 3000, reactor)
    try:
        await zk.start(2900)
        assert await zk.exists("/zookeeper") is not None
    finally:
        await zk.stop()
        await deaf.stopListening()
