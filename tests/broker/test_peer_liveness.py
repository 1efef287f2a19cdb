"""Connections to the other brokers are kept, and a lost one is doubted until it is known what became of the broker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kafkalike.broker.peer_liveness import DOUBT_SECONDS, LOOK_SECONDS, PeerLiveness
from kafkalike.cluster.metadata import Broker, Image


def image(*brokers: int) -> Image:
    return Image(brokers={n: Broker(n, None, {}) for n in brokers})


class Seen:
    """Broker 1's parts, and what they were told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.kept: list[int] = []
        self.told: list[Any] = []
        self.refuses: Deferred[bool] = Deferred()
        self.peers: Any = SimpleNamespace(keep=self.kept.append, refuses=lambda broker_id: self.refuses)
        self.metadata: Any = SimpleNamespace(
            image=image(1, 2, 3),
            on_change=lambda callback: setattr(self, "change", callback),
            suspect_dead=lambda broker_id: self.told.append(("doubt", broker_id)),
            trust_alive=lambda broker_id: self.told.append(("trust", broker_id)),
        )
        isr: Any = SimpleNamespace(brokers_gone=lambda gone: self.told.append(("gone", gone)))
        controller: Any = SimpleNamespace(connection_lost=lambda *what: self.told.append(("lost", *what)))
        self.liveness = PeerLiveness(1, self.metadata, self.peers, isr, controller, self.clock)


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_there_is_a_connection_to_each_other_broker(seen: Seen) -> None:
    seen.liveness.start()
    assert [2, 3] == seen.kept
    seen.clock.advance(LOOK_SECONDS)
    assert [2, 3] * 2 == seen.kept
    seen.liveness.stop()
    assert [] == seen.clock.getDelayedCalls()


def test_replicas_hear_of_brokers_that_are_gone_from_the_metadata(seen: Seen) -> None:
    seen.change(image(1, 2, 3), image(1, 2))  # type: ignore[attr-defined]
    assert ([("gone", {3})], [2, 3]) == (seen.told, seen.kept)


def test_what_was_never_connected_is_the_controllers_business_only(seen: Seen) -> None:
    seen.peers.lost(2, False)
    assert [("lost", 2, False)] == seen.told


@pytest.mark.parametrize(("refused", "trusted"), [(True, []), (False, [("trust", 2)])])
def test_a_broker_whose_connection_is_lost_is_doubted_unless_somebody_listens_there(
    seen: Seen, refused: bool, trusted: list[Any]
) -> None:
    seen.peers.lost(2, True)
    assert [("lost", 2, True), ("doubt", 2)] == seen.told
    seen.refuses.callback(refused)
    assert trusted == seen.told[2:]
    seen.clock.advance(DOUBT_SECONDS)
    assert [*trusted, ("trust", 2)] == seen.told[2:]
