"""A group that commits offsets of the topic that comes and goes: none that it committed for an earlier topic of that
name is answered, and none for the present one is lost with those.

Judged is what a coordinator says that shows the present topic to its clients. A commit that is acknowledged while the
topic is to be deleted, or has become another, may be of either.
"""

from __future__ import annotations

from typing import Any

from kafkalike.errors import Error
from tests.simulation.offset_committers import Committer


class RecreatedTopicCommitter(Committer):
    """Commits go on from topic to topic, so that each offset belongs to one of them at most."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._topics: dict[int, bytes] = {}  # acknowledged offset -> the topic for which it was committed
        self._asked_for: bytes | None = None  # by the request that is under way
        self._judged: bytes | None = None  # the last topic for which an offset was read

    @property
    def _topic(self) -> bytes | None:
        """The id of the topic; None when there is none, or not for long."""
        name = self.key[0]
        return None if name in self._watcher.doomed else self._watcher.ids.get(name)

    def _next(self) -> None:
        """A new topic's first consumer begins with the question where it was."""
        if self.coordinator is not None and self._topic not in (None, self._judged) and not self.settled:
            self._fetch(self.coordinator)
        else:
            super()._next()

    def _commit(self, coordinator: int) -> None:
        self._asked_for = self._topic
        super()._commit(coordinator)

    def _committed(self, offset: int, coordinator: int, epoch: int | None, response: Any) -> None:
        error = Error(response.topics[0].partitions[0].error_code)
        if error is Error.NONE and self._asked_for is not None and self._asked_for == self._topic:
            self._topics[offset] = self._asked_for
        super()._committed(offset, coordinator, epoch, response)

    def _fetch(self, coordinator: int) -> None:
        broker = self._watcher.hosts[coordinator].broker
        shown = broker.metadata.image.topics.get(self.key[0]) if broker is not None else None
        self._asked_for = self._topic if shown is not None and shown.id == self._topic else None
        super()._fetch(coordinator)

    def _judge(self, offset: int) -> None:
        if self._asked_for is None:
            return
        self._judged = self._asked_for
        topic, last = self._topics.get(offset), self._topics.get(self.acknowledged)
        if topic is not None and topic != self._asked_for:
            self._watcher.fail(
                "OffsetsGoWithTheirTopic", "%s: %d was read for topic %s, and committed for topic %s",
                self.group, offset, self._asked_for.hex(), topic.hex(),
            )  # fmt: skip
        if last is not None and last != self._asked_for:
            self.world.meet("offset of an earlier topic not read")
        elif last is not None and last == self._topic:
            super()._judge(offset)
