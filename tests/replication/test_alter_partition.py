"""ISR changes: batched, one request under way, repeated until the controller answers."""

import pytest
from twisted.internet import defer, task

from kafkalike.errors import Error
from kafkalike.protocol.messages import alter_partition
from kafkalike.replication.alter_partition import (
    ASK_AGAIN_SECONDS,
    EXPANDS,
    FAILED_UPDATES,
    RETRY_SECONDS,
    SHRINKS,
    IsrProposals,
)
from tests.replication.test_partition import led
from tests.replication.views import Surroundings

ID = bytes(range(16))


class Controller:
    def __init__(self):
        self.asked = []

    def ask(self, request):
        answer = defer.Deferred()
        self.asked.append((request, answer))
        return answer

    def reply(self, error=0, partition_error=0, isr=(1, 2, 3), partition_epoch=1):
        partition = alter_partition.ResponsePartitionData(
            partition_index=0, error_code=partition_error, leader_id=1, leader_epoch=0, isr=list(isr),
            partition_epoch=partition_epoch,
        )  # fmt: skip
        topic = alter_partition.ResponseTopicData(topic_id=ID, partitions=[partition])
        self.asked[-1][1].callback(alter_partition.Response(error_code=error, topics=[] if error else [topic]))


@pytest.fixture
def clock():
    return task.Clock()


@pytest.fixture
def controller():
    return Controller()


@pytest.fixture
def committed():
    return []


@pytest.fixture
def proposals(clock, controller, committed):
    around = Surroundings(1)
    around.broker_epoch = 40
    around.ask_controller = controller.ask
    proposals = IsrProposals(around.view, committed.append, clock)
    return proposals


@pytest.fixture
def partition():
    partition = led(isr=(1, 2))
    partition.fetched(3, 0, 60, 0, 0)
    return partition


def submit(proposals, partition):
    proposals.submit(ID, partition, partition.propose((1, 2, 3)))


def test_a_change_carries_every_members_broker_epoch_and_settles(proposals, controller, partition, committed):
    submit(proposals, partition)
    request = controller.asked[0][0]
    assert (request.broker_id, request.broker_epoch) == (1, 40)
    asked = request.topics[0].partitions[0]
    assert [(b.broker_id, b.broker_epoch) for b in asked.new_isr_with_epochs] == [(1, 40), (2, -1), (3, 60)]
    controller.reply()
    assert committed == [partition]
    assert partition.isr == (1, 2, 3)


def test_what_became_of_each_change_is_counted(proposals, controller, partition):
    before = [meter.of().count for meter in (EXPANDS, SHRINKS, FAILED_UPDATES)]
    submit(proposals, partition)
    controller.reply()
    for error in (Error.INELIGIBLE_REPLICA, Error.NONE):
        proposals.submit(ID, partition, partition.propose((1, 2)))
        controller.reply(partition_error=error, isr=(1, 2), partition_epoch=2)
    assert [meter.of().count for meter in (EXPANDS, SHRINKS, FAILED_UPDATES)] == [each + 1 for each in before]


def test_a_second_change_waits_for_the_first_answer(proposals, controller, partition):
    other = led(isr=(1, 2))
    other.index = 5
    submit(proposals, partition)
    submit(proposals, other)
    assert len(controller.asked) == 1
    controller.reply()
    assert [p.partition_index for p in controller.asked[1][0].topics[0].partitions] == [5]


@pytest.mark.parametrize("lost", [True, False], ids=["no answer", "top-level error"])
def test_without_an_answer_it_is_asked_again(proposals, controller, partition, clock, committed, lost):
    submit(proposals, partition)
    if lost:
        controller.asked[0][1].errback(ConnectionError("gone"))
    else:
        controller.reply(error=Error.NOT_CONTROLLER)
    assert len(controller.asked) == 1
    clock.advance(RETRY_SECONDS)
    assert controller.asked[1][0] == controller.asked[0][0]
    controller.reply()
    assert committed == [partition]


def test_a_partition_whose_controller_moved_is_asked_again(proposals, controller, partition, clock):
    submit(proposals, partition)
    controller.reply(partition_error=Error.NOT_CONTROLLER)
    clock.advance(ASK_AGAIN_SECONDS)
    assert len(controller.asked) == 2


def test_a_change_that_a_new_epoch_ended_is_not_asked_again(proposals, controller, partition, clock):
    submit(proposals, partition)
    partition.proposal = None
    controller.asked[0][1].errback(ConnectionError("gone"))
    clock.advance(RETRY_SECONDS)
    assert len(controller.asked) == 1


def test_a_refusal_is_final(proposals, controller, partition, clock, committed):
    submit(proposals, partition)
    controller.reply(partition_error=Error.INELIGIBLE_REPLICA)
    clock.advance(10)
    assert len(controller.asked) == 1
    assert committed == []
