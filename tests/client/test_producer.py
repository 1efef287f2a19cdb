"""The producer on brokers that the test makes up: what is in flight, what is sent again, what is given up."""

from typing import Any

import pytest

from kafkalike.client.effects import Sleep, Steps
from kafkalike.client.errors import TimedOut
from kafkalike.client.producer import Delivery, ProducerCore
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch as batches
from kafkalike.protocol.messages import init_producer_id, produce
from tests.client.brokers import Brokers


class Leaders:
    """Two brokers that lead the partitions of "t" in turn and answer Produce with what `outcomes` says, then with
    success. A batch is kept as (broker, partition, first sequence, values)."""

    def __init__(self, *outcomes: Any, **options: Any) -> None:
        self.outcomes = list(outcomes)
        self.batches: list[tuple[int, int, int, list[bytes]]] = []
        self.brokers = Brokers(self._answer)
        self.core = ProducerCore(self.brokers.routing, **options)
        self.brokers.engine.start(self.core.run())

    def _answer(self, broker: int, api: str, request: Any) -> Any:
        if api == "Metadata":
            return self.brokers.metadata({t.name: [0, 1, 0, 1] if t.name == "t" else [] for t in request.topics or []})
        if api == "InitProducerId":
            return init_producer_id.Response(producer_id=7, producer_epoch=0)
        outcome = self.outcomes.pop(0) if self.outcomes else Error.NONE
        if not isinstance(outcome, Error):
            return outcome
        partitions = []
        for data in request.topic_data[0].partition_data:
            header = batches.read_header(data.records, 0)
            values = [bytes(record.value) for record in batches.records(data.records)]
            self.batches.append((broker, data.index, header.base_sequence, values))
            partitions.append(
                produce.PartitionProduceResponse(index=data.index, error_code=outcome, base_offset=len(self.batches))
            )
        return produce.Response(responses=[produce.TopicProduceResponse(name="t", partition_responses=partitions)])

    def send(self, *messages: tuple[int, bytes]) -> list[Delivery]:
        """Appends (partition, value) each, and waits until all are done."""
        core = self.core
        sent: list[Delivery] = []

        def steps() -> Steps[None]:
            yield from core.admit("t", 100)
            for partition, value in messages:
                sent.append(Delivery("t", partition, 0))
                core.append(sent[-1], None, value, ())
            yield from core.flush()

        self.brokers.run(steps())
        return sent


def test_batches_go_to_the_leaders_of_their_partitions() -> None:
    leaders = Leaders()
    sent = leaders.send((0, b"a"), (1, b"b"), (2, b"c"), (0, b"d"))
    assert [(0, 0, 0, [b"a", b"d"]), (0, 2, 0, [b"c"]), (1, 1, 0, [b"b"])] == sorted(leaders.batches)
    assert all(delivery.done and delivery.failure is None for delivery in sent)
    assert sent[3].offset == sent[0].offset + 1


def test_an_on_delivery_that_raises_is_told_of_and_keeps_nothing_from_the_other_messages() -> None:
    leaders = Leaders()

    def steps() -> Steps[list[Delivery]]:
        yield from leaders.core.admit("t", 100)
        sent = [Delivery("t", partition, 0, lambda _: 1 / 0) for partition in (0, 0, 2)]
        for delivery in sent:
            leaders.core.append(delivery, None, b"v", ())
        yield from leaders.core.flush(10_000)
        return sent

    assert [True] * 3 == [delivery.done for delivery in leaders.brokers.run(steps())]
    expected = "ERROR on_delivery failed for a message to t-{}: ZeroDivisionError('division by zero')"
    assert [expected.format(partition) for partition in (0, 0, 2)] == leaders.brokers.told


def test_what_passes_is_sent_again_with_the_same_sequence_and_before_what_follows() -> None:
    leaders = Leaders(Error.NOT_LEADER_OR_FOLLOWER, OSError("broken"), batch_size=62)
    sent = leaders.send((0, b"a"), (0, b"b"))
    assert [(0, 0, 0, [b"a"]), (0, 0, 0, [b"a"]), (0, 0, 1, [b"b"])] == leaders.batches
    assert [None, None] == [delivery.failure for delivery in sent]


def test_a_duplicate_is_a_success() -> None:
    (delivery,) = Leaders(Error.DUPLICATE_SEQUENCE_NUMBER).send((0, b"a"))
    assert delivery.failure is None


def test_after_what_is_given_up_the_sequence_begins_anew() -> None:
    leaders = Leaders(Error.MESSAGE_TOO_LARGE)
    (lost,) = leaders.send((0, b"a"))
    assert isinstance(lost.failure, KafkaError)
    assert Error.MESSAGE_TOO_LARGE is lost.failure.error
    leaders.send((0, b"b"))
    assert 0 == leaders.batches[-1][2]
    assert 2 == [api for _, api in leaders.brokers.asked].count("InitProducerId")


def test_retries_end() -> None:
    leaders = Leaders(*[Error.NOT_ENOUGH_REPLICAS] * 9, retries=2)
    (lost,) = leaders.send((0, b"a"))
    assert isinstance(lost.failure, KafkaError)
    assert 3 == len(leaders.batches)


def test_what_nobody_takes_in_its_time_expires() -> None:
    leaders = Leaders(*[Error.NOT_ENOUGH_REPLICAS] * 99, delivery_timeout_ms=1000)
    (lost,) = leaders.send((0, b"a"))
    assert isinstance(lost.failure, TimedOut)
    assert "Expiring 1 record(s) for t-0:" in str(lost.failure)


def test_requests_to_a_broker_are_pipelined_up_to_the_limit() -> None:
    """Partitions 0 and 2 are led by broker 0, which is silent."""
    for limit, expected in ((1, 1), (5, 2)):
        leaders = Leaders(None, None, None, max_in_flight_requests_per_connection=limit)
        core = leaders.core

        def steps(core: ProducerCore = core) -> Steps[None]:
            yield from core.admit("t", 100)
            for partition in (0, 2):
                core.append(Delivery("t", partition, 0), None, b"v", ())
                yield Sleep(10)

        leaders.brokers.run(steps())
        assert expected == [api for _, api in leaders.brokers.asked].count("Produce")


def test_without_room_a_message_waits_and_then_fails() -> None:
    leaders = Leaders(None, None, buffer_memory=200, max_block_ms=500)

    def steps() -> Steps[None]:
        yield from leaders.core.admit("t", 150)
        leaders.core.append(Delivery("t", 0, 0), None, b"x" * 150, ())
        assert not leaders.core.admits("t", 150)
        yield from leaders.core.admit("t", 150)

    with pytest.raises(TimedOut, match="Failed to allocate 150 bytes"):
        leaders.brokers.run(steps())


def test_an_unknown_topic_is_waited_for() -> None:
    leaders = Leaders(max_block_ms=300)
    with pytest.raises(TimedOut, match="Topic u not present in metadata after 300 ms"):
        leaders.brokers.run(leaders.core.partitions_for("u"))
