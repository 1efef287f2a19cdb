"""What the group machine (group.py) is asked to do, what it answers, and what it wants to be written."""

from collections.abc import Hashable
from dataclasses import dataclass

from kafkalike.coordinator.group_records import GroupValue
from kafkalike.errors import Error

NO_GENERATION = -1
UNKNOWN_MEMBER = ""

# Stands for a call that waits for its answer.
Token = Hashable


@dataclass(frozen=True, slots=True)
class Joining:
    """What a JoinGroup asks for. `uuid` becomes part of the member's id if it needs a new one."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: tuple[tuple[str, bytes], ...]
    uuid: str = ""
    needs_member_id: bool = False
    may_skip_assignment: bool = False
    reason: str | None = None

    @property
    def new_id(self) -> str:
        """The id that a member without one gets."""
        return f"{self.client_id if self.instance_id is None else self.instance_id}-{self.uuid}"


@dataclass(frozen=True, slots=True)
class Joined:
    """Answer a JoinGroup. `members` is (member id, instance id, metadata) of everybody, for the leader only."""

    token: Token
    error: Error
    member_id: str = UNKNOWN_MEMBER
    generation_id: int = NO_GENERATION
    protocol_type: str | None = None
    protocol_name: str | None = None
    leader: str = ""
    skip_assignment: bool = False
    members: tuple[tuple[str, str | None, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Synced:
    """Answer a SyncGroup."""

    token: Token
    error: Error
    protocol_type: str | None = None
    protocol_name: str | None = None
    assignment: bytes = b""


@dataclass(frozen=True, slots=True)
class Left:
    """Answer a LeaveGroup: (member id, instance id, error) for each that asked."""

    token: Token
    error: Error
    members: tuple[tuple[str, str | None, Error], ...] = ()


@dataclass(frozen=True, slots=True)
class Persist:
    """Write the group's record with acks=all, then call persisted(ticket, ...): answers wait for it."""

    ticket: int
    value: GroupValue


Effect = Joined | Synced | Left | Persist
