"""The members of one group: who they are, which protocols all of them support, who leads. Pure; a part of group.py."""

import struct
from collections import Counter
from dataclasses import dataclass

from kafkalike.coordinator.group_effects import Token
from kafkalike.coordinator.group_records import MemberValue
from kafkalike.errors import Error
from kafkalike.protocol.primitives import LENIENT

Protocols = tuple[tuple[str, bytes], ...]


@dataclass(slots=True, eq=False)
class Member:
    """One member of a group. `joining` and `syncing` are its calls that wait for an answer."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]
    assignment: bytes = b""
    joining: Token | None = None
    syncing: Token | None = None
    is_new: bool = False
    deadline_ms: int | None = None

    def metadata(self, protocol: str | None) -> bytes:
        """The member's metadata for the protocol that was chosen."""
        return next(metadata for name, metadata in self.protocols if name == protocol)

    def vote(self, candidates: set[str]) -> str:
        """The first of the member's protocols that all members support."""
        return next(name for name, _ in self.protocols if name in candidates)


class Members(dict[str, Member]):
    """The members by member id, in the order in which they joined. Only the methods here change them."""

    __slots__ = ("leader", "_holders", "_supporters")

    def __init__(self) -> None:
        super().__init__()
        # The leader's member id; there is a leader as soon as there is a member.
        self.leader: str | None = None
        self._holders: dict[str, str] = {}
        self._supporters: Counter[str] = Counter()

    def add(self, member: Member) -> None:
        """The first to come leads."""
        if member.instance_id is not None:
            assert member.instance_id not in self._holders, "an instance id has one member"
            self._holders[member.instance_id] = member.member_id
        if self.leader is None:
            self.leader = member.member_id
        self[member.member_id] = member
        self._supporters.update(dict(member.protocols).keys())

    def remove(self, member_id: str) -> Member | None:
        """Removes a member and gives it, or None. If it was the leader, the oldest remaining member leads now."""
        member = self.pop(member_id, None)
        if member is None:
            return None
        self._supporters.subtract(dict(member.protocols).keys())
        if member.instance_id is not None:
            del self._holders[member.instance_id]
        if self.leader == member_id:
            self.leader = next(iter(self), None)
        return member

    def rename(self, member: Member, member_id: str) -> None:
        """Gives a static member another id; a leader goes on leading."""
        assert member.instance_id is not None
        old_id, member.member_id = member.member_id, member_id
        del self[old_id]
        self[member_id] = member
        self._holders[member.instance_id] = member_id
        if self.leader == old_id:
            self.leader = member_id

    def update(  # type: ignore[override]
        self, member: Member, protocols: Protocols, session_timeout_ms: int, rebalance_timeout_ms: int
    ) -> None:
        """Takes over what a member says of itself."""
        self._supporters.subtract(dict(member.protocols).keys())
        member.protocols = protocols
        self._supporters.update(dict(protocols).keys())
        member.session_timeout_ms, member.rebalance_timeout_ms = session_timeout_ms, rebalance_timeout_ms

    def holder(self, instance_id: str | None) -> str | None:
        """The id of the member with this instance id."""
        return None if instance_id is None else self._holders.get(instance_id)

    def check(self, member_id: str, instance_id: str | None) -> Error:
        """FENCED_INSTANCE_ID if another member has the instance id, UNKNOWN_MEMBER_ID if there is none."""
        if instance_id is not None:
            holder = self._holders.get(instance_id)
            if holder is not None and holder != member_id:
                return Error.FENCED_INSTANCE_ID
        if member_id not in self or (instance_id is not None and instance_id not in self._holders):
            return Error.UNKNOWN_MEMBER_ID
        return Error.NONE

    def all_support(self, protocol: str) -> bool:
        """Whether every member has this protocol."""
        return self._supporters[protocol] == len(self)

    def choose_protocol(self) -> str:
        """The protocol, of those that all members support, that most members prefer."""
        candidates = {name for name in self._supporters if self.all_support(name)}
        votes = Counter(member.vote(candidates) for member in self.values())
        return votes.most_common(1)[0][0]

    @property
    def rebalance_timeout_ms(self) -> int:
        """The longest that any of them asks for."""
        return max((member.rebalance_timeout_ms for member in self.values()), default=0)

    def metadata(self, protocol: str | None) -> tuple[tuple[str, str | None, bytes], ...]:
        """(member id, instance id, metadata) of each."""
        return tuple((each.member_id, each.instance_id, each.metadata(protocol)) for each in self.values())

    def described(self, protocol: str | None, assignments: dict[str, bytes]) -> tuple[MemberValue, ...]:
        """The members as the group's record has them, with these assignments or else their own."""
        return tuple(
            MemberValue(
                each.member_id,
                each.instance_id,
                each.client_id,
                each.client_host,
                each.rebalance_timeout_ms,
                each.session_timeout_ms,
                each.metadata(protocol),
                assignments.get(each.member_id, each.assignment),
            )
            for each in self.values()
        )

    def topics(self, protocol: str | None) -> frozenset[str] | None:
        """What these consumers have subscribed to; None if that cannot be read."""
        try:
            return frozenset().union(*(topics_of(each.metadata(protocol)) for each in self.values()))
        except (struct.error, StopIteration):
            return None


def topics_of(subscription: bytes) -> list[str]:
    """The topics in a consumer's metadata: every version begins with int16 version and the array of topics."""
    _, count = struct.unpack_from(">hi", subscription)
    topics, pos = [], 6
    for _ in range(count):
        (size,) = struct.unpack_from(">h", subscription, pos)
        topic = bytes(subscription[pos + 2 : pos + 2 + size])
        if size < 0 or len(topic) != size:
            raise struct.error("a topic's name is cut")
        topics.append(topic.decode("utf-8", LENIENT))
        pos += 2 + size
    return topics
