"""Producer ids: no number is ever given out twice in the life of the cluster.

Ids come in blocks of a thousand, counted in /latest_producer_id_block under that znode's version: `allocate`, for the
controller. Every broker asks the controller for its blocks (AllocateProducerIds), the next one when little is left of
the present one. A broker that stops loses what is left of its block, which harms nobody.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from kafkalike.cluster.znodes.encoding import Garbage
from kafkalike.cluster.znodes.producer_ids import ProducerIdBlock
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import allocate_producer_ids
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
            written, _ = await recipes.update(zk, ProducerIdBlock.path(), next_block)
            return ProducerIdBlock.decode(written) or ProducerIdBlock.after(None, broker_id)
        except NoNode:
            await recipes.ensure(zk, ProducerIdBlock.path())
        except (Garbage, ZooKeeperError) as error:
            log.error("no block of producer ids: %s", error)
            raise KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS) from None


class ProducerIds:
    """This broker's present block, the next one, and who waits for it."""

    # What may be left of a block when the next one is asked for.
    LOW = 100

    def __init__(
        self,
        ask: Callable[[allocate_producer_ids.Request], Deferred[Any]],
        broker_id: int,
        broker_epoch: Callable[[], int],
    ) -> None:
        """`ask(request)` gives a Deferred of the controller's response."""
        self._ask = ask
        self._broker_id = broker_id
        self._broker_epoch = broker_epoch
        self._ids: range = range(0)
        self._next: range = range(0)
        self._waiting: deque[Deferred[int]] = deque()
        self._asking = False

    def next(self) -> Deferred[int]:
        """A producer id that no producer has had. COORDINATOR_LOAD_IN_PROGRESS, which clients retry, when there is
        none."""
        answer: Deferred[int] = Deferred()
        self._waiting.append(answer)
        self._serve()
        return answer

    def _serve(self) -> None:
        while self._waiting:
            if not self._ids:
                self._ids, self._next = self._next, range(0)
            if not self._ids:
                break
            producer_id, self._ids = self._ids[0], self._ids[1:]
            self._waiting.popleft().callback(producer_id)
        if len(self._ids) <= self.LOW and not self._next and not self._asking:
            self._asking = True
            request = allocate_producer_ids.Request(broker_id=self._broker_id, broker_epoch=self._broker_epoch())
            maybeDeferred(self._ask, request).addCallbacks(self._allocated).addErrback(self._failed)

    def _allocated(self, response: allocate_producer_ids.Response) -> None:
        if response.error_code:
            raise KafkaError(Error(response.error_code))
        self._asking = False
        first = response.producer_id_start
        self._next = range(first, first + response.producer_id_len)
        self._serve()

    def _failed(self, failure: Failure) -> None:
        self._asking = False
        log.info("the controller gives no block of producer ids: %s", failure.getErrorMessage())
        waiting, self._waiting = self._waiting, deque()
        for answer in waiting:
            answer.errback(KafkaError(Error.COORDINATOR_LOAD_IN_PROGRESS))
