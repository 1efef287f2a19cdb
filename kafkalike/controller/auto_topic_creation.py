"""Topics that are created because somebody needs them (Kafka's AutoTopicCreationManager): one that a client asks
metadata of, or __consumer_offsets when the first group asks for its coordinator.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Protocol

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from kafkalike.cluster import topic_names, zookeeper
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.cluster.znodes.admin import DeleteTopicNode
from kafkalike.cluster.znodes.topics import TopicNode
from kafkalike.config import Config
from kafkalike.controller.topic_admin import (
    DEFAULT,
    check_new,
    led,
    not_controller_without_session,
    numbers_or_defaults,
    write_new,
)
from kafkalike.errors import Error, KafkaError
from zk.client import ZkClient, both

log = logging.getLogger("kafka.server.AutoTopicCreationManager")

INITIAL_WAIT_MS = 30000

_TOLD: set[int] = set()  # numbers of partitions that are too many for any topic, and that the log has told of


class Creator(Protocol):
    """The broker that creates a topic."""

    @property
    def zk(self) -> ZkClient: ...

    @property
    def config(self) -> Config: ...

    @property
    def metadata(self) -> MetadataCache: ...

    @property
    def rng(self) -> random.Random: ...


def create(
    broker: Creator,
    name: str,
    partitions: int = DEFAULT,
    replication_factor: int = DEFAULT,
    configs: Mapping[str, str] | None = None,
    timeout_ms: int = INITIAL_WAIT_MS,
) -> Deferred[None]:
    """Makes sure that a topic is there; fires when this broker's metadata show a leader for every partition.

    One that exists already is as good. REQUEST_TIMED_OUT when the metadata do not show it in time, LEADER_NOT_AVAILABLE
    at once when there is nothing to wait for.
    """

    async def make() -> None:
        try:
            new = await check_new(
                broker.zk,
                broker.config,
                broker.metadata.image,
                broker.rng,
                name,
                partitions,
                replication_factor,
                configs=configs,
            )
            await write_new(broker.zk, new)
            wanted = new.partitions
        except KafkaError as error:
            if error.error is not Error.TOPIC_ALREADY_EXISTS:
                raise
            wanted = await _leadable(broker, name)
        if not await broker.metadata.wait(lambda image: led(image, name, wanted), timeout_ms):
            raise KafkaError(Error.REQUEST_TIMED_OUT, f"topic {name} has no leaders after {timeout_ms} ms")

    return ensureDeferred(make())


@not_controller_without_session
async def _leadable(broker: Creator, name: str) -> frozenset[int]:
    """The partitions of an existing topic that may get a leader; LEADER_NOT_AVAILABLE when there are none.

    A topic that is being deleted gets none, nor does one whose brokers died before the first election.
    """
    zk = broker.zk
    marked, node = await both(zk.exists(DeleteTopicNode.path(name)), zookeeper.read(zk, TopicNode, name))
    partitions = node.partitions if node is not None and not marked else {}
    live = broker.metadata.image.brokers.keys()
    leadable = frozenset(p for p, assignment in partitions.items() if not live.isdisjoint(assignment.replicas))
    if not leadable:
        raise KafkaError(Error.LEADER_NOT_AVAILABLE, f"no partition of topic {name} can get a leader now")
    return leadable


def create_automatically(broker: Creator, name: str, timeout_ms: int = INITIAL_WAIT_MS) -> Deferred[None]:
    """`create` with the numbers that the configuration has for a topic nobody gave numbers for. A number of partitions
    that no topic can have is told once: clients ask again and again."""
    numbers = automatic(broker.config, name)

    def refused(failure: Failure) -> Failure:
        problem = failure.value
        if isinstance(problem, KafkaError) and problem.error is Error.INVALID_PARTITIONS:
            count = numbers_or_defaults(broker.config, numbers[0], numbers[1])[0]
            if count not in _TOLD:
                _TOLD.add(count)
                log.warning("Topics cannot be made automatically: %s", problem.message)
        return failure

    return create(broker, name, *numbers, timeout_ms).addErrback(refused)


def automatic(config: Config, name: str) -> tuple[int, int, dict[str, str]]:
    """Partitions, replication factor and configuration of a topic that is made because it is needed."""
    if name == topic_names.GROUP_METADATA:
        settings = {
            "cleanup.policy": "compact",
            "compression.type": "producer",
            "segment.bytes": str(config["offsets.topic.segment.bytes"]),
        }
        return config["offsets.topic.num.partitions"], config["offsets.topic.replication.factor"], settings
    return DEFAULT, DEFAULT, {}
