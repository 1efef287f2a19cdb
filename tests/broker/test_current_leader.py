"""Where the leader is now, told with the error that says it is not here (KIP-951)."""

from types import SimpleNamespace

import pytest

from kafkalike.broker.current_leader import CurrentLeader
from kafkalike.cluster.metadata import Broker, Image, PartitionState, Topic
from kafkalike.errors import Error
from kafkalike.protocol.messages import fetch, produce


def leaders(hosted=None, leader=2, leader_epoch=5):
    state = PartitionState(leader, leader_epoch, (leader,), (1, 2, 3))
    brokers = {b: Broker(b, f"r{b}", {"PLAINTEXT": (f"h{b}", 9090 + b, "PLAINTEXT")}) for b in (1, 2, 3)}
    image = Image(brokers=brokers, topics={"t": Topic("t", bytes(16), {0: state})})
    partitions = SimpleNamespace(hosted={("t", 0): SimpleNamespace(partition=hosted)} if hosted else {})
    return CurrentLeader(1, SimpleNamespace(image=image), partitions)


def told(messages, answer, asking):
    response = messages.Response()
    asking.fill_where_moved("PLAINTEXT", messages, response, [("t", 0, answer)])
    leader = (answer.current_leader.leader_id, answer.current_leader.leader_epoch)
    return leader, [(n.node_id, n.host, n.port, n.rack) for n in response.node_endpoints]


@pytest.mark.parametrize("error", [Error.NOT_LEADER_OR_FOLLOWER, Error.FENCED_LEADER_EPOCH])
def test_the_new_leader_and_its_address_come_with_the_error(error):
    expected = ((2, 5), [(2, "h2", 9092, "r2")])
    assert expected == told(produce, produce.PartitionProduceResponse(error_code=error), leaders())
    assert expected == told(fetch, fetch.PartitionData(error_code=error), leaders())


def test_what_leader_and_isr_said_last_wins_over_older_metadata():
    hosted = SimpleNamespace(leader=3, leader_epoch=6)
    answer = produce.PartitionProduceResponse(error_code=Error.NOT_LEADER_OR_FOLLOWER)
    assert ((3, 6), [(3, "h3", 9093, "r3")]) == told(produce, answer, leaders(hosted))


def test_other_errors_and_leaders_that_nobody_knows_get_no_hint():
    nothing = ((-1, -1), [])
    assert nothing == told(produce, produce.PartitionProduceResponse(error_code=Error.MESSAGE_TOO_LARGE), leaders())
    moved = produce.PartitionProduceResponse(error_code=Error.NOT_LEADER_OR_FOLLOWER)
    assert nothing == told(produce, moved, leaders(leader=-1))
    assert nothing == told(produce, moved, leaders(leader=1))
