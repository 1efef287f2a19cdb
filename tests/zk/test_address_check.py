"""Wrong addresses, told by name: by the function, by the broker's client and by the commands' client."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet import reactor

from tests.reactor import on_reactor, until
from tests.servers import Kafka, ZooKeeper, free_port
from tests.zookeeper import Clients
from zk import address_check
from zk.blocking_client import Client, Unreachable
from zk.client import ConnectTimeout, ZkClient
from zk.ensemble import parse

NOWHERE = "no-such-host.invalid"
UNRESOLVED = f"the host name {NOWHERE} does not resolve "
BOTH = pytest.mark.real_zookeeper


@contextmanager
def answering(data: bytes | None) -> Iterator[int]:
    """A server that says the same to whoever comes, or nothing; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []

        def serve() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                kept.append(connection)
                if data is not None:
                    connection.recv(100)
                    connection.sendall(data)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


@BOTH
def test_what_is_wrong_with_an_address(zookeeper: ZooKeeper) -> None:
    port = free_port()
    assert f"nobody listens at 127.0.0.1:{port}" == address_check.why_no_session("127.0.0.1", port)
    assert (address_check.why_no_session(NOWHERE, 2181) or "").startswith(UNRESOLVED)
    assert "a..b is no host name" == address_check.why_no_session("a..b", 2181)
    assert address_check.why_no_session("127.0.0.1", zookeeper.port) is None
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        said = f"something answers at 127.0.0.1:{port}, and it is not ZooKeeper"
        assert said == address_check.why_no_session("127.0.0.1", port)
    with answering(None) as port:
        said = f"something listens at 127.0.0.1:{port}, and it does not answer"
        assert said == address_check.why_no_session("127.0.0.1", port)
    with answering(b"This ZooKeeper instance is not currently serving requests\n") as port:
        assert "is without a quorum" in (address_check.why_no_session("127.0.0.1", port) or "")


def test_names() -> None:
    assert address_check.unresolved("127.0.0.1") is None
    assert address_check.unresolved("localhost") is None
    assert (address_check.unresolved("a.invalid") or "").startswith("the host name a.invalid does not resolve (")
    assert "a..b is no host name" == address_check.unresolved("a..b")


@BOTH
def test_who_is_zookeeper(kafka: Kafka) -> None:
    assert address_check.is_zookeeper("127.0.0.1", kafka.zookeeper.port)
    assert not address_check.is_zookeeper("127.0.0.1", kafka.broker.port)
    assert not address_check.is_zookeeper("127.0.0.1", free_port())
    assert not address_check.is_zookeeper("a..b", 1)
    with answering(b"This ZooKeeper instance is not currently serving requests\n") as port:
        assert address_check.is_zookeeper("127.0.0.1", port)


def test_a_server_that_ends_while_it_is_looked_at() -> None:
    """It accepts one connection, and the next is refused."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def end() -> None:
            connection = server.accept()[0]
            server.close()
            connection.close()

        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        said = f"something listens at 127.0.0.1:{port}, and it does not answer"
        assert said == address_check.why_no_session("127.0.0.1", port)
        thread.join()


def test_kafka_is_told_from_zookeeper(kafka: Kafka) -> None:
    reason = f"something answers at {kafka.bootstrap}, and it is Kafka, not ZooKeeper"
    assert reason == address_check.why_no_session("127.0.0.1", kafka.broker.port)
    assert not address_check.is_kafka("127.0.0.1", kafka.zookeeper.port)
    with pytest.raises(Unreachable) as caught:
        Client(parse(f"{NOWHERE},{kafka.bootstrap}")).connect()
    assert str(caught.value).startswith(UNRESOLVED)
    assert str(caught.value).endswith(reason)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "zk.client"]


@on_reactor
async def test_a_broker_is_told_at_once_who_is_wrong_and_why_in_the_end(
    kafka: Kafka, caplog: pytest.LogCaptureFixture
) -> None:
    connect = f"{NOWHERE}:2181,{kafka.bootstrap}"
    zk = ZkClient(connect, 6000, reactor)
    reason = f"something answers at {kafka.bootstrap}, and it is Kafka, not ZooKeeper"
    with caplog.at_level(logging.WARNING):
        started = zk.start(10**7)
        await until(lambda: len(warnings(caplog)) == 2)
    told = warnings(caplog)
    assert told[0].startswith(f"ZooKeeper at {connect}: {UNRESOLVED}")
    assert f"ZooKeeper at {connect}: {reason}; trying again" == told[1]
    zk._give_up(7)
    with pytest.raises(ConnectTimeout) as caught:
        await started
    assert str(caught.value).startswith(f"no ZooKeeper server at {connect} answered within 7 ms: {UNRESOLVED}")
    assert str(caught.value).endswith(reason)


@on_reactor
async def test_one_server_of_several_is_enough_and_the_wrong_name_is_told(
    clients: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    zk = ZkClient(f"{NOWHERE}:1,{clients.connect_string}", 6000, reactor)
    with caplog.at_level(logging.WARNING):
        await zk.start(20000)
        await until(lambda: warnings(caplog))
    assert UNRESOLVED in warnings(caplog)[0]
    await zk.stop()


@on_reactor
async def test_a_name_that_appears_later_is_found(
    zookeeper: ZooKeeper, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a container starts before the one that it needs."""
    there = threading.Event()
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "zookeeper":
            return resolve(host, port, *args, **kwargs)
        if not there.is_set():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve("127.0.0.1", port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    zk = ZkClient(f"zookeeper:{zookeeper.port}", 6000, reactor)
    with caplog.at_level(logging.WARNING):
        started = zk.start(30000)
        await until(lambda: warnings(caplog))
    assert "the host name zookeeper does not resolve (Name or service not known)" in warnings(caplog)[0]
    assert not started.called
    there.set()
    await started
    await zk.stop()


@on_reactor
async def test_a_client_that_never_connected_stops_at_once() -> None:
    """Whoever accepts and is silent would keep it for seconds."""
    with answering(None) as port:
        zk = ZkClient(f"127.0.0.1:{port}", 60000, reactor)
        started = zk.start(10**7)
        started.addErrback(lambda failure: None)
        await zk.stop()
        started.cancel()
