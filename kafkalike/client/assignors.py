"""How the leader of a group shares partitions among its members. Pure: subscriptions and counts in, a plan out.

The names are those members announce in JoinGroup; the results equal the Java client's for the same input, because
members written in different languages may share a group and any of them may be its leader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kafkalike.client.cluster import Partition

Plan = dict[str, list[Partition]]


def assign_range(members: Mapping[str, Sequence[str]], partitions: Mapping[str, int]) -> Plan:
    """Per topic: consecutive ranges in member order, the first members get one more."""
    plan: Plan = {member: [] for member in members}
    for topic in sorted({topic for topics in members.values() for topic in topics}):
        count = partitions.get(topic, 0)
        interested = sorted(member for member, topics in members.items() if topic in topics)
        share, extra = divmod(count, len(interested))
        start = 0
        for index, member in enumerate(interested):
            size = share + (index < extra)
            plan[member].extend((topic, partition) for partition in range(start, start + size))
            start += size
    return plan


def assign_round_robin(members: Mapping[str, Sequence[str]], partitions: Mapping[str, int]) -> Plan:
    """All partitions in order of topic and number, dealt in turn to the members that want the topic."""
    plan: Plan = {member: [] for member in members}
    order = sorted(members)
    turn = 0
    for topic in sorted({topic for topics in members.values() for topic in topics}):
        for partition in range(partitions.get(topic, 0)):
            while topic not in members[order[turn % len(order)]]:
                turn += 1
            plan[order[turn % len(order)]].append((topic, partition))
            turn += 1
    return plan


ASSIGNORS: dict[str, Callable[[Mapping[str, Sequence[str]], Mapping[str, int]], Plan]] = {
    "range": assign_range,
    "roundrobin": assign_round_robin,
}
