"""What a consumer fetches beside the application's calls, on brokers that the test makes up."""

import pytest

from kafkalike.client.effects import Sleep, Steps
from kafkalike.client.errors import NoOffset
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol.messages import (
    fetch,
)
from tests.client.consumer_group import Group


def test_a_reader_of_given_partitions_needs_no_group() -> None:
    group = Group(group_id=None)
    group.core.assign([("t", 0)])
    group.core.seek(("t", 0), 3)
    assert [(0, offset) for offset in range(3, 10)] == group.read(7)
    assert {"Metadata", "Fetch"} == {api for _, api in group.brokers.asked}


def test_an_offset_out_of_range_follows_the_reset_policy() -> None:
    group = Group(group_id=None)
    group.core.assign([("t", 0)])
    group.core.seek(("t", 0), 1000)
    assert [(0, offset) for offset in range(10)] == group.read(10)
    group = Group(group_id=None, auto_offset_reset="none")
    group.core.assign([("t", 0)])
    group.core.seek(("t", 0), 1000)
    with pytest.raises(NoOffset, match="t-0"):
        group.read(1)


def test_the_next_messages_are_fetched_while_the_application_works() -> None:
    group = Group(group_id=None, max_poll_records=5)
    group.core.assign([("t", 0)])
    group.core.seek(("t", 0), 0)
    group.read(5)

    def idle() -> Steps[None]:
        yield Sleep(50)

    group.run(idle())
    assert [(0, 0), (0, 5)] == group.fetch_offsets[:2]


def test_an_answer_to_what_was_fetched_before_a_seek_is_void() -> None:
    group = Group(group_id=None)
    group.core.assign([("t", 0)])
    group.core.seek(("t", 0), 0)
    assert [] == group.run(group.core.poll(0))
    group.core.seek(("t", 0), 8)
    assert [(0, 8), (0, 9)] == group.read(2)


def test_a_fetch_that_fails_is_sent_again() -> None:
    group = Group(group_id=None)
    moved = fetch.PartitionData(partition_index=0, error_code=Error.NOT_LEADER_OR_FOLLOWER)
    group.instead["Fetch"] = [
        OSError("broken"),
        fetch.Response(responses=[fetch.FetchableTopicResponse(topic="t", partitions=[moved])]),
    ]
    group.core.assign([("t", 0)])
    group.core.seek(("t", 0), 0)
    assert [(0, offset) for offset in range(5)] == group.read(5)


def test_what_does_not_pass_is_raised_by_poll() -> None:
    group = Group(group_id=None)
    refused = fetch.PartitionData(partition_index=0, error_code=Error.TOPIC_AUTHORIZATION_FAILED)
    group.instead["Fetch"] = [fetch.Response(responses=[fetch.FetchableTopicResponse(topic="t", partitions=[refused])])]
    group.core.assign([("t", 0)])
    group.core.seek(("t", 0), 0)
    with pytest.raises(KafkaError, match="t-0"):
        group.run(group.core.poll(10_000))


@pytest.mark.parametrize("method", ["current", "wanted"])
def test_what_nobody_foresaw_is_raised_by_every_poll_for_what_fetched_is_dead(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Bytes of which the fetcher cannot make sense are no reason to be silent."""
    group = Group(group_id=None)
    group.instead["Fetch"] = [
        fetch.Response(responses=[fetch.FetchableTopicResponse(topic="t", partitions=[])]),
    ]
    group.core.assign([("t", 0)])
    group.core.seek(("t", 0), 0)

    def wrong(*_: object) -> None:
        raise RuntimeError("not foreseen")

    with monkeypatch.context() as changed:
        changed.setattr(group.core.partitions, method, wrong)
        with pytest.raises(RuntimeError, match="not foreseen"):
            group.run(group.core.poll(10_000))
    for _ in range(3):
        with pytest.raises(RuntimeError, match="not foreseen") as raised:
            group.run(group.core.poll(10_000))
    assert len(raised.traceback) < 20, "it does not grow with every poll"
    group.run(group.core.close())
