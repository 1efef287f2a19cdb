"""Each part in a cluster, played by the one kind among brokers of the other."""

from __future__ import annotations

import pytest

from tests.mixed.cluster import Load, Mixed, read_all

ROTATION = ([1, 2, 3], [2, 3, 1], [3, 1, 2])


@pytest.mark.timeout(240)
def test_ours_follows_and_leads_under_apaches_controller(mixed: Mixed, name: str) -> None:
    assert mixed.give_control_to("apache") in (1, 2)
    mixed.create_topic(name, *ROTATION)
    assert {0: 1, 1: 2, 2: 3} == mixed.leaders(name)
    with Load(mixed, name, 3) as load:
        load.go_on(1000)
    mixed.assert_identical(name)
    for broker in mixed.running.values():
        assert load.sent == [len(each) for each in read_all(mixed, name, 3, broker.bootstrap).values()]


@pytest.mark.timeout(240)
def test_ours_controls_apaches_brokers(mixed: Mixed, name: str) -> None:
    assert 3 == mixed.give_control_to("kafkalike")
    mixed.create_topic(name, *ROTATION)
    with Load(mixed, name, 3) as load:
        load.go_on(500)
    mixed.assert_identical(name)


@pytest.mark.timeout(240)
def test_control_moves_under_load(mixed: Mixed, name: str) -> None:
    mixed.create_topic(name, *ROTATION)
    with Load(mixed, name, 3) as load:
        load.go_on(100)
        for kind in ("kafkalike", "apache", "kafkalike"):
            mixed.give_control_to(kind)
            load.go_on(100)
    mixed.wait_in_sync(name)
    mixed.assert_identical(name)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["apache", "kafkalike"])
def test_leaders_move_under_load(mixed: Mixed, name: str, kind: str) -> None:
    """By elections, and by a reassignment that takes partitions from one kind to the other."""
    controller = mixed.give_control_to(kind)
    mixed.create_topic(name, [1, 3], [3, 2])
    with Load(mixed, name, 2) as load:
        load.go_on(100)
        mixed.reassign(name, [3, 2], [2, 1])
        assert {0: 3, 1: 2} == mixed.leaders(name)
        load.go_on(100)
        mixed.reassign(name, [2, 3], [3, 2])
        mixed.elect_preferred(name)
        load.go_on(100)
        assert {0: 2, 1: 3} == mixed.leaders(name)
    assert controller == mixed.controller()
    mixed.assert_identical(name)


@pytest.mark.timeout(240)
def test_our_broker_stops_and_comes_back_under_load(mixed: Mixed, name: str) -> None:
    """Under a controller of Apache's: nobody waits for more than an election, and it leads again."""
    mixed.give_control_to("apache")
    mixed.create_topic(name, *ROTATION)
    with Load(mixed, name, 3) as load:
        load.go_on(100)
        assert 0 == mixed.brokers[3].stop()
        assert 3 not in mixed.leaders(name).values()
        load.go_on(100)
        mixed.start(3)
        mixed.elect_preferred(name)
        load.go_on(100)
    mixed.assert_identical(name)
