"""One container is stopped, killed, paused or cut off while a producer and a group are at work; afterwards the walk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.docker.stack import Load, Stack, walk

pytestmark = pytest.mark.timeout(1200)


@contextmanager
def stopped(stack: Stack, service: str) -> Iterator[None]:
    stack.container(service).stop(timeout=30)
    yield
    stack.container(service).start()


@contextmanager
def killed(stack: Stack, service: str) -> Iterator[None]:
    stack.container(service).kill()
    yield
    stack.container(service).start()


@contextmanager
def paused(stack: Stack, service: str) -> Iterator[None]:
    stack.container(service).pause()
    yield
    stack.container(service).unpause()


@contextmanager
def cut_off(stack: Stack, service: str) -> Iterator[None]:
    container, network = stack.container(service), stack.network()
    network.disconnect(container)
    yield
    network.connect(container, aliases=[service])


FAULTS: dict[str, Callable[[Stack, str], AbstractContextManager[None]]] = {
    "stopped": stopped,
    "killed": killed,
    "paused": paused,
    "cut off": cut_off,
}


def test_one_broker_at_a_time_is_stopped_killed_paused_and_cut_off(stack: Stack, tmp_path: Path, name: str) -> None:
    """The leader of partition 0 each time; what was acknowledged is there, once, in order, on identical replicas."""
    load = Load(stack, name)
    try:
        for what, fault in FAULTS.items():
            load.progress()
            service = f"broker{stack.leader(name)}"
            with load.fault(what), fault(stack, service):
                load.progress()
            stack.wait_healthy(service)
            stack.wait_in_sync(name)
        load.judge(tmp_path)
    finally:
        load.end()


def test_a_zookeeper_server_that_is_away_stops_nobody_and_the_walk_holds_afterwards(stack: Stack, name: str) -> None:
    load = Load(stack, name)
    try:
        with load.fault("killed"), killed(stack, "zookeeper2"):
            load.progress()
        stack.wait_healthy("zookeeper2")
        load.progress()
    finally:
        load.end()
    walk(stack)
