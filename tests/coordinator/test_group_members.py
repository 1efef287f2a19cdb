"""The members of a group: places of static members, protocols that all support, who leads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kafkalike.coordinator.group_members import Member, Members, topics_of
from kafkalike.errors import Error
from tests.coordinator.test_group import subscription

PROTOCOLS = st.lists(st.sampled_from(["range", "roundrobin", "sticky"]), min_size=1, unique=True)


def member(member_id: str, instance_id: str | None = None, protocols: tuple[str, ...] = ("range",)) -> Member:
    return Member(member_id, instance_id, "c", "/h", 10_000, 60_000, tuple((name, b"") for name in protocols))


def members(*each: Member) -> Members:
    made = Members()
    for one in each:
        made.add(one)
    return made


def test_the_first_leads_and_after_it_the_oldest() -> None:
    group = members(member("a"), member("b"), member("c"))
    assert group.leader == "a"
    group.remove("c")
    group.remove("a")
    assert group.leader == "b"
    group.remove("b")
    assert group.leader is None and group.remove("b") is None


def test_a_static_member_keeps_its_place_under_another_id() -> None:
    leader = member("a-1", "i")
    group = members(leader, member("b"))
    group.rename(leader, "a-2")
    assert (group.leader, group.holder("i"), group["a-2"], "a-1" in group) == ("a-2", "a-2", leader, False)
    assert group.check("a-2", "i") is Error.NONE
    assert group.check("a-1", "i") is Error.FENCED_INSTANCE_ID
    assert group.check("a-1", None) is Error.UNKNOWN_MEMBER_ID
    assert group.check("b", "j") is Error.UNKNOWN_MEMBER_ID
    group.remove("a-2")
    assert group.holder("i") is None and group.check("a-2", "i") is Error.UNKNOWN_MEMBER_ID


def test_the_protocol_that_most_prefer_of_those_that_all_support() -> None:
    group = members(
        member("a", protocols=("sticky", "range", "roundrobin")),
        member("b", protocols=("range", "roundrobin")),
        member("c", protocols=("roundrobin", "range")),
    )
    assert not group.all_support("sticky")
    assert group.choose_protocol() == "range"
    group.update(group["a"], (("roundrobin", b""),), 1, 2)
    assert group.choose_protocol() == "roundrobin"
    assert (group["a"].session_timeout_ms, group["a"].rebalance_timeout_ms) == (1, 2)


@given(st.lists(st.tuples(st.sampled_from("abcd"), PROTOCOLS)))
def test_supporters_are_counted_through_any_changes(changes: list[tuple[str, list[str]]]) -> None:
    """A member comes, says something else, and goes when it is named a third time."""
    group = Members()
    named: dict[str, int] = {}
    for member_id, names in changes:
        named[member_id] = (named.get(member_id, 0) + 1) % 3
        if named[member_id] == 1:
            group.add(member(member_id, None, tuple(names)))
        elif named[member_id] == 2:
            group.update(group[member_id], tuple((name, b"") for name in names), 1, 1)
        else:
            group.remove(member_id)
        for name in ("range", "roundrobin", "sticky"):
            everybody = all(name in dict(each.protocols) for each in group.values())
            assert group.all_support(name) == everybody
        assert (group.leader is None) == (not group)


def test_topics_are_read_from_any_version_of_a_subscription() -> None:
    assert topics_of(subscription("a", "bcd")) == ["a", "bcd"]
    assert topics_of(subscription()) == []
    assert topics_of(subscription("caf?").replace(b"?", b"\xe9")) == ["caf\ufffd"]


def test_what_consumers_subscribe_to_is_not_known_if_one_cannot_be_read() -> None:
    readable, cut = member("a"), member("b")
    readable.protocols = (("range", subscription("t", "u")),)
    cut.protocols = (("range", subscription("v")[:8]),)
    assert members(readable).topics("range") == {"t", "u"}
    assert members().topics("range") == frozenset()
    assert members(readable, cut).topics("range") is None
