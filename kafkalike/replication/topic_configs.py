"""The effective configuration of topics: what a topic sets itself, over this broker's and the cluster's defaults."""

from __future__ import annotations

import logging
import operator
from collections.abc import Mapping
from typing import NamedTuple

from kafkalike.config import Config, topic_config, usable
from kafkalike.storage.config import LogConfig

log = logging.getLogger("kafka.server.ReplicaManager")

PRODUCER_ID_EXPIRATION = "producer.id.expiration.ms"  # no topic can set it, but every log needs it
NO_OVERRIDES: Mapping[str, str] = {}


class _Effective(NamedTuple):
    """A topic's effective configuration, whole and for its logs, and the mappings that it was made of."""

    sources: tuple[Mapping[str, str], ...]
    all: Config
    log: LogConfig


class TopicConfigs:
    """The configurations of the topics of which this broker has a replica. `overrides` holds what each sets itself, as
    text."""

    def __init__(self, config: Config) -> None:
        self.overrides: dict[str, dict[str, str]] = {}
        self._config = config
        self._effective: dict[str, _Effective] = {}
        self._ignored: dict[str, list[str]] = {}  # what is wrong in a topic's own configuration, as it was logged

    def of(self, topic: str) -> Config:
        """The effective configuration of a topic."""
        return self._found(topic).all

    def of_logs(self, topic: str) -> LogConfig:
        """The part of a topic's configuration that its logs go by."""
        return self._found(topic).log

    def forget(self, topic: str) -> None:
        """Forgets a topic of which this broker has no replica any more."""
        self.overrides.pop(topic, None)
        self._effective.pop(topic, None)
        self._ignored.pop(topic, None)

    def _found(self, topic: str) -> _Effective:
        """A topic's configuration, made once for all its partitions, and anew when what it is made of has changed."""
        sources = (self.overrides.get(topic, NO_OVERRIDES), self._config.own, self._config.cluster)
        known = self._effective.get(topic)
        if known is None or not all(map(operator.is_, known.sources, sources)):
            overrides, bad = usable(sources[0])
            if bad and self._ignored.get(topic) != bad:
                self._ignored[topic] = bad
                log.error("What /config/topics/%s holds is ignored in part: %s", topic, "; ".join(bad))
            values = topic_config(self._config, overrides)
            expiration = {PRODUCER_ID_EXPIRATION: self._config[PRODUCER_ID_EXPIRATION]}
            known = self._effective[topic] = _Effective(sources, values, LogConfig.of(expiration | dict(values)))
        return known
