"""Znodes without a server."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hypothesis_examples import examples
from zk.server.tree import CONTAINER_OWNER, STAT, Tree, permitted, resolve_acl
from zk.wire import OPEN_ACL, Acl, Code, ZkError

ME = [("ip", "127.0.0.1"), ("digest", "me:hash")]


def create(tree: Tree, path: str, data: bytes = b"", owner: int = 0, sequential: bool = False, zxid: int = 1) -> str:
    return tree.create(path, data, OPEN_ACL, owner, sequential, ME, zxid, 1000 + zxid)[0]


def refused(change: Callable[[], object]) -> Code:
    with pytest.raises(ZkError) as error:
        change()
    return error.value.code


def picture(tree: Tree) -> dict[str, tuple[bytes, bytes | None, tuple[Acl, ...]]]:
    return {path: (node.stat(), node.data, node.acl) for path, node in tree.nodes.items()}


def test_what_happens_is_told_in_order() -> None:
    tree = Tree()
    create(tree, "/a")
    tree.set_data("/a", b"x", -1, ME, 2, 0)
    tree.delete("/a", -1, ME, 3)
    assert [(1, "/a"), (4, "/"), (3, "/a"), (2, "/a"), (4, "/")] == [event[:2] for event in tree.events]


def test_what_is_refused_is_not_told() -> None:
    tree = Tree()
    assert Code.NO_NODE == refused(lambda: tree.delete("/a", -1, ME, 1))
    assert Code.NO_NODE == refused(lambda: tree.set_data("/a", b"", -1, ME, 1, 0))
    assert Code.NO_NODE == refused(lambda: create(tree, "/a/b"))
    assert [] == tree.events


def test_stat_counts_creations_and_deletions_of_children() -> None:
    tree = Tree()
    create(tree, "/p")
    for name in "abc":
        create(tree, f"/p/{name}", zxid=5)
    tree.delete("/p/a", -1, ME, 9)
    stat = STAT.unpack(tree.nodes["/p"].stat())
    assert (4, 2, 9) == (stat[5], stat[9], stat[10])


def test_ephemeral_nodes_are_listed_by_owner() -> None:
    tree = Tree()
    create(tree, "/a", owner=7)
    create(tree, "/b", owner=7)
    tree.delete("/a", -1, ME, 2)
    assert {7: {"/b": None}} == tree.ephemerals
    tree.delete("/b", -1, ME, 3)
    assert {} == tree.ephemerals


def test_a_container_is_idle_once_its_children_are_gone() -> None:
    tree = Tree()
    create(tree, "/c", owner=CONTAINER_OWNER)
    assert [] == tree.idle_containers()
    create(tree, "/c/a")
    assert [] == tree.idle_containers()
    tree.delete("/c/a", -1, ME, 2)
    assert ["/c"] == tree.idle_containers()


def test_the_size_of_data_is_kept() -> None:
    tree = Tree()
    create(tree, "/abc", b"1234")
    tree.set_data("/abc", b"123456", -1, ME, 2, 0)
    assert 10 == tree.data_size
    tree.delete("/abc", -1, ME, 3)
    assert 0 == tree.data_size


# One step of random work: what, on which of a few paths.
STEPS = st.lists(
    st.tuples(st.sampled_from(["create", "ephemeral", "sequence", "set", "delete", "acl"]),
              st.sampled_from(["/a", "/b", "/a/x", "/a/y", "/a/x/1", ""])), max_size=25,
)  # fmt: skip


def work(tree: Tree, steps: list[tuple[str, str]], zxid: int) -> None:
    for number, (verb, path) in enumerate(steps, zxid):
        try:
            if verb == "set":
                tree.set_data(path, b"%d" % number, -1, ME, number, number)
            elif verb == "delete":
                tree.delete(path, -1, ME, number)
            elif verb == "acl":
                tree.set_acl(path, [Acl(31, "world", "anyone"), Acl(number, "ip", "1.2.3.4")], -1, ME)
            else:
                create(tree, path, b"new", 7 if verb == "ephemeral" else 0, verb == "sequence", number)
        except ZkError:
            pass
    tree.events.clear()


@given(STEPS, STEPS)
def test_a_rollback_leaves_no_trace(before: list[tuple[str, str]], taken_back: list[tuple[str, str]]) -> None:
    tree = Tree()
    work(tree, before, 1)
    old, ephemerals, size = picture(tree), {k: set(v) for k, v in tree.ephemerals.items()}, tree.data_size
    tree.begin()
    work(tree, [step for step in taken_back if step[0] != "acl"], 100)
    tree.rollback()
    assert old == picture(tree)
    assert ephemerals == {k: set(v) for k, v in tree.ephemerals.items()} and size == tree.data_size
    assert [] == tree.events


@given(STEPS, STEPS, st.integers(0, 10))
@examples(200)
def test_a_snapshot_is_of_the_moment_it_began(
    before: list[tuple[str, str]], during: list[tuple[str, str]], first: int
) -> None:
    tree = Tree()
    work(tree, before, 1)
    old, ephemerals = picture(tree), tree.ephemerals.get(7, {}).copy()
    records = tree.snapshot()
    written = [next(records)]
    for number, step in enumerate(during):
        if number >= first:
            written += islice(records, 1)
        work(tree, [step], 100 + number)
    written += records

    copy = Tree()
    for record in written:
        copy.load(record)
    assert old == picture(copy) and set(ephemerals) == set(copy.ephemerals.get(7, {}))
    again = Tree()
    for record in tree.snapshot():
        again.load(record)
    assert picture(tree) == picture(again)


def test_permissions() -> None:
    assert permitted([], 1, [])
    assert permitted(OPEN_ACL, 31, [])
    assert not permitted([Acl(1, "world", "anyone")], 2, ME)
    assert permitted([Acl(2, "digest", "me:hash")], 2, ME)
    assert not permitted([Acl(2, "digest", "me:other")], 2, ME)
    assert permitted([Acl(1, "ip", "127.0.0.0/9")], 1, ME)
    assert not permitted([Acl(1, "ip", "128.0.0.0/9")], 1, ME)
    assert permitted([Acl(1, "ip", "::1/128")], 1, [("ip", "::1")])
    assert permitted([Acl(1, "digest", "x:y")], 16, [("super", "")])


def test_auth_stands_for_who_asks() -> None:
    assert (Acl(31, "digest", "me:hash"),) == resolve_acl([Acl(31, "auth", "")], ME)
    assert Code.INVALID_ACL == refused(lambda: resolve_acl([Acl(31, "auth", "")], [("ip", "127.0.0.1")]))


def test_equal_acls_are_kept_once() -> None:
    tree = Tree()
    acl = [Acl(1, "ip", "1.2.3.4")]
    one = tree.create("/a", b"", acl, 0, False, ME, 1, 1)[1]
    two = tree.create("/b", b"", list(acl), 0, False, ME, 2, 1)[1]
    assert one.acl is two.acl
