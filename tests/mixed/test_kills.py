"""kill -9 of either kind, controller or not, under load: what was acknowledged is there once and in order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.mixed.cluster import Load, Mixed

REPLICAS = ([1, 2, 3], [2, 3, 4], [3, 4, 1], [4, 1, 2])


@pytest.mark.mixed
@pytest.mark.timeout(900)
def test_killed_brokers_of_either_kind(new_cluster: Callable[..., Mixed], name: str) -> None:
    """Brokers 1 and 2 are Apache's, 3 and 4 ours; each is killed while it is the controller and while it is not."""
    cluster = new_cluster()
    for broker_id, kind in {1: "apache", 2: "apache", 3: "kafkalike", 4: "kafkalike"}.items():
        cluster.add(broker_id, kind)
    cluster.start(1, 2, 3, 4)
    cluster.create_topic(name, *REPLICAS)
    with Load(cluster, name, 4) as load:
        load.go_on()
        for kind, other in (("kafkalike", "apache"), ("apache", "kafkalike")):
            for victim in (cluster.give_control_to(kind), cluster.give_control_to(other)):
                cluster.brokers[victim].kill()
                load.go_on()
                cluster.start(victim)
                cluster.wait_in_sync(name)
                cluster.elect_preferred(name)
                load.go_on()
    cluster.wait_in_sync(name)
    cluster.assert_identical(name)


@pytest.mark.mixed
@pytest.mark.timeout(900)
def test_all_of_one_kind_at_once(new_cluster: Callable[..., Mixed], name: str) -> None:
    """Two brokers of each kind; both of one kind are killed and come back, then both of the other.

    What has lost more replicas than min.insync.replicas allows waits, and goes on afterwards.
    """
    cluster = new_cluster(offsets_topic_replication_factor=1)
    for broker_id, kind in {1: "apache", 2: "apache", 3: "kafkalike", 4: "kafkalike"}.items():
        cluster.add(broker_id, kind)
    cluster.start(1, 2, 3, 4)
    cluster.create_topic(name, *REPLICAS)
    with Load(cluster, name, 4) as load:
        for victims in ((3, 4), (1, 2), (3, 4)):
            load.go_on()
            for victim in victims:
                cluster.brokers[victim].kill()
            cluster.start(*victims)
            cluster.wait_in_sync(name)
            load.go_on()
    cluster.wait_in_sync(name)
    cluster.assert_identical(name)
