"""What a client sees, on our server and on Apache's: both must pass every case."""

from __future__ import annotations

import re
import struct
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha1

import pytest
from kazoo import exceptions as ex
from kazoo.client import KazooClient
from kazoo.protocol.states import ZnodeStat
from kazoo.security import ACL, Id, make_acl, make_digest_acl, make_digest_acl_credential

from tests.servers import ZooKeeper, exchange, wait_until
from tests.zk.raw import OPEN, Raw, buffer, string, strings

pytestmark = pytest.mark.real_zookeeper

Connect = Callable[..., KazooClient]


@pytest.fixture
def raw(server: ZooKeeper) -> Iterator[Callable[..., Raw]]:
    """Makes connections with a session, closed with the test."""
    made: list[Raw] = []

    def start(**options: object) -> Raw:
        made.append(Raw(server.port).handshake(**options))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for connection in made:
        connection.close()


def stat(zk: KazooClient, path: str) -> ZnodeStat:
    found = zk.exists(path)
    assert found is not None
    return found


class Events:
    """A watch that remembers, and waits."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self._condition = threading.Condition()

    def __call__(self, event: object) -> None:
        with self._condition:
            self.seen.append((event.type, event.path))  # type: ignore[attr-defined]
            self._condition.notify_all()

    def wait(self, count: int = 1) -> list[tuple[str, str]]:
        with self._condition:
            assert self._condition.wait_for(lambda: len(self.seen) >= count, 10), self.seen
        return self.seen


# The tree as it begins.


def test_the_root_has_the_zookeeper_node(zk: KazooClient) -> None:
    assert "zookeeper" in zk.get_children("/")
    assert ["config", "quota"] == sorted(zk.get_children("/zookeeper"))


def test_stats_of_the_first_nodes(zk: KazooClient) -> None:
    assert (0, 0, 0, 0, 0, -2, 0, 0, 0, 2, 0) == tuple(stat(zk, "/zookeeper"))
    assert (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) == tuple(stat(zk, "/zookeeper/quota"))
    assert stat(zk, "/zookeeper/config").aversion == -1


def test_acls_of_the_first_nodes(zk: KazooClient) -> None:
    assert [make_acl("world", "anyone", all=True)] == zk.get_acls("/")[0]
    assert [make_acl("world", "anyone", read=True)] == zk.get_acls("/zookeeper/config")[0]


@pytest.mark.parametrize("special", ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"])
def test_the_first_nodes_cannot_be_deleted(zk: KazooClient, special: str) -> None:
    with pytest.raises(ex.BadArgumentsError):
        zk.delete(special)


def test_the_root_takes_data(zk: KazooClient) -> None:
    before = stat(zk, "/").version
    assert before + 1 == zk.set("/", b"root").version
    assert b"root" == zk.get("/")[0]


# Create.


def test_create_returns_the_path(zk: KazooClient, path: str) -> None:
    assert path + "/a" == zk.create(path + "/a", b"x")
    assert b"x" == zk.get(path + "/a")[0]


def test_the_stat_of_a_new_node(zk: KazooClient, path: str) -> None:
    before = time.time() * 1000
    _, made = zk.create(path + "/a", b"four", include_data=True)
    assert made.czxid == made.mzxid == made.pzxid > stat(zk, path).czxid
    assert made.ctime == made.mtime and before - 1000 < made.ctime < time.time() * 1000 + 1000
    assert (0, 0, 0, 0, 4, 0) == (
        made.version, made.cversion, made.aversion, made.ephemeralOwner, made.dataLength, made.numChildren,
    )  # fmt: skip
    assert made == stat(zk, path + "/a")


def test_create_twice(zk: KazooClient, path: str) -> None:
    with pytest.raises(ex.NodeExistsError):
        zk.create(path)


def test_create_the_root(zk: KazooClient) -> None:
    with pytest.raises(ex.NodeExistsError):
        zk.create("/")


def test_create_without_a_parent(zk: KazooClient, path: str) -> None:
    with pytest.raises(ex.NoNodeError):
        zk.create(path + "/no/child")


def test_create_changes_the_parents_stat(zk: KazooClient, path: str) -> None:
    before = stat(zk, path)
    _, made = zk.create(path + "/a", include_data=True)
    after = stat(zk, path)
    assert (before.cversion + 1, 1, made.czxid) == (after.cversion, after.numChildren, after.pzxid)
    assert (before.mzxid, before.version, before.mtime) == (after.mzxid, after.version, after.mtime)


def test_delete_changes_the_parents_stat(zk: KazooClient, path: str) -> None:
    zk.create(path + "/a")
    before = stat(zk, path)
    zk.delete(path + "/a")
    after = stat(zk, path)
    assert (before.cversion + 1, 0) == (after.cversion, after.numChildren)
    assert after.pzxid > before.pzxid


def test_sequential_names_count_creations(zk: KazooClient, path: str) -> None:
    assert path + "/n-0000000000" == zk.create(path + "/n-", sequence=True)
    zk.create(path + "/other")
    zk.delete(path + "/other")
    assert path + "/n-0000000002" == zk.create(path + "/n-", sequence=True)


def test_a_sequential_name_may_be_only_the_number(zk: KazooClient, path: str) -> None:
    assert path + "/0000000000" == zk.create(path + "/", sequence=True)


def test_a_refused_creation_counts_not(zk: KazooClient, path: str) -> None:
    zk.create(path + "/a")
    with pytest.raises(ex.NodeExistsError):
        zk.create(path + "/a")
    assert path + "/n0000000001" == zk.create(path + "/n", sequence=True)


def test_an_ephemeral_node_belongs_to_its_session(zk: KazooClient, path: str) -> None:
    _, made = zk.create(path + "/e", ephemeral=True, include_data=True)
    assert zk.client_id[0] == made.ephemeralOwner


def test_an_ephemeral_node_has_no_children(zk: KazooClient, path: str) -> None:
    zk.create(path + "/e", ephemeral=True)
    with pytest.raises(ex.NoChildrenForEphemeralsError):
        zk.create(path + "/e/child")


def test_ephemeral_and_sequential(zk: KazooClient, path: str) -> None:
    made, info = zk.create(path + "/e-", ephemeral=True, sequence=True, include_data=True)
    assert path + "/e-0000000000" == made and info.ephemeralOwner == zk.client_id[0]


def test_null_data_is_not_empty_data(raw: Callable[..., Raw], path: str) -> None:
    client = raw()
    assert 0 == client.call(1, string(path + "/null") + buffer(None) + OPEN + struct.pack("!i", 0)).error
    assert 0 == client.call(1, string(path + "/empty") + buffer(b"") + OPEN + struct.pack("!i", 0)).error
    assert b"\xff\xff\xff\xff" == client.call(4, string(path + "/null") + b"\0").body[:4]
    assert b"\0\0\0\0" == client.call(4, string(path + "/empty") + b"\0").body[:4]


BAD_PATHS = ["//", "/a//b", "/a/./b", "/a/../b", "/a/.", "/a/..", "/..", "/\x01", "/\x7f", "/\ud7ff\uf000", "/\ufffe",
             "/\U0001f600", "no-slash", "/\x00"]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_PATHS)
def test_paths_that_cannot_be(raw: Callable[..., Raw], path: str, bad: str) -> None:
    wanted = path + bad if bad[0] == "/" else bad
    reply = raw().call(1, string(wanted) + buffer(b"") + OPEN + struct.pack("!i", 0))
    assert reply.error in (-8, -101) and b"" == reply.body


@pytest.mark.parametrize("good", ["/...", "/.a", "/a.", "/ü", "/a b", "/\u4e2d\u6587", "/%2F", "/-"])
def test_paths_that_can_be(zk: KazooClient, path: str, good: str) -> None:
    assert path + good == zk.create(path + good, b"")
    assert [good[1:]] == zk.get_children(path)


def test_a_path_with_a_slash_at_its_end(raw: Callable[..., Raw], path: str) -> None:
    assert -101 == raw().call(1, string(path + "/a/") + buffer(b"") + OPEN + struct.pack("!i", 0)).error
    assert -8 == raw().call(1, string(path + "/") + buffer(b"") + OPEN + struct.pack("!i", 0)).error


@pytest.mark.parametrize(("flags", "error"), [(4, 0), (5, -6), (6, -6), (7, -8), (-1, -8)])
def test_flags_of_create(raw: Callable[..., Raw], path: str, flags: int, error: int) -> None:
    assert error == raw().call(1, string(path + "/a") + buffer(b"") + OPEN + struct.pack("!i", flags)).error


def test_nodes_with_a_time_to_live_are_not_enabled(raw: Callable[..., Raw], path: str) -> None:
    record = string(path + "/ttl") + buffer(b"") + OPEN + struct.pack("!iq", 5, 1000)
    assert -6 == raw().call(21, record).error


def test_a_container_is_no_ephemeral_node(raw: Callable[..., Raw], zk: KazooClient, path: str) -> None:
    reply = raw().call(19, string(path + "/c") + buffer(b"") + OPEN + struct.pack("!i", 4))
    assert 0 == reply.error and 0 == stat(zk, path + "/c").ephemeralOwner
    zk.create(path + "/c/child")


def test_create2_answers_with_path_and_stat(raw: Callable[..., Raw], path: str) -> None:
    reply = raw().call(15, string(path + "/a") + buffer(b"xyz") + OPEN + struct.pack("!i", 0))
    assert string(path + "/a") == reply.body[: 6 + len(path)]
    assert reply.zxid == struct.unpack_from("!q", reply.body, 6 + len(path))[0]
    assert 68 + 6 + len(path) == len(reply.body)


# Delete.


def test_delete(zk: KazooClient, path: str) -> None:
    zk.delete(path)
    assert zk.exists(path) is None


def test_delete_nothing(zk: KazooClient, path: str) -> None:
    with pytest.raises(ex.NoNodeError):
        zk.delete(path + "/no")


def test_delete_with_children(zk: KazooClient, path: str) -> None:
    zk.create(path + "/a")
    with pytest.raises(ex.NotEmptyError):
        zk.delete(path)


def test_delete_at_a_version(zk: KazooClient, path: str) -> None:
    zk.set(path, b"1")
    with pytest.raises(ex.BadVersionError):
        zk.delete(path, 0)
    zk.delete(path, 1)


def test_the_version_comes_before_the_children(zk: KazooClient, path: str) -> None:
    zk.create(path + "/a")
    with pytest.raises(ex.BadVersionError):
        zk.delete(path, 7)


# Data.


def test_set_and_get(zk: KazooClient, path: str) -> None:
    changed = zk.set(path, b"data")
    data, read = zk.get(path)
    assert b"data" == data and changed == read
    assert (1, 4) == (read.version, read.dataLength)
    assert read.mzxid > read.czxid and read.mtime >= read.ctime and read.pzxid == read.czxid


def test_set_at_a_version(zk: KazooClient, path: str) -> None:
    assert 1 == zk.set(path, b"", 0).version
    with pytest.raises(ex.BadVersionError):
        zk.set(path, b"", 0)
    assert 2 == zk.set(path, b"", -1).version


def test_set_nothing(zk: KazooClient, path: str) -> None:
    with pytest.raises(ex.NoNodeError):
        zk.set(path + "/no", b"")


def test_get_nothing(zk: KazooClient, path: str) -> None:
    with pytest.raises(ex.NoNodeError):
        zk.get(path + "/no")


def test_binary_data(zk: KazooClient, path: str) -> None:
    data = bytes(range(256)) * 400
    zk.set(path, data)
    assert data == zk.get(path)[0]


def test_nearly_a_megabyte(zk: KazooClient, path: str) -> None:
    data = b"x" * (0xFFFFF - 200)
    zk.set(path, data)
    assert data == zk.get(path)[0]


def test_more_than_a_megabyte_ends_the_connection(raw: Callable[..., Raw], zk: KazooClient, path: str) -> None:
    client = raw()
    client.socket.sendall(struct.pack("!iii", 0x100000, 1, 5) + b"x" * 1000)
    assert client.at_end()
    assert 0 == stat(zk, path).version


def test_each_refused_change_takes_a_zxid(raw: Callable[..., Raw], path: str) -> None:
    client = raw()
    first = client.call(5, string(path) + buffer(b"") + struct.pack("!i", -1))
    refused = client.call(5, string(path) + buffer(b"") + struct.pack("!i", 77))
    third = client.call(5, string(path) + buffer(b"") + struct.pack("!i", -1))
    assert -103 == refused.error and first.zxid + 2 == third.zxid
    assert first.zxid + 1 == refused.zxid


def test_reads_take_no_zxid(raw: Callable[..., Raw], path: str) -> None:
    client = raw()
    first = client.call(5, string(path) + buffer(b"") + struct.pack("!i", -1))
    assert first.zxid == client.call(4, string(path) + b"\0").zxid
    assert first.zxid == client.call(8, string(path) + b"\0").zxid
    assert first.zxid == client.call(11, xid=-2).zxid


# Exists and children.


def test_exists(zk: KazooClient, path: str) -> None:
    assert zk.exists(path) == zk.get(path)[1]
    assert zk.exists(path + "/no") is None


def test_children(zk: KazooClient, path: str) -> None:
    for name in "bca":
        zk.create(f"{path}/{name}")
    assert ["a", "b", "c"] == sorted(zk.get_children(path))
    names, info = zk.get_children(path, include_data=True)
    assert 3 == len(names) == info.numChildren and info == stat(zk, path)


def test_children_of_nothing(zk: KazooClient, path: str) -> None:
    with pytest.raises(ex.NoNodeError):
        zk.get_children(path + "/no")
    with pytest.raises(ex.NoNodeError):
        zk.get_children(path + "/no", include_data=True)


def test_no_children(zk: KazooClient, path: str) -> None:
    assert [] == zk.get_children(path)


def test_many_children(zk: KazooClient, path: str) -> None:
    for result in [zk.create_async(f"{path}/child-{n:05}") for n in range(1000)]:
        result.get(10)
    assert [f"child-{n:05}" for n in range(1000)] == sorted(zk.get_children(path))
    assert 1000 == stat(zk, path).cversion


def test_number_of_all_descendants(raw: Callable[..., Raw], zk: KazooClient, path: str) -> None:
    for below in ("/a", "/a/b", "/a/c", "/a/c/d"):
        zk.create(path + below)
    client = raw()
    assert struct.pack("!i", 4) == client.call(104, string(path)).body
    assert struct.pack("!i", 0) == client.call(104, string(path + "/a/b")).body
    assert -101 == client.call(104, string(path + "/no")).error


def test_the_empty_path_reads_the_root(raw: Callable[..., Raw]) -> None:
    client = raw()
    assert client.call(4, string("/") + b"\0").body == client.call(4, string("") + b"\0").body


def test_the_null_path_cannot_be_read(raw: Callable[..., Raw]) -> None:
    client = raw()
    assert -5 == client.call(4, string(None) + b"\0").error
    assert -8 == client.call(5, string(None) + buffer(b"") + struct.pack("!i", -1)).error
    assert 0 == client.call(4, string("/") + b"\0").error


def test_sync(zk: KazooClient, path: str) -> None:
    assert path == zk.sync(path)
    assert path + "/no" == zk.sync(path + "/no")


# ACLs.


def secured(connect: Connect, path: str, *acls: ACL) -> KazooClient:
    """A client that knows a password, and a node below `path` with these ACLs."""
    client = connect(auth_data=[("digest", "user:secret")])
    client.create(path + "/s", b"x", acl=list(acls))
    return client


def test_acls_are_stored(zk: KazooClient, path: str) -> None:
    acls = [make_digest_acl("u", "p", read=True, write=True), make_acl("world", "anyone", admin=True),
            make_acl("ip", "10.0.0.0/8", all=True)]  # fmt: skip
    zk.create(path + "/a", acl=acls)
    assert acls == zk.get_acls(path + "/a")[0]


def test_set_acl_counts(zk: KazooClient, path: str) -> None:
    before = stat(zk, path)
    after = zk.set_acls(path, [make_acl("world", "anyone", all=True)])
    assert (1, before.mzxid, before.version) == (after.aversion, after.mzxid, after.version)
    with pytest.raises(ex.BadVersionError):
        zk.set_acls(path, [make_acl("world", "anyone", all=True)], version=0)


def test_no_acl_is_invalid(raw: Callable[..., Raw], path: str) -> None:
    assert -114 == raw().call(1, string(path + "/a") + buffer(b"") + struct.pack("!ii", 0, 0)).error
    assert -114 == raw().call(1, string(path + "/a") + buffer(b"") + struct.pack("!ii", -1, 0)).error


@pytest.mark.parametrize(
    ("scheme", "ident"),
    [("world", "someone"), ("digest", "nocolon"), ("digest", "a:b:c"), ("digest", "a:"), ("ip", "no.ip"),
     ("ip", "1.2.3.4/33"), ("ip", "1.2.3.4/x"), ("nobody", "knows"), ("", ""), ("super", "x")],
)  # fmt: skip
def test_invalid_acls(zk: KazooClient, path: str, scheme: str, ident: str) -> None:
    with pytest.raises(ex.InvalidACLError):
        zk.create(path + "/a", acl=[ACL(31, Id(scheme, ident))])


def test_auth_without_an_identity_is_invalid(zk: KazooClient, path: str) -> None:
    with pytest.raises(ex.InvalidACLError):
        zk.create(path + "/a", acl=[ACL(31, Id("auth", ""))])


def test_auth_becomes_the_creators_identities(connect: Connect, path: str) -> None:
    client = connect(auth_data=[("digest", "user:secret")])
    client.create(path + "/a", acl=[ACL(31, Id("auth", ""))])
    assert [make_digest_acl("user", "secret", all=True)] == client.get_acls(path + "/a")[0]


def test_acls_given_twice_are_stored_once(zk: KazooClient, path: str) -> None:
    zk.create(path + "/a", acl=[make_acl("world", "anyone", all=True)] * 2)
    assert 1 == len(zk.get_acls(path + "/a")[0])


def test_only_the_owner_may(connect: Connect, zk: KazooClient, path: str) -> None:
    owner = secured(connect, path, make_digest_acl("user", "secret", all=True))
    for forbidden in (zk.get, zk.get_children, zk.get_acls):
        with pytest.raises(ex.NoAuthError):
            forbidden(path + "/s")
    with pytest.raises(ex.NoAuthError):
        zk.set(path + "/s", b"")
    with pytest.raises(ex.NoAuthError):
        zk.create(path + "/s/child")
    with pytest.raises(ex.NoAuthError):
        zk.set_acls(path + "/s", [make_acl("world", "anyone", all=True)])
    assert b"x" == owner.get(path + "/s")[0]
    owner.create(path + "/s/child")
    owner.set_acls(path + "/s", [make_acl("world", "anyone", all=True)])
    assert b"x" == zk.get(path + "/s")[0]


def test_permission_to_delete_is_the_parents(connect: Connect, zk: KazooClient, path: str) -> None:
    owner = secured(connect, path, make_digest_acl("user", "secret", all=True))
    owner.create(path + "/s/child", acl=[make_acl("world", "anyone", all=True)])
    with pytest.raises(ex.NoAuthError):
        zk.delete(path + "/s/child")
    zk.create(path + "/t", acl=[make_acl("world", "anyone", read=True)])
    zk.delete(path + "/t")


def test_read_only_for_the_world(connect: Connect, zk: KazooClient, path: str) -> None:
    secured(connect, path, make_digest_acl("user", "secret", all=True), make_acl("world", "anyone", read=True))
    assert b"x" == zk.get(path + "/s")[0]
    with pytest.raises(ex.NoAuthError):
        zk.set(path + "/s", b"")


def test_password_hashes_are_shown_to_administrators_only(connect: Connect, zk: KazooClient, path: str) -> None:
    owner = secured(connect, path, make_digest_acl("user", "secret", all=True), make_acl("world", "anyone", read=True))
    assert "user:x" == zk.get_acls(path + "/s")[0][0].id.id
    assert make_digest_acl_credential("user", "secret") == owner.get_acls(path + "/s")[0][0].id.id


def test_another_password_does_not_help(connect: Connect, path: str) -> None:
    secured(connect, path, make_digest_acl("user", "secret", all=True))
    stranger = connect(auth_data=[("digest", "user:guess")])
    with pytest.raises(ex.NoAuthError):
        stranger.get(path + "/s")
    stranger.add_auth("digest", "user:secret")
    assert b"x" == stranger.get(path + "/s")[0]


@pytest.mark.parametrize(
    ("network", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.0.0.0/8", True),
        ("10.0.0.1", False),
        ("126.0.0.0/7", True),
        ("10.0.0.0/8", False),
        ("0.0.0.0/0", True),
    ],
)
def test_permission_by_address(zk: KazooClient, path: str, network: str, allowed: bool) -> None:
    zk.create(path + "/a", acl=[make_acl("ip", network, all=True)])
    if allowed:
        assert b"" == zk.get(path + "/a")[0]
    else:
        with pytest.raises(ex.NoAuthError):
            zk.get(path + "/a")


def test_check_needs_read(connect: Connect, zk: KazooClient, path: str) -> None:
    secured(connect, path, make_digest_acl("user", "secret", all=True))
    transaction = zk.transaction()
    transaction.check(path + "/s", 0)
    assert [ex.NoAuthError] == [type(result) for result in transaction.commit()]


def test_who_am_i(raw: Callable[..., Raw]) -> None:
    client = raw()
    assert struct.pack("!i", 1) + string("ip") + string("127.0.0.1") == client.call(107).body
    assert 0 == client.call(100, struct.pack("!i", 0) + string("digest") + buffer(b"me:secret"), xid=-4).error
    body = client.call(107).body
    assert struct.pack("!i", 2) == body[:4] and string("digest") + string("me") in body


def test_an_unknown_scheme_fails_and_closes(raw: Callable[..., Raw]) -> None:
    client = raw()
    reply = client.call(100, struct.pack("!i", 0) + string("nonsense") + buffer(b"x"), xid=-4)
    assert (-4, -115) == (reply.xid, reply.error) and client.at_end()


def test_digests_are_sha1(connect: Connect, path: str) -> None:
    client = connect(auth_data=[("digest", "näme:pass:word")])
    client.create(path + "/a", acl=[ACL(31, Id("auth", ""))])
    hashed = b64encode(sha1("näme:pass:word".encode()).digest()).decode()
    assert "näme:" + hashed == client.get_acls(path + "/a")[0][0].id.id


# Multi.


def test_multi(zk: KazooClient, path: str) -> None:
    transaction = zk.transaction()
    transaction.create(path + "/a", b"1")
    transaction.set_data(path + "/a", b"2")
    transaction.check(path + "/a", 1)
    transaction.create(path + "/b")
    transaction.delete(path + "/b", 0)
    results = transaction.commit()
    assert path + "/a" == results[0] and 1 == results[1].version
    assert [True, path + "/b", True] == results[2:]
    info = stat(zk, path + "/a")
    assert info.czxid == info.mzxid == stat(zk, path).pzxid
    assert ["a"] == zk.get_children(path) and 3 == stat(zk, path).cversion


def test_a_multi_that_fails_changes_nothing(zk: KazooClient, path: str) -> None:
    zk.create(path + "/gone", b"here")
    before, gone = stat(zk, path), stat(zk, path + "/gone")
    transaction = zk.transaction()
    transaction.create(path + "/a")
    transaction.delete(path + "/gone")
    transaction.set_data(path, b"new")
    transaction.delete(path + "/no")
    transaction.create(path + "/b")
    kinds = [type(result) for result in transaction.commit()]
    assert [ex.RolledBackError] * 3 + [ex.NoNodeError, ex.RuntimeInconsistency] == kinds
    assert before == stat(zk, path) and gone == stat(zk, path + "/gone")
    assert ["gone"] == zk.get_children(path) and b"" == zk.get(path)[0]
    assert path + "/n0000000001" == zk.create(path + "/n", sequence=True)


def test_a_failed_multi_wakes_nobody(zk: KazooClient, path: str) -> None:
    events = Events()
    zk.get(path, watch=events)
    transaction = zk.transaction()
    transaction.set_data(path, b"x")
    transaction.check(path, 99)
    transaction.commit()
    zk.set(path + "", b"y")
    assert [("CHANGED", path)] == events.wait()


def test_sequences_in_a_multi(zk: KazooClient, path: str) -> None:
    transaction = zk.transaction()
    transaction.create(path + "/n-", sequence=True)
    transaction.create(path + "/n-", sequence=True, ephemeral=True)
    assert [path + "/n-0000000000", path + "/n-0000000001"] == transaction.commit()
    assert stat(zk, path + "/n-0000000001").ephemeralOwner == zk.client_id[0]


def test_a_multi_sees_its_own_changes(zk: KazooClient, path: str) -> None:
    transaction = zk.transaction()
    transaction.create(path + "/p")
    transaction.create(path + "/p/q")
    transaction.delete(path + "/p/q")
    transaction.delete(path + "/p")
    assert [path + "/p", path + "/p/q", True, True] == transaction.commit()


def test_check_alone(zk: KazooClient, path: str) -> None:
    transaction = zk.transaction()
    transaction.check(path, 0)
    assert [True] == transaction.commit()
    transaction = zk.transaction()
    transaction.check(path, 1)
    assert [ex.BadVersionError] == [type(result) for result in transaction.commit()]


def header(kind: int, done: bool = False) -> bytes:
    return struct.pack("!i?i", kind, done, -1)


def test_an_empty_multi(raw: Callable[..., Raw]) -> None:
    reply = raw().call(14, header(-1, True))
    assert (0, header(-1, True)) == (reply.error, reply.body)


def test_multi_with_create2(raw: Callable[..., Raw], path: str) -> None:
    create = header(15) + string(path + "/a") + buffer(b"12") + OPEN + struct.pack("!i", 0)
    reply = raw().call(14, create + header(-1, True))
    # Up to 3.8.2 the real server answers as to a create, without the stat.
    name = string(path + "/a")
    assert 0 == reply.error and name == reply.body[9 : 9 + len(name)]
    kind, stat_size = struct.unpack_from("!i", reply.body)[0], len(reply.body) - 9 - len(name) - 9
    assert (kind, stat_size) in ((15, 68), (1, 0))


def test_the_reply_of_a_failed_multi(raw: Callable[..., Raw], path: str) -> None:
    check = header(13) + string(path) + struct.pack("!i", 5)
    delete = header(2) + string(path) + struct.pack("!i", -1)
    change = header(5) + string(path) + buffer(b"") + struct.pack("!i", -1)
    reply = raw().call(14, change + check + delete + header(-1, True))
    results = [struct.pack("!i?ii", -1, False, code, code) for code in (0, -103, -2)]
    assert (0, b"".join(results) + header(-1, True)) == (reply.error, reply.body)


def test_an_unknown_step_of_a_multi(raw: Callable[..., Raw], path: str) -> None:
    client = raw()
    assert -5 == client.call(14, header(99) + string(path) + header(-1, True)).error
    assert -5 == client.call(14, header(2) + string(path)).error
    assert 0 == client.call(3, string(path) + b"\0").error


def test_many_reads_at_once(raw: Callable[..., Raw], zk: KazooClient, path: str) -> None:
    zk.create(path + "/a", b"x")
    steps = [(4, path + "/a"), (8, path), (4, "/no")]
    reply = raw().call(22, b"".join(header(kind) + string(node) + b"\0" for kind, node in steps) + header(-1, True))
    assert 0 == reply.error
    data = struct.pack("!i?i", 4, False, 0) + buffer(b"x")
    names = struct.pack("!i?i", 8, False, 0) + strings("a")
    missing = struct.pack("!i?ii", -1, False, -101, -101)
    assert data == reply.body[: len(data)]
    assert names + missing + header(-1, True) == reply.body[len(data) + 68 :]


# Watches.


def test_data_watch_on_change(zk: KazooClient, path: str) -> None:
    events = Events()
    zk.get(path, watch=events)
    zk.set(path, b"1")
    zk.set(path, b"2")
    zk.create(path + "/child")
    assert [("CHANGED", path)] == events.wait()


def test_data_watch_on_deletion(zk: KazooClient, path: str) -> None:
    events = Events()
    zk.get(path, watch=events)
    zk.delete(path)
    assert [("DELETED", path)] == events.wait()


def test_exists_watch_on_creation(zk: KazooClient, path: str) -> None:
    events = Events()
    assert zk.exists(path + "/a", watch=events) is None
    zk.create(path + "/a")
    assert [("CREATED", path + "/a")] == events.wait()


def test_exists_watch_on_change(zk: KazooClient, path: str) -> None:
    events = Events()
    zk.exists(path, watch=events)
    zk.set(path, b"")
    assert [("CHANGED", path)] == events.wait()


def test_no_watch_on_what_could_not_be_read(zk: KazooClient, path: str) -> None:
    events = Events()
    with pytest.raises(ex.NoNodeError):
        zk.get(path + "/a", watch=events)
    zk.create(path + "/a")
    zk.sync(path)
    assert [] == events.seen


def test_child_watch(zk: KazooClient, path: str) -> None:
    events = Events()
    zk.get_children(path, watch=events)
    zk.set(path, b"not this")
    zk.create(path + "/a")
    zk.create(path + "/b")
    assert [("CHILD", path)] == events.wait()


def test_child_watch_on_deletion_of_a_child(zk: KazooClient, path: str) -> None:
    zk.create(path + "/a")
    events = Events()
    zk.get_children(path, watch=events, include_data=True)
    zk.delete(path + "/a")
    assert [("CHILD", path)] == events.wait()


def test_child_watch_on_deletion_of_the_node(zk: KazooClient, path: str) -> None:
    events = Events()
    zk.get_children(path, watch=events)
    zk.delete(path)
    assert [("DELETED", path)] == events.wait()


def test_both_watches_hear_of_a_deletion_once(raw: Callable[..., Raw], zk: KazooClient, path: str) -> None:
    client = raw()
    client.call(4, string(path) + b"\1")
    client.call(8, string(path) + b"\1")
    zk.delete(path)
    assert (2, path) == client.event()
    assert 0 == client.call(11, xid=-2).error


def test_a_change_of_acl_wakes_nobody(zk: KazooClient, path: str) -> None:
    events = Events()
    zk.get(path, watch=events)
    zk.set_acls(path, [make_acl("world", "anyone", all=True)])
    zk.sync(path)
    assert [] == events.seen


def test_the_event_comes_before_the_reply(raw: Callable[..., Raw], path: str) -> None:
    client = raw()
    client.call(4, string(path) + b"\1")
    client.send(5, string(path) + buffer(b"") + struct.pack("!i", -1))
    assert (3, path) == client.event()
    assert 0 == client.receive().error


def test_the_events_of_a_multi_come_in_its_order(raw: Callable[..., Raw], path: str) -> None:
    client = raw()
    client.call(8, string(path) + b"\1")
    client.call(3, string(path + "/a") + b"\1")
    client.call(4, string(path) + b"\1")
    create = header(1) + string(path + "/a") + buffer(b"") + OPEN + struct.pack("!i", 0)
    change = header(5) + string(path) + buffer(b"") + struct.pack("!i", -1)
    client.send(14, create + change + header(-1, True))
    assert [(1, path + "/a"), (4, path), (3, path)] == [client.event() for _ in range(3)]


def test_watches_of_others(connect: Connect, zk: KazooClient, path: str) -> None:
    events = Events()
    connect().get(path, watch=events)
    zk.set(path, b"")
    assert [("CHANGED", path)] == events.wait()


def test_an_event_says_nothing_of_what_may_not_be_read(raw: Callable[..., Raw], connect: Connect, path: str) -> None:
    watcher = raw()
    watcher.call(106, string(path) + struct.pack("!i", 1))
    owner = connect(auth_data=[("digest", "user:secret")])
    owner.create(path + "/hidden", acl=[make_digest_acl("user", "secret", all=True)])
    owner.create(path + "/open")
    assert (1, path + "/open") == watcher.event()


@pytest.mark.parametrize(
    ("kind", "old", "expected"),
    [("data", True, 3), ("data", False, None), ("data-gone", False, 2), ("exist", False, 1),
     ("exist-gone", False, None), ("child", True, 4), ("child", False, None), ("child-gone", False, 2)],
)  # fmt: skip
def test_set_watches_tells_what_was_missed(
    raw: Callable[..., Raw], zk: KazooClient, path: str, kind: str, old: bool, expected: int | None
) -> None:
    node = path + "/gone" if kind.endswith("gone") else path
    zk.create(path + "/child")
    since = zk.set(path, b"").mzxid
    lists = {"data": 0, "exist": 1, "child": 2}[kind.partition("-")[0]]
    record = struct.pack("!q", 0 if old else since)
    record += b"".join(strings(node) if place == lists else strings() for place in range(3))
    client = raw()
    client.send(101, record, xid=-8)
    if expected is not None:
        assert (expected, node) == client.event()
    reply = client.receive()
    assert (-8, 0) == (reply.xid, reply.error)
    if expected is None:
        if kind == "exist-gone":
            zk.create(node)
            assert (1, node) == client.event()
        elif kind == "data":
            zk.set(node, b"")
            assert (3, node) == client.event()
        else:
            zk.create(node + "/new")
            assert (4, node) == client.event()


def test_a_persistent_watch_stays(raw: Callable[..., Raw], zk: KazooClient, path: str) -> None:
    client = raw()
    assert (0, b"\0\0\0\0") == client.call(106, string(path) + struct.pack("!i", 0))[2:]
    zk.set(path, b"1")
    zk.set(path, b"2")
    zk.create(path + "/a")
    zk.create(path + "/a/b")
    zk.delete(path + "/a/b")
    zk.delete(path + "/a")
    zk.delete(path)
    zk.create(path)
    expected = [(3, path), (3, path), (4, path), (4, path), (2, path), (1, path)]
    assert expected == [client.event() for _ in expected]


def test_a_recursive_watch_reaches_below(raw: Callable[..., Raw], zk: KazooClient, path: str) -> None:
    client = raw()
    client.call(106, string(path) + struct.pack("!i", 1))
    zk.set(path, b"1")
    zk.create(path + "/a")
    zk.create(path + "/a/b")
    zk.set(path + "/a/b", b"")
    zk.delete(path + "/a/b")
    zk.create(path + "x")
    zk.delete(path + "/a")
    a, b = path + "/a", path + "/a/b"
    expected = [(3, path), (1, a), (1, b), (3, b), (2, b), (2, a)]
    assert expected == [client.event() for _ in expected]


def test_an_unknown_mode_of_watch(raw: Callable[..., Raw], path: str) -> None:
    assert -5 == raw().call(106, string(path) + struct.pack("!i", 9)).error


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_watches_can_be_removed(raw: Callable[..., Raw], zk: KazooClient, path: str, kind: int) -> None:
    client = raw()
    request = string(path) + struct.pack("!i", kind)
    assert -121 == client.call(17, request).error
    assert -121 == client.call(18, request).error
    client.call(4, string(path) + b"\1")
    client.call(8, string(path) + b"\1")
    assert 0 == client.call(17, request).error
    assert 0 == client.call(18, request).error
    assert -121 == client.call(17, request).error
    zk.create(path + "/a")
    zk.set(path, b"")
    left = {1: [(3, path)], 2: [(4, path)], 3: []}[kind]
    assert left == [client.event() for _ in left]
    assert 0 == client.call(11, xid=-2).error


def test_an_unknown_kind_of_watch(raw: Callable[..., Raw], path: str) -> None:
    assert -5 == raw().call(18, string(path) + struct.pack("!i", 9)).error


def test_set_watches2_restores_persistent_ones(raw: Callable[..., Raw], zk: KazooClient, path: str) -> None:
    client = raw()
    since = zk.set(path, b"").mzxid
    record = struct.pack("!q", since) + strings() * 3 + strings(path) + strings(path + "/a")
    assert (-8, 0) == client.call(105, record, xid=-8)[0:3:2]
    zk.create(path + "/a")
    zk.create(path + "/a/b")
    assert [(1, path + "/a"), (4, path), (1, path + "/a/b")] == [client.event() for _ in range(3)]


def test_watches_end_with_their_connection(
    server: ZooKeeper, raw: Callable[..., Raw], zk: KazooClient, path: str
) -> None:
    first = raw()
    first.call(4, string(path) + b"\1")
    with Raw(server.port).handshake(session_id=first.session_id, password=first.password) as second:
        zk.set(path, b"")
        assert 0 == second.call(11, xid=-2).error


# Sessions.


def test_timeouts_are_negotiated(raw: Callable[..., Raw]) -> None:
    assert (400, 10000, 60000) == tuple(raw(timeout_ms=wanted).timeout_ms for wanted in (1, 10000, 10**6))


def test_a_session_has_a_password(raw: Callable[..., Raw]) -> None:
    first, second = raw(), raw()
    assert first.session_id != second.session_id and first.session_id > 0
    assert 16 == len(first.password) and first.password != second.password


def test_a_session_is_taken_up_again(server: ZooKeeper, raw: Callable[..., Raw], zk: KazooClient, path: str) -> None:
    first = raw()
    first.call(1, string(path + "/e") + buffer(b"") + OPEN + struct.pack("!i", 1))
    first.close()
    with Raw(server.port).handshake(session_id=first.session_id, password=first.password) as again:
        assert (first.session_id, first.password) == (again.session_id, again.password)
        assert stat(zk, path + "/e").ephemeralOwner == again.session_id
        assert 0 == again.call(2, string(path + "/e") + struct.pack("!i", -1)).error


def test_the_old_connection_of_a_session_is_closed(server: ZooKeeper, raw: Callable[..., Raw]) -> None:
    first = raw()
    with Raw(server.port).handshake(session_id=first.session_id, password=first.password) as again:
        assert first.at_end()
        assert 0 == again.call(11, xid=-2).error


def test_a_wrong_password_gets_no_session(server: ZooKeeper, raw: Callable[..., Raw]) -> None:
    first = raw()
    with Raw(server.port).handshake(session_id=first.session_id, password=b"x" * 16) as thief:
        assert (0, 0, bytes(16)) == (thief.session_id, thief.timeout_ms, thief.password)
        assert thief.at_end()


def test_an_unknown_session(server: ZooKeeper) -> None:
    with Raw(server.port).handshake(session_id=0x1234567, password=b"x" * 16) as client:
        assert (0, 0) == (client.session_id, client.timeout_ms) and client.at_end()


def test_a_closed_session_takes_its_ephemeral_nodes_along(connect: Connect, zk: KazooClient, path: str) -> None:
    client = connect()
    for name in "abc":
        client.create(f"{path}/{name}", ephemeral=True)
    client.create(path + "/stays")
    client.stop()
    assert ["stays"] == zk.get_children(path)
    assert 7 == stat(zk, path).cversion


def test_close_is_answered_and_ends_the_connection(raw: Callable[..., Raw]) -> None:
    client = raw()
    reply = client.call(-11)
    assert (1, 0) == (reply.xid, reply.error) and client.at_end()


def test_a_closed_session_is_gone(server: ZooKeeper, raw: Callable[..., Raw]) -> None:
    first = raw()
    first.call(-11)
    with Raw(server.port).handshake(session_id=first.session_id, password=first.password) as again:
        assert 0 == again.session_id


def test_a_silent_session_expires(raw: Callable[..., Raw], zk: KazooClient, path: str) -> None:
    events = Events()
    client = raw(timeout_ms=400)
    client.call(1, string(path + "/e") + buffer(b"") + OPEN + struct.pack("!i", 1))
    assert zk.exists(path + "/e", watch=events)
    assert [("DELETED", path + "/e")] == events.wait()
    assert client.at_end()


def test_pings_keep_a_session(raw: Callable[..., Raw]) -> None:
    def kept() -> bool:
        """Whether the pings were in time; on a busy machine they may not be."""
        client = raw(timeout_ms=400)
        began = pinged = time.monotonic()
        while pinged < began + 1.2:
            try:
                reply = client.call(11, xid=-2)
            except ConnectionError:
                assert time.monotonic() > pinged + 0.2, "the session ended between two pings that were in time"
                return False
            assert (-2, 0) == (reply.xid, reply.error)
            pinged = time.monotonic()
            time.sleep(0.1)
        return True

    wait_until(kept, 60)


def test_expiry_is_told_to_those_who_come_back(server: ZooKeeper, raw: Callable[..., Raw]) -> None:
    client = raw(timeout_ms=400)
    assert client.at_end()
    with Raw(server.port).handshake(session_id=client.session_id, password=client.password) as again:
        assert 0 == again.session_id


def test_a_client_from_the_future_is_turned_away(server: ZooKeeper) -> None:
    with Raw(server.port) as client, pytest.raises(ConnectionError):
        client.handshake(last_zxid=1 << 60)


def test_requests_are_answered_in_order(raw: Callable[..., Raw], path: str) -> None:
    client = raw()
    for _ in range(100):
        client.send(5, string(path) + buffer(b"") + struct.pack("!i", -1))
        client.send(4, string(path) + b"\0")
    replies = [client.receive() for _ in range(200)]
    assert list(range(1, 201)) == [reply.xid for reply in replies]
    versions = [struct.unpack_from("!qqqqi", reply.body, 4)[4] for reply in replies[1::2]]
    assert list(range(1, 101)) == versions


def test_ephemerals_of_a_session(raw: Callable[..., Raw], path: str) -> None:
    client = raw()
    for name in ("/a", "/b"):
        client.call(1, string(path + name) + buffer(b"") + OPEN + struct.pack("!i", 1))
    everything = client.call(103, string("/")).body
    assert struct.pack("!i", 2) == everything[:4] and string(path + "/a") in everything
    assert strings(path + "/b") == client.call(103, string(path + "/b")).body
    assert strings() == client.call(103, string("/none")).body


# What no client should say.


def test_an_unknown_request_is_refused_and_closes(raw: Callable[..., Raw]) -> None:
    client = raw()
    assert -6 == client.call(999).error and client.at_end()


def test_reconfiguration_is_disabled(raw: Callable[..., Raw]) -> None:
    assert -123 == raw().call(16, string("") * 3 + struct.pack("!q", -1)).error


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 15, 101, 103, 104, 106, 18])
def test_a_request_cut_short(raw: Callable[..., Raw], kind: int) -> None:
    client = raw()
    assert -5 == client.call(kind, b"\0\0").error
    assert -5 == client.call(kind, struct.pack("!i", 1000) + b"/a").error
    assert 0 == client.call(11, xid=-2).error


def test_a_vector_of_claimed_length(raw: Callable[..., Raw]) -> None:
    record = string("/x") + buffer(b"") + struct.pack("!i", 2**31 - 1)
    assert -5 == raw().call(1, record).error


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), b"\xff" * 64,
     struct.pack("!i", -1), struct.pack("!i", 0x7FFFFFFF) + b"x" * 100, struct.pack("!i", 0),
     struct.pack("!i", 3) + b"abc"],
    ids=["http", "tls", "ones", "negative", "huge", "empty", "short"],
)  # fmt: skip
def test_garbage_ends_its_connection_and_no_other(
    server: ZooKeeper, zk: KazooClient, path: str, garbage: bytes
) -> None:
    with Raw(server.port) as client:
        client.socket.sendall(garbage)
        assert client.at_end()
    assert 1 == zk.set(path, b"fine").version


def test_a_frame_byte_by_byte(server: ZooKeeper, path: str) -> None:
    with Raw(server.port).handshake() as client:
        request = struct.pack("!ii", 1, 3) + string(path) + b"\0"
        for byte in struct.pack("!i", len(request)) + request:
            client.socket.sendall(bytes([byte]))
        assert 0 == client.receive().error


# Four-letter words.


def test_are_you_okay(server: ZooKeeper) -> None:
    assert b"imok" == exchange(server.port, b"ruok")
    assert b"rw" == exchange(server.port, b"isro")


def test_the_server_at_a_glance(server: ZooKeeper, zk: KazooClient) -> None:
    text = exchange(server.port, b"srvr").decode()
    names = ["Zookeeper version", "Latency min/avg/max", "Received", "Sent", "Connections", "Outstanding", "Zxid",
             "Mode", "Node count"]  # fmt: skip
    assert names == [line.partition(":")[0] for line in text.splitlines()]
    assert "Mode: standalone\n" in text
    assert re.search(r"^Zxid: 0x[0-9a-f]+$", text, re.M)


def test_the_node_count_counts(server: ZooKeeper, zk: KazooClient, path: str) -> None:
    def count() -> int:
        found = re.search(r"^Node count: (\d+)$", exchange(server.port, b"srvr").decode(), re.M)
        assert found
        return int(found[1])

    before = count()
    zk.create(path + "/a")
    assert before + 1 == count()


def test_the_clients(server: ZooKeeper, zk: KazooClient) -> None:
    text = exchange(server.port, b"stat").decode()
    assert "Clients:\n /127.0.0.1:" in text and "Mode: standalone" in text


def test_figures_for_monitoring(server: ZooKeeper, zk: KazooClient) -> None:
    rows = dict(line.split("\t") for line in exchange(server.port, b"mntr").decode().splitlines())
    assert "standalone" == rows["zk_server_state"]
    for name in (
        "zk_znode_count",
        "zk_ephemerals_count",
        "zk_num_alive_connections",
        "zk_watch_count",
        "zk_packets_received",
        "zk_packets_sent",
        "zk_outstanding_requests",
        "zk_approximate_data_size",
    ):
        assert int(rows[name]) >= 0


def test_the_servers_version(zk: KazooClient) -> None:
    assert tuple(zk.server_version()[:2]) >= (3, 8)


def test_the_configuration(server: ZooKeeper) -> None:
    assert f"clientPort={server.port}\n" in exchange(server.port, b"conf").decode()


def test_everything_is_gone_with_the_clients(server: ZooKeeper, zk: KazooClient) -> None:
    """Connections of earlier tests are no longer counted."""
    wait_until(lambda: exchange(server.port, b"cons").count(b"/127.0.0.1") <= 3, 10, "the connections to end")
