"""Producer ids: no number is ever given out twice in the life of the cluster.

Ids come in blocks of a thousand, counted in /latest_producer_id_block under that znode's version. A broker that stops
loses what is left of its block, which harms nobody.
"""

from __future__ import annotations

import logging

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from kafkalike.cluster.znodes import Garbage, ProducerIdBlock
from kafkalike.errors import Error, KafkaError
from zk import recipes
from zk.client import NoNode, ZkClient, ZooKeeperError

log = logging.getLogger(__name__)


async def allocate(zk: ZkClient, broker_id: int) -> ProducerIdBlock:
    """Takes the next block for a broker. COORDINATOR_LOAD_IN_PROGRESS, which clients retry, when it cannot be had."""
    block: ProducerIdBlock | None = None

    def next_block(data: bytes | None) -> bytes:
        nonlocal block
        block = ProducerIdBlock.after(ProducerIdBlock.decode(data), broker_id)
        return block.encode()

    while True:
        try:
            written, _ = await recipes.update(zk, ProducerIdBlock.PATH, next_block)
            return ProducerIdBlock.decode(written) or ProducerIdBlock.after(None, broker_id)
        except NoNode:
            await recipes.ensure(zk, ProducerIdBlock.PATH)
        except (Garbage, ZooKeeperError) as error:
            log.error("no block of producer ids: %s", error)
            raise KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS) from None


class ProducerIds:
    """This broker's present block, and who waits for the next one."""

    def __init__(self, zk: ZkClient, broker_id: int) -> None:
        self._zk = zk
        self._broker_id = broker_id
        self._ids: range = range(0)
        self._waiting: list[Deferred[int]] = []

    def next(self) -> Deferred[int]:
        """A producer id that nobody has had."""
        answer: Deferred[int] = Deferred()
        self._waiting.append(answer)
        if self._ids:
            self._serve()
        elif len(self._waiting) == 1:
            self._fetch()
        return answer

    def _fetch(self) -> None:
        ensureDeferred(allocate(self._zk, self._broker_id)).addCallbacks(self._allocated, self._failed)

    def _allocated(self, block: ProducerIdBlock) -> None:
        self._ids = range(block.first, block.last + 1)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._ids:
            answer = self._waiting.pop(0)
            producer_id, self._ids = self._ids[0], self._ids[1:]
            answer.callback(producer_id)
        if self._waiting:
            self._fetch()

    def _failed(self, failure: Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer.errback(failure)
