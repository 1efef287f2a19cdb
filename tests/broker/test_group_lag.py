"""The lag of groups: asked of their coordinator and of the leaders, not too often, and nobody waits for long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from kafkalike.broker import group_lag
from kafkalike.broker.group_lag import INTERVAL_S, PATIENCE_S, GroupLag
from kafkalike.coordinator.offsets.offset_commit import Committed
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import list_offsets


class Coordinator:
    """Has two groups, of which one has moved."""

    def __init__(self) -> None:
        self.lists: list[Deferred[Any]] = []
        self.committed = {("here", 0): 70, ("there", 0): 5, ("there", 1): -1, ("nowhere", 0): 3}

    async def list_groups(self) -> Any:
        self.lists.append(Deferred())
        return await self.lists[-1]

    def listed(self) -> None:
        self.lists[-1].callback((Error.NONE, [SimpleNamespace(group_id="g"), SimpleNamespace(group_id="moved")]))

    async def fetch(self, group_id: str, keys: None) -> Any:
        if group_id == "moved":
            raise KafkaError(Error.NOT_COORDINATOR)
        return [(key, Committed(offset)) for key, offset in self.committed.items()]


class Scene:
    def __init__(self, answer: Any = None) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.coordinator = Coordinator()
        self.asked: list[tuple[int, Any]] = []
        leaders = {("here", 0): 1, ("there", 0): 2, ("there", 1): 2}
        image = SimpleNamespace(partition=lambda *key: SimpleNamespace(leader=leaders[key]) if key in leaders else None)
        hosted = SimpleNamespace(partition=SimpleNamespace(leading=True, high_watermark=100))

        def ask(broker_id: int, message: Any, version: int, request: Any) -> Any:
            self.asked.append((broker_id, request))
            return answer or succeed(response(("there", 0, 25)))

        self.lag = GroupLag(
            1,
            self.coordinator,  # type: ignore[arg-type]
            SimpleNamespace(image=image),  # type: ignore[arg-type]
            SimpleNamespace(hosted={("here", 0): hosted}),  # type: ignore[arg-type]
            ask,
            self.clock,
        )

    def refreshed(self) -> Deferred[None]:
        waiting = self.lag.refresh()
        self.coordinator.listed()
        return waiting


def response(*ends: tuple[str, int, int]) -> Any:
    return list_offsets.Response(
        topics=[
            list_offsets.ListOffsetsTopicResponse(
                name=topic, partitions=[list_offsets.ListOffsetsPartitionResponse(partition_index=index, offset=offset)]
            )
            for topic, index, offset in ends
        ]
    )


def test_lag_is_what_a_leader_has_beyond_the_committed_offset() -> None:
    scene = Scene()
    assert scene.refreshed().called
    assert {("g", "here", 0): 70, ("g", "there", 0): 5, ("g", "nowhere", 0): 3} == scene.lag.offsets
    assert {("g", "here", 0): 30, ("g", "there", 0): 20} == scene.lag.lags, "of nowhere nobody knows the end"
    assert [2] == [broker_id for broker_id, _ in scene.asked]
    assert {("g", "here"): 30, ("g", "there"): 20} == dict(group_lag.LAG_SUM._watched[scene.lag](scene.lag))


def test_a_leader_that_does_not_answer_hides_its_own_partitions_only() -> None:
    scene = Scene(fail(ConnectionError("gone")))
    scene.refreshed()
    assert {("g", "here", 0): 30} == scene.lag.lags


def test_readers_that_come_soon_after_one_another_are_told_the_same() -> None:
    scene = Scene()
    scene.refreshed()
    assert scene.lag.refresh().called
    assert 1 == len(scene.coordinator.lists)
    scene.clock.advance(INTERVAL_S)
    scene.refreshed()
    assert 2 == len(scene.coordinator.lists)


def test_nobody_waits_for_long_and_the_numbers_come_all_the_same() -> None:
    scene = Scene()
    waiting = scene.lag.refresh()
    scene.clock.advance(PATIENCE_S)
    assert waiting.called and {} == scene.lag.lags
    scene.coordinator.listed()
    assert 30 == scene.lag.lags["g", "here", 0]
