"""Configuration that changes while the broker runs: reads it at the start, and again whenever a notification comes.

Every broker watches /config/changes. A notification has a sequence number and names an entity; those above the last
number are taken in order, and the entity's own znode says what holds now. A notification older than 15 minutes is
removed by whoever sees it. What a broker missed while its session was lost it finds there afterwards.

    /config/brokers/<default>, /config/brokers/N   values of `Config`, from which topics take their defaults
    /config/topics/T                               the topic's logs here
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from twisted.internet.defer import Deferred

from kafkalike.broker.config_admin import DEFAULT
from kafkalike.clock import Clock
from kafkalike.cluster import topic_names, zookeeper
from kafkalike.cluster.znodes.configs import ConfigChange, EntityConfig
from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.config import Config, reconfigure, without_effect
from zk.client import ConnectionLoss, NoNode, SessionExpired, ZkClient

log = logging.getLogger("kafka.server.ZkConfigManager")

KEEP_MS = 15 * 60 * 1000
UNCLEAN = "unclean.leader.election.enable"


async def topic_overrides(zk: ZkClient, topic: str) -> dict[str, str]:
    """A topic's own configuration, from its znode; garbage there is logged and counts as none."""
    return await zookeeper.read(zk, EntityConfig, "topics", topic) or {}


class DynamicConfig:
    """The changing part of one broker's configuration."""

    def __init__(
        self,
        zk: ZkClient,
        broker_id: int,
        config: Config,
        topic_changed: Callable[[str, dict[str, str]], None],
        broker_changed: Callable[[set[str]], None],
        clock: Clock,
    ) -> None:
        """`topic_changed(topic, its values)` and `broker_changed(names whose values are others now)` are told."""
        self._zk = zk
        self._broker_id = broker_id
        self._config = config
        self._topic_changed = topic_changed
        self._broker_changed = broker_changed
        self._clock = clock
        self._last = -1
        self._told: set[str] = set()  # the faults that the log has a line for
        self._watch = zookeeper.watch_children(zk, ConfigChange, self._listed)
        self._names: list[str] | None = None
        self._working = False

    async def load(self) -> None:
        """The broker's own values, before anything is made from them."""
        await self._broker_entity()

    def start(self) -> Deferred[None]:
        """Begins to watch; what is there already is applied once more, which does no harm."""
        return self._watch.start()

    def stop(self) -> None:
        """Watches no more."""
        self._watch.stop()

    # Notifications

    def _listed(self, names: list[str]) -> None:
        self._names = names
        if not self._working:
            self._working = True
            Deferred.fromCoroutine(self._work()).addErrback(
                lambda failure: log.error("configuration changes: %s", failure.getTraceback())
            )

    async def _work(self) -> None:
        try:
            while self._names is not None:
                names, self._names = self._names, None
                for name in sorted(names, key=_number):
                    if _number(name) > self._last:
                        await self._take(name)
                await self._remove_old(names)
        except (SessionExpired, ConnectionLoss):
            # The watch lists them again when the connection is back.
            log.info("configuration changes are looked at again after the reconnection")
        finally:
            self._working = False

    async def _take(self, name: str) -> None:
        """Looked at once more if the session was lost meanwhile; what fails otherwise would only fail again, and keep
        those behind it waiting."""
        before, self._last = self._last, _number(name)
        try:
            await self._notified(name)
        except (SessionExpired, ConnectionLoss):
            self._last = before
            raise

    async def _notified(self, name: str) -> None:
        change = await zookeeper.read(self._zk, ConfigChange, name)
        if change is None:
            return
        if change.kind == "topics" and topic_names.illegal(change.name) is None:
            await self._topic_entity(change.name)
        elif change.kind == "brokers" and change.name in (DEFAULT, str(self._broker_id)):
            await self._broker_entity()

    async def _remove_old(self, names: list[str]) -> None:
        limit = self._clock.wall_ms() - KEEP_MS
        for name in names:
            path = ConfigChange.path(name)
            stat = await self._zk.exists(path)
            if stat is not None and stat.ctime < limit:
                with contextlib.suppress(NoNode):
                    await self._zk.delete(path)

    # Entities

    async def _topic_entity(self, topic: str) -> None:
        values = await self._values("topics", topic)
        if values is not None:
            self._topic_changed(topic, values)

    async def _broker_entity(self) -> None:
        own = await self._values("brokers", str(self._broker_id)) if self._broker_id >= 0 else {}
        cluster = await self._values("brokers", DEFAULT)
        before = dict(self._config)
        bad = reconfigure(
            self._config, self._config.own if own is None else own, self._config.cluster if cluster is None else cluster
        )
        for line in bad:
            if line not in self._told:
                log.error("A value in /config/brokers is ignored: %s", line)
        self._told = set(bad)
        changed = {name for name in self._config if self._config[name] != before.get(name)}
        if changed:
            log.info("Updated by /config/brokers: %s", ", ".join(sorted(changed)))
            for line in without_effect(self._config, sorted(changed)):
                log.warning("No effect here: %s", line)
            self._broker_changed(changed)

    async def _values(self, kind: str, name: str) -> dict[str, str] | None:
        """None when what is there cannot be used: then what held before goes on."""
        try:
            config, _ = await zookeeper.get(self._zk, EntityConfig, kind, name)
        except NoNode:
            return {}
        except Garbage as problem:
            log.error("%s", problem)
            return None
        return config


def _number(name: str) -> int:
    digits = name[-10:]
    return int(digits) if digits.isdecimal() else -1
