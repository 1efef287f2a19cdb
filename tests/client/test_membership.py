"""The consumer's half of the group protocol: inputs, then the list of effects."""

import pytest

from kafkalike.client.consumer_protocol import (
    decode_assignment,
    decode_subscription,
    encode_assignment,
    encode_subscription,
)
from kafkalike.client.membership import Assigned, Effect, Fail, FindCoordinator, Lost, Membership, Revoke, State
from kafkalike.errors import Error
from kafkalike.protocol.messages import heartbeat, join_group, leave_group, sync_group


def joined(member: Membership, leader: str = "", error: Error = Error.NONE, generation: int = 1) -> list[Effect]:
    me = member.member_id or "me"
    members = []
    if (leader or me) == me:
        members = [
            join_group.JoinGroupResponseMember(member_id=name, metadata=encode_subscription(["t"]))
            for name in (me, "other")
        ]
    answer = join_group.Response(
        error_code=error,
        generation_id=generation,
        protocol_name="range",
        leader=leader or me,
        member_id=me,
        members=members,
    )
    return member.joined(answer, dict.fromkeys(member.topics_to_share(answer), 2))


def settled() -> Membership:
    member = Membership("g", ["t"])
    member.next_request()
    joined(member)
    member.next_request()
    assert [Assigned((("t", 0),))] == member.synced(sync_group.Response(assignment=encode_assignment([("t", 0)])))
    return member


def test_a_new_member_is_given_its_id_first() -> None:
    member = Membership("g", ["t"])
    first = member.next_request()
    assert ("", "g", "consumer") == (first.member_id, first.group_id, first.protocol_type)
    assert ["range", "roundrobin"] == [p.name for p in first.protocols]
    assert ["t"] == decode_subscription(first.protocols[0].metadata)
    assert None is member.next_request()
    answer = join_group.Response(error_code=Error.MEMBER_ID_REQUIRED, member_id="me")
    assert [] == member.joined(answer, {})
    assert "me" == member.next_request().member_id


def test_the_leader_shares_the_partitions_out() -> None:
    member = Membership("g", ["t"])
    member.next_request()
    assert [] == joined(member)
    sync = member.next_request()
    shares = {a.member_id: decode_assignment(a.assignment) for a in sync.assignments}
    assert {"me": [("t", 0)], "other": [("t", 1)]} == shares
    assert (1, "me", "range") == (sync.generation_id, sync.member_id, sync.protocol_name)


def test_only_the_leader_has_topics_to_share() -> None:
    member = Membership("g", ["t"])
    members = [join_group.JoinGroupResponseMember(member_id="me", metadata=encode_subscription(["t", "u"]))]
    answer = join_group.Response(leader="me", member_id="me", members=members)
    assert set() == member.topics_to_share(answer), "it has not asked"
    member.next_request()
    assert {"t", "u"} == member.topics_to_share(answer)
    answer.leader = "other"
    assert set() == member.topics_to_share(answer)


def test_a_follower_sends_no_shares() -> None:
    member = Membership("g", ["t"])
    member.next_request()
    joined(member, leader="other")
    assert [] == member.next_request().assignments


def test_a_settled_member_sends_heartbeats() -> None:
    member = settled()
    beat = member.heartbeat()
    assert isinstance(beat, heartbeat.Request)
    assert ("me", 1) == (beat.member_id, beat.generation_id)
    assert [] == member.heard(Error.NONE, 1)


def test_an_unsettled_member_sends_none() -> None:
    member = Membership("g", ["t"])
    assert None is member.heartbeat()
    member.next_request()
    assert None is member.heartbeat()


def test_a_rebalance_lets_the_application_commit_before_it_joins_again() -> None:
    member = settled()
    assert [Revoke()] == member.heard(Error.REBALANCE_IN_PROGRESS, 1)
    assert State.OUT is member.state
    again = member.next_request()
    assert isinstance(again, join_group.Request)
    assert "me" == again.member_id


@pytest.mark.parametrize(("error", "member_id"), [(Error.UNKNOWN_MEMBER_ID, ""), (Error.ILLEGAL_GENERATION, "me")])
def test_a_fenced_member_has_lost_its_partitions(error: Error, member_id: str) -> None:
    member = settled()
    assert [Lost()] == member.heard(error, 1)
    assert member_id == member.next_request().member_id


def test_an_answer_to_another_generations_heartbeat_says_nothing() -> None:
    member = settled()
    assert [] == member.heard(Error.UNKNOWN_MEMBER_ID, 0)
    assert State.STABLE is member.state


def test_a_moved_coordinator_is_looked_up_without_leaving() -> None:
    member = settled()
    assert [FindCoordinator()] == member.heard(Error.NOT_COORDINATOR, 1)
    assert State.STABLE is member.state


def test_a_coordinator_that_moves_during_the_join_is_asked_again() -> None:
    member = Membership("g", ["t"])
    member.next_request()
    assert [FindCoordinator()] == joined(member, error=Error.NOT_COORDINATOR)
    assert isinstance(member.next_request(), join_group.Request)


def test_a_broken_connection_during_the_sync_starts_over() -> None:
    member = Membership("g", ["t"])
    member.next_request()
    joined(member)
    assert [FindCoordinator()] == member.unanswered()
    assert isinstance(member.next_request(), join_group.Request)


def test_a_rebalance_during_the_sync_joins_again_and_revokes_nothing() -> None:
    member = Membership("g", ["t"])
    member.next_request()
    joined(member)
    member.next_request()
    assert [] == member.synced(sync_group.Response(error_code=Error.REBALANCE_IN_PROGRESS))
    assert State.OUT is member.state


def test_what_cannot_be_cured_is_told() -> None:
    member = Membership("g", ["t"])
    member.next_request()
    (effect,) = joined(member, error=Error.INCONSISTENT_GROUP_PROTOCOL)
    assert isinstance(effect, Fail)
    assert Error.INCONSISTENT_GROUP_PROTOCOL is effect.error.error


def test_other_topics_mean_another_round() -> None:
    member = settled()
    assert [Revoke()] == member.want(["t", "u"])
    assert ["t", "u"] == decode_subscription(member.next_request().protocols[0].metadata)


def test_leaving_names_the_member_as_the_version_wants_it() -> None:
    leave = settled().leave()
    assert leave is not None
    assert leave_group.Request(group_id="g", member_id="me") == leave(2)
    assert ["me"] == [m.member_id for m in leave(3).members]


def test_a_member_the_coordinator_does_not_know_just_goes() -> None:
    member = Membership("g", ["t"])
    assert None is member.leave()
    assert State.GONE is member.state


def test_a_static_member_stays_registered() -> None:
    member = Membership("g", ["t"], group_instance_id="i")
    member.next_request()
    joined(member)
    assert None is member.leave()
