"""Who leads next."""

import pytest

from kafkalike.controller.election_strategies import Elected, controlled_shutdown, offline, preferred, reassign


@pytest.mark.parametrize(
    ("live", "isr", "unclean", "expected"),
    [
        ({1, 2, 3}, (1, 2, 3), False, Elected(1, (1, 2, 3), (1, 2, 3))),
        ({2, 3}, (1, 2, 3), False, Elected(2, (2, 3), (2, 3))),
        ({2, 3}, (3, 1), False, Elected(3, (3,), (2, 3))),
        ({2, 3}, (1,), False, None),
        ({2, 3}, (1,), True, Elected(2, (2,), (2, 3), recovering=True)),
        ({3}, (3,), True, Elected(3, (3,), (3,))),
        (set(), (1,), True, None),
    ],
)
def test_offline(live: set[int], isr: tuple[int, ...], unclean: bool, expected: Elected | None) -> None:
    assert expected == offline((1, 2, 3), isr, live.__contains__, unclean)


def test_reassignment_takes_the_first_target_that_is_in_sync_and_keeps_the_isr() -> None:
    assert Elected(5, (1, 5), (4, 5)) == reassign((4, 5), (1, 5), {1, 4, 5}.__contains__)
    assert reassign((4, 5), (1, 5), {1, 4}.__contains__) is None


def test_the_preferred_leader_leads_only_if_it_is_live_and_in_sync() -> None:
    assert Elected(1, (2, 1), (1, 2)) == preferred((1, 2), (2, 1), {1, 2}.__contains__)
    assert preferred((1, 2), (2,), {1, 2}.__contains__) is None
    assert preferred((1, 2), (2, 1), {2}.__contains__) is None
    assert preferred((), (), {1}.__contains__) is None


def test_a_leaving_broker_hands_over_to_one_that_stays_and_leaves_the_isr() -> None:
    assert Elected(2, (2, 3), (1, 2, 3)) == controlled_shutdown((1, 2, 3), (1, 2, 3), {1, 2, 3}.__contains__, {1})
    assert controlled_shutdown((1, 2), (1,), {1, 2}.__contains__, {1}) is None
    assert controlled_shutdown((1, 2), (1, 2), {1, 2}.__contains__, {1, 2}) is None
