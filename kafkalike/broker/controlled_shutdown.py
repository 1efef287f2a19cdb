"""A stop that leaves clients somewhere to go: first the controller moves this broker's leaderships to others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from twisted.internet import defer, task
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kafkalike.broker.peer_connections import Peers
from kafkalike.cluster.metadata_cache import MetadataCache
from kafkalike.config import Config
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import controlled_shutdown
from zk.client import CONNECTED, ZkClient, gather

log = logging.getLogger("kafka.server.KafkaServer")

FAREWELL_SECONDS = 0.3  # in which clients hear who leads now, before their connections end
ANSWER_SECONDS = 10  # for one answer to ControlledShutdown


async def shut_down(
    broker_id: int,
    broker_epoch: Callable[[], int],  # now: another one when the session has expired meanwhile
    config: Config,
    ask_controller: Callable[[controlled_shutdown.Request], Deferred[Any]],
    metadata: MetadataCache,
    peers: Peers,
    zk: ZkClient,
    reactor: IReactorTime,
) -> None:
    """Asks the controller, as often as is configured, until no leadership is left or nobody is there to take one."""
    tries = config["controlled.shutdown.max.retries"] if config["controlled.shutdown.enable"] else 0
    for _ in range(tries):
        image = metadata.image
        others = image.brokers.keys() - {broker_id}
        if not others:
            return
        request = controlled_shutdown.Request(broker_id=broker_id, broker_epoch=broker_epoch())
        problem = ""
        try:
            response = await ask_controller(request).addTimeout(ANSWER_SECONDS, reactor)
            remaining = [f"{p.topic_name}-{p.partition_index}" for p in response.remaining_partitions]
            if response.error_code:
                problem = Error(response.error_code).name
            elif not remaining:
                log.info("[KafkaServer id=%d] Controlled shutdown succeeded", broker_id)
                await task.deferLater(reactor, FAREWELL_SECONDS)
                return
            else:
                problem = f"nobody can take over {', '.join(remaining[:10])}"
                if all(await gather(peers.refuses(other) for other in others)):
                    log.info("[KafkaServer id=%d] Controlled shutdown: the others are gone", broker_id)
                    return
        except defer.TimeoutError:
            problem = f"the controller gave no answer within {ANSWER_SECONDS} s"
        except (KafkaError, OSError) as error:
            problem = str(error) or type(error).__name__
        log.info("[KafkaServer id=%d] Controlled shutdown: %s", broker_id, problem)
        if zk.state != CONNECTED:
            log.info("[KafkaServer id=%d] Controlled shutdown: nobody is waited for without ZooKeeper", broker_id)
            return
        # A new controller makes itself known by its metadata. The last broker has nobody to wait for.
        await metadata.wait(
            lambda image, asked=image.controller_id: (  # type: ignore[misc]
                image.controller_id != asked or not image.brokers.keys() - {broker_id}
            ),
            config["controlled.shutdown.retry.backoff.ms"],
        )
    if tries:
        log.warning("[KafkaServer id=%d] Proceeding to do an unclean shutdown of leaderships", broker_id)
