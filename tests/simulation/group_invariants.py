"""What must hold of a group with members: told by the members (group_members.py), and by what is written to ZooKeeper.

    OnePlanPerGeneration         whoever is assigned something in a generation is assigned it by the same plan of the
                                 same leader, which has a place for it: so owners are disjoint, and nothing is left over
    GenerationsGrow              who joins after a generation was in force is in that one or a later, unless it joins at
                                 a broker that does not know yet that it is the coordinator no more
    OldGenerationsDoNotCommit    a commit that is sent when a later generation is in force is neither accepted nor
                                 written
    NobodyNotices                while nothing fails but ZooKeeper, members that have their assignments keep them
    CommitsAreRead               an owner reads the last acknowledged commit, or a later one
    EventuallyRuns               in the end the group is stable, everything is owned by a living member, who commits

What that one makes of the group is never in force, as it cannot write it. In Kafka, too, such a broker answers.

A generation is in force from when a member was told its assignment: then it is on disk, and no coordinator forgets it.
Before, a coordinator that fails may take it with it, and its number is given again.

Every commit of a run has an offset of its own, larger than all before, so that it is known by it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kafkalike.coordinator.group import State
from kafkalike.coordinator.internal_topic import partition_of
from tests.simulation.disk import Key
from tests.simulation.invariants import GROUPS_PARTITIONS, GROUPS_TOPIC, Watcher


class Plan(NamedTuple):
    """What a leader has made of a generation: who owns what."""

    generation: int
    owners: dict[str, tuple[Key, ...]]


class Sent(NamedTuple):
    """A commit."""

    generation: int
    stale: bool  # a later generation was in force when it was sent


NOTHING = (-1, -1)


class Membership:
    """What is known of one group."""

    def __init__(self, group: str, keys: list[Key], watcher: Watcher, calm: int | None = None) -> None:
        """`calm` is how many members there are when none of them ever goes and the network holds."""
        self.group = group
        self.calm = calm
        self.keys = keys
        self.topics = sorted({topic for topic, _ in keys})
        self.durable = 0  # the newest generation that is in force
        self._watcher = watcher
        self._plans: list[Plan] = []
        self._told: dict[int, set[str]] = {}  # generation -> who was told an assignment
        self._whole = False  # all members were, in one, and none was about to join again
        self._joining_again: set[str] = set()
        self._in_force: dict[int, int] = {}  # generation -> its plan
        self._sent: dict[Key, dict[int, Sent]] = {key: {} for key in keys}
        self._floor: dict[Key, tuple[int, int]] = {}  # (generation, offset) of the last acknowledged or read
        self._next = 0
        watcher.memberships[group] = self

    def fail(self, name: str, detail: str, *args: Any) -> None:
        """Ends the run."""
        self._watcher.fail(name, f"group {self.group}: {detail}", *args)

    # Generations.

    def term_of(self, broker_id: int) -> int | None:
        """The leader epoch in which a broker coordinates the group, as ZooKeeper has it; None when it does not, or has
        not heard of it."""
        key = (GROUPS_TOPIC, partition_of(self.group, GROUPS_PARTITIONS))
        node, host = self._watcher.truth(key).node, self._watcher.hosts[broker_id]
        if node is None or node.leader != broker_id or host.broker is None or host.broker.replication is None:
            return None
        hosted = host.broker.replication.partitions.hosted.get(key)
        return node.leader_epoch if hosted and hosted.partition.leader_epoch == node.leader_epoch else None

    def joined(self, name: str, generation: int, known: int, coordinator: int, term: int | None) -> None:
        """A member was told its generation; `known` was in force when it asked, in a term of the coordinator."""
        if generation < known and term is not None and term == self.term_of(coordinator):
            self.fail("GenerationsGrow", "%s joins generation %d after %d", name, generation, known)
        if self._whole:
            self.fail("NobodyNotices", "%s joins again, generation %d after %d", name, generation, self.durable)

    def to_join_again(self, name: str) -> None:
        """A member was told to join again, or has to for another reason; it may take its time."""
        self._joining_again.add(name)

    def plan(self, generation: int, who: list[str]) -> bytes:
        """A leader shares the partitions out; what stands for that in its SyncGroup."""
        random = self._watcher.world.random
        who = random.sample(who, len(who))
        owners = {each: tuple(self.keys[place :: len(who)]) for place, each in enumerate(who)}
        self._plans.append(Plan(generation, owners))
        self._watcher.world.note(
            "plan %d of %s: generation %d, %s", len(self._plans) - 1, self.group, generation, owners
        )
        return b"%d" % (len(self._plans) - 1)

    def assigned(self, name: str, who: str, generation: int, data: bytes) -> tuple[Key, ...]:
        """A member was told what it owns."""
        if not data:
            self.fail("OnePlanPerGeneration", "%s in generation %d is assigned nothing at all", name, generation)
        number = int(data)
        plan = self._plans[number]
        if plan.generation != generation or who not in plan.owners:
            self.fail("OnePlanPerGeneration", "%s (%s) in generation %d is told %s", name, who, generation, plan)
        if self._in_force.setdefault(generation, number) != number:
            self.fail(
                "OnePlanPerGeneration", "%s in generation %d is told plan %d, others were told %d",
                name, generation, number, self._in_force[generation],
            )  # fmt: skip
        self.durable = max(self.durable, generation)
        told = self._told.setdefault(generation, set())
        told.add(name)
        self._joining_again.discard(name)
        self._whole = self._whole or len(told - self._joining_again) == self.calm
        return plan.owners[who]

    # Offsets.

    def commits(self, key: Key, generation: int) -> int:
        """A commit is about to be sent: its offset."""
        self._next += 1
        self._sent[key][self._next] = Sent(generation, generation < self.durable)
        return self._next

    def acknowledged(self, key: Key, offset: int) -> None:
        """The answer was that it is there."""
        sent = self._sent[key][offset]
        if sent.stale:
            self._stale(key, offset, sent, "is acknowledged")
        self._raise_floor(key, sent.generation, offset)

    def refused(self, key: Key, offset: int) -> None:
        """The answer was that it is not there, and never will be."""
        del self._sent[key][offset]

    def written(self, key: Key, offset: int) -> None:
        """A broker has written it to ZooKeeper."""
        sent = self._sent[key].get(offset)
        generation, _ = self.floor(key)
        if sent is None:
            self.fail("OldGenerationsDoNotCommit", "%d is written for %s, which was refused", offset, key)
        elif sent.stale or sent.generation < generation:
            self._stale(key, offset, sent, "is written")

    def _stale(self, key: Key, offset: int, sent: Sent, what: str) -> None:
        self.fail(
            "OldGenerationsDoNotCommit", "%d of generation %d for %s %s; the floor is %s, generation %d is in force",
            offset, sent.generation, key, what, self.floor(key), self.durable,
        )  # fmt: skip

    def floor(self, key: Key) -> tuple[int, int]:
        """(generation, offset) of the last one that was acknowledged."""
        return self._floor.get(key, NOTHING)

    def _raise_floor(self, key: Key, generation: int, offset: int) -> None:
        self._floor[key] = max(self.floor(key), (generation, offset))

    def read(self, name: str, key: Key, offset: int, floor: tuple[int, int]) -> None:
        """A member was told the offset; `floor` is from when it asked."""
        if (offset == -1 and floor == NOTHING) or offset == floor[1]:
            return
        sent = self._sent[key].get(offset)
        # A commit whose answer was lost may be carried out late, as long as its generation lasts.
        if sent is None or sent.stale or sent.generation < floor[0]:
            self.fail(
                "CommitsAreRead", "%s reads %d (%s) of %s; %d of generation %d was acknowledged",
                name, offset, sent, key, floor[1], floor[0],
            )  # fmt: skip

    # Checks at the end of a run.

    def unrest(self, members: list[Any], hosts: dict[int, Any]) -> str | None:
        """Why the group is not at rest; None when it is. `members` are those that live."""
        owned = [key for member in members for key in member.owned or ()]
        if sorted(owned) != sorted(self.keys):
            return f"{self.group}: owned are {sorted(owned)}"
        generations = {member.generation for member in members}
        if len(generations) != 1:
            return f"{self.group}: members are in generations {sorted(generations)}"
        for member in members:
            if member.owned and not member.settled:
                return f"{self.group}: {member.name} has not read what it commits"
        index = partition_of(self.group, GROUPS_PARTITIONS)
        node = self._watcher.truth((GROUPS_TOPIC, index)).node
        topic = hosts[node.leader].broker.group_coordinator.topic if node is not None else None
        led = topic.partitions.get(index) if topic is not None else None
        served = led.contents.groups.get(self.group) if led is not None else None
        if served is None:
            return f"{self.group}: its coordinator does not know it: {node!r}"
        group = served.group
        if group.state is not State.STABLE or {group.generation} != generations:
            return f"{self.group}: is {group.state.value} in generation {group.generation}, not {generations}"
        known, living = sorted(group.members), sorted(member.member_id for member in members)
        return None if known == living else f"{self.group}: has members {known}, {living} live"
