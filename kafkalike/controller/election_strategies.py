"""Which replica leads next (Kafka's PartitionLeaderElectionAlgorithms). Each strategy is a function of the assignment,
the ISR and the live brokers. It gives the new leader, the new ISR, and the brokers to be told; or None when no replica
may lead, and then nothing is written.

Every election adds one to the leader epoch (partition_state_machine.py does). An unclean one is marked as recovering.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

Alive = Callable[[int], bool]


class Elected(NamedTuple):
    """The outcome of an election; `recipients` are sent LeaderAndIsr."""

    leader: int
    isr: tuple[int, ...]
    recipients: tuple[int, ...]
    recovering: bool = False


def offline(replicas: tuple[int, ...], isr: tuple[int, ...], alive: Alive, unclean: bool = False) -> Elected | None:
    """For a partition without a leader: the first assigned replica that is live and in sync; with `unclean`, and only
    if none is, the first that is live, whatever it lacks."""
    recipients = tuple(r for r in replicas if alive(r))
    in_sync = [r for r in recipients if r in isr]
    if in_sync:
        return Elected(in_sync[0], tuple(r for r in isr if alive(r)), recipients)
    if unclean and recipients:
        return Elected(recipients[0], (recipients[0],), recipients, recovering=True)
    return None


def reassign(target: tuple[int, ...], isr: tuple[int, ...], alive: Alive) -> Elected | None:
    """At the end of a reassignment: the first target replica that is live and in sync."""
    leader = next((r for r in target if alive(r) and r in isr), None)
    return None if leader is None else Elected(leader, isr, target)


def preferred(replicas: tuple[int, ...], isr: tuple[int, ...], alive: Alive) -> Elected | None:
    """The head of the assignment, if it is live and in sync."""
    leader = replicas[0] if replicas else -1
    return Elected(leader, isr, replicas) if leader in isr and alive(leader) else None


def controlled_shutdown(
    replicas: tuple[int, ...], isr: tuple[int, ...], alive: Alive, leaving: Collection[int]
) -> Elected | None:
    """The first in-sync replica that stays; `alive` here counts brokers that are shutting down as live."""
    recipients = tuple(r for r in replicas if alive(r))
    leader = next((r for r in recipients if r in isr and r not in leaving), None)
    if leader is None:
        return None
    return Elected(leader, tuple(r for r in isr if r not in leaving), recipients)
