"""The blocking client, where the shell does not show it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import EmbeddedZooKeeper, ZooKeeper, wait_until
from zk.blocking_client import CONNECTION_LOSS, SESSION_EXPIRED, Client, ClientError
from zk.ensemble import parse


@pytest.fixture
def client(server: ZooKeeper, path: str) -> Iterator[Client]:
    client = Client(parse(server.connect + path))
    client.connect()
    yield client
    client.close()


def test_operations_below_a_chroot(client: Client) -> None:
    assert "/a" == client.create("/a", b"1")
    assert "/a/n0000000000" == client.create("/a/n", None, flags=3)
    assert ["/a/n0000000000"] == client.ephemerals("/a")
    data, stat = client.get("/a/n0000000000")
    assert (None, client.session_id) == (data, stat.ephemeral_owner)
    assert 1 == client.set("/a", b"2").version and 2 == client.descendants("/")
    assert not client.delete_together(["/a", "/a/n0000000000"])
    assert client.delete_together(["/a/n0000000000", "/a"])
    assert [] == client.children("/")[0]


def test_parents_that_are_missing_are_made_with_null_data(client: Client) -> None:
    client.create("/p", b"kept")
    assert "/p/q/r" == client.create_with_parents("/p/q/r", b"1", flags=1)
    assert [b"kept", None, b"1"] == [client.get(path)[0] for path in ("/p", "/p/q", "/p/q/r")]
    assert ["/p/q/r"] == client.ephemerals("/p")
    client.delete_together(["/p/q/r", "/p/q", "/p"])


def test_an_error_has_code_and_path(client: Client) -> None:
    with pytest.raises(ClientError) as error:
        client.get("/no")
    assert (-101, "/no") == (error.value.code, error.value.path)


def test_pings_keep_a_short_session(server: ZooKeeper, path: str) -> None:
    lost = threading.Event()
    client = Client(parse(server.connect + path), 400, lambda kind, state, where: lost.set() if state != 3 else None)
    client.connect()
    assert not lost.wait(1.5)
    assert client.exists("/").version == 0
    client.close()


def test_events_are_below_the_chroot(client: Client, server: ZooKeeper, path: str) -> None:
    seen: list[tuple[int, str]] = []
    watcher = Client(parse(server.connect + path), on_event=lambda kind, state, where: seen.append((kind, where)))
    watcher.connect()
    watcher.children("/", watch=True)
    client.create("/x", b"")
    wait_until(lambda: (4, "/") in seen, 5)
    watcher.close()


def test_a_lost_connection_is_taken_up_again(tmp_path: Path) -> None:
    with EmbeddedZooKeeper(tmp_path) as server:
        states: list[int] = []
        client = Client(parse(server.connect), on_event=lambda kind, state, where: states.append(state))
        client.connect()
        session = client.session_id
        client.add_auth("digest", b"me:secret")
        client.create("/e", b"", flags=1)
        server.kill()
        with pytest.raises(ClientError) as error:
            wait_until(lambda: client.exists("/e") and False, 5)
        assert CONNECTION_LOSS == error.value.code
        wait_until(lambda: client.state == "CONNECTING", 5)
        with pytest.raises(OSError):
            client.connect()
        server.start()
        client.connect()
        assert session == client.session_id and client.exists("/e").ephemeral_owner == session
        assert ("digest", "me") in client.identities()
        assert [3, 0, 3] == states
        client.close()


def test_an_expired_session_is_told(server: ZooKeeper) -> None:
    first, second = Client(parse(server.connect)), Client(parse(server.connect))
    first.connect()
    second.session_id, second._password = first.session_id, first._password
    first.close()
    with pytest.raises(ClientError) as error:
        second.connect()
    assert (SESSION_EXPIRED, "CLOSED") == (error.value.code, second.state)


def test_the_next_server_is_tried(server: ZooKeeper) -> None:
    client = Client(parse(f"127.0.0.1:1,{server.connect}"))
    client.connect()
    assert "CONNECTED" == client.state
    client.close()
