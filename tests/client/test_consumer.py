"""The consumer on brokers that the test makes up: joining, fetching, outages, what is committed."""

from typing import Any

import pytest

from kafkalike.client.consumer import ConsumerCore
from kafkalike.client.consumer_protocol import decode_assignment, encode_subscription
from kafkalike.client.effects import Sleep, Steps
from kafkalike.client.errors import NoOffset, TimedOut
from kafkalike.errors import Error, KafkaError
from kafkalike.protocol import batch as batches
from kafkalike.protocol.messages import (
    fetch,
    find_coordinator,
    heartbeat,
    join_group,
    leave_group,
    list_offsets,
    offset_commit,
    offset_fetch,
    sync_group,
)
from tests.client.brokers import Brokers


class Group:
    """Two brokers: 1 coordinates the group "g" of one member, 0 leads "t-0" and 1 leads "t-1", each with ten messages
    in batches of five. `instead` answers an API's next requests with something else."""

    def __init__(self, **options: Any) -> None:
        self.brokers = Brokers(self._answer)
        self.instead: dict[str, list[Any]] = {}
        self.committed: dict[int, int] = {}
        self.commits: list[dict[int, int]] = []
        self.generation = 0
        self.fetch_offsets: list[tuple[int, int]] = []
        self.core = ConsumerCore(self.brokers.routing, **{"group_id": "g", "auto_offset_reset": "earliest"} | options)

    def _answer(self, broker: int, api: str, request: Any) -> Any:
        if self.instead.get(api):
            return self.instead[api].pop(0)
        answer: Any = getattr(self, f"_{api}")(broker, request)
        return answer

    def _Metadata(self, broker: int, request: Any) -> Any:
        return self.brokers.metadata({t.name: [0, 1] if t.name == "t" else [] for t in request.topics or []})

    def _FindCoordinator(self, broker: int, request: Any) -> Any:
        return find_coordinator.Response(node_id=1, host="b1", port=1)

    def _JoinGroup(self, broker: int, request: Any) -> Any:
        self.generation += 1
        wanted = join_group.JoinGroupResponseMember(member_id="me", metadata=encode_subscription(["t"]))
        return join_group.Response(
            generation_id=self.generation, protocol_name="range", leader="me", member_id="me", members=[wanted]
        )

    def _SyncGroup(self, broker: int, request: Any) -> Any:
        (share,) = request.assignments
        assert [("t", 0), ("t", 1)] == decode_assignment(share.assignment)
        return sync_group.Response(assignment=share.assignment)

    def _Heartbeat(self, broker: int, request: Any) -> Any:
        return heartbeat.Response()

    def _LeaveGroup(self, broker: int, request: Any) -> Any:
        return leave_group.Response()

    def _OffsetFetch(self, broker: int, request: Any) -> Any:
        partitions = [
            offset_fetch.OffsetFetchResponsePartition(
                partition_index=index, committed_offset=self.committed.get(index, -1), metadata=""
            )
            for index in request.topics[0].partition_indexes
        ]
        return offset_fetch.Response(topics=[offset_fetch.OffsetFetchResponseTopic(name="t", partitions=partitions)])

    def _OffsetCommit(self, broker: int, request: Any) -> Any:
        self.commits.append({p.partition_index: p.committed_offset for p in request.topics[0].partitions})
        partitions = [
            offset_commit.OffsetCommitResponsePartition(partition_index=index, error_code=0)
            for index in self.commits[-1]
        ]
        return offset_commit.Response(topics=[offset_commit.OffsetCommitResponseTopic(name="t", partitions=partitions)])

    def _ListOffsets(self, broker: int, request: Any) -> Any:
        partitions = [
            list_offsets.ListOffsetsPartitionResponse(
                partition_index=p.partition_index, offset=0 if p.timestamp == -2 else 10
            )
            for p in request.topics[0].partitions
        ]
        return list_offsets.Response(topics=[list_offsets.ListOffsetsTopicResponse(name="t", partitions=partitions)])

    def _Fetch(self, broker: int, request: Any) -> Any:
        partitions = []
        for asked in request.topics[0].partitions:
            self.fetch_offsets.append((asked.partition, asked.fetch_offset))
            if not 0 <= asked.fetch_offset <= 10:
                partitions.append(
                    fetch.PartitionData(partition_index=asked.partition, error_code=Error.OFFSET_OUT_OF_RANGE)
                )
            elif asked.fetch_offset < 10:
                base = asked.fetch_offset // 5 * 5
                data = bytearray(batches.build([(None, b"%d" % (base + n), 0, ()) for n in range(5)]))
                data[0:8] = base.to_bytes(8, "big")
                partitions.append(fetch.PartitionData(partition_index=asked.partition, records=bytes(data)))
            else:
                return None
        return fetch.Response(responses=[fetch.FetchableTopicResponse(topic="t", partitions=partitions)])

    def run(self, steps: Steps[Any]) -> Any:
        return self.brokers.run(steps)

    def read(self, count: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        while len(found) < count:
            records = self.run(self.core.poll(10_000))
            assert records or self.core.newly_assigned, f"only {found}"
            self.core.newly_assigned.clear()
            found += [(r.partition, r.offset) for r in records]
        return found


def everything() -> list[tuple[int, int]]:
    return [(partition, offset) for partition in (0, 1) for offset in range(10)]


def test_a_member_joins_saves_its_start_and_reads_all_partitions() -> None:
    group = Group()
    group.core.subscribe(["t"])
    assert everything() == sorted(group.read(20))
    assert [{0: 0, 1: 0}] == group.commits
    assert {("t", 0): (0, "earliest"), ("t", 1): (0, "earliest")} == group.core.start_offsets
    group.run(group.core.commit())
    assert {0: 10, 1: 10} == group.commits[-1]


def test_what_is_committed_is_where_it_goes_on() -> None:
    group = Group()
    group.committed = {0: 7, 1: 5}
    group.core.subscribe(["t"])
    expected = [(0, 7), (0, 8), (0, 9), *((1, offset) for offset in range(5, 10))]
    assert expected == sorted(group.read(8))
    assert [] == group.commits


def test_assigned_partitions_are_told_before_their_messages() -> None:
    group = Group()
    group.core.subscribe(["t"])
    assert [] == group.run(group.core.poll(10_000))
    assert [(("t", 0), ("t", 1))] == list(group.core.newly_assigned)


def test_heartbeats_go_on_while_nobody_polls_and_a_rebalance_waits_for_the_poll() -> None:
    group = Group(heartbeat_interval_ms=1000)
    group.core.subscribe(["t"])
    group.read(20)

    def idle() -> Steps[None]:
        yield Sleep(5500)

    group.instead["Heartbeat"] = [heartbeat.Response(error_code=Error.REBALANCE_IN_PROGRESS)]
    group.run(idle())
    assert 1 == [api for _, api in group.brokers.asked].count("Heartbeat"), "it is out of the group"
    assert 1 == group.generation
    group.run(group.core.poll(1000))
    assert 2 == group.generation


def test_a_join_that_outlasts_a_poll_is_waited_for_by_the_next() -> None:
    group = Group()
    group.instead["JoinGroup"] = [None]
    group.core.subscribe(["t"])
    for _ in range(3):
        assert [] == group.run(group.core.poll(1000))
    assert 1 == [api for _, api in group.brokers.asked].count("JoinGroup")


def test_a_leader_that_cannot_ask_for_the_topics_joins_again() -> None:
    """The members' topics are looked up between JoinGroup and SyncGroup."""
    group = Group()
    group.core.subscribe(["t"])
    group.run(group.brokers.routing.refresh(["t"]))
    real, asked = group._JoinGroup, []

    def join_then_break(broker: int, request: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            group.instead["Metadata"] = [OSError("broken")]
        return real(broker, request)

    group._JoinGroup = join_then_break  # type: ignore[method-assign]
    assert everything() == sorted(group.read(20))
    assert 2 == len(asked)


def test_a_coordinator_that_moved_is_looked_up_again() -> None:
    group = Group()
    group.instead["JoinGroup"] = [join_group.Response(error_code=Error.NOT_COORDINATOR)]
    group.core.subscribe(["t"])
    group.read(20)
    assert 2 == [api for _, api in group.brokers.asked].count("FindCoordinator")


def test_a_group_that_cannot_be_joined_says_so() -> None:
    group = Group()
    group.instead["JoinGroup"] = [join_group.Response(error_code=Error.INCONSISTENT_GROUP_PROTOCOL)]
    group.core.subscribe(["t"])
    with pytest.raises(KafkaError, match="group 'g'"):
        group.run(group.core.poll(10_000))


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


def test_nobody_there_is_an_error_at_the_start() -> None:
    for group_id in ("g", None):
        group = Group(group_id=group_id)
        group.brokers.away = {0}
        if group_id:
            group.core.subscribe(["t"])
        else:
            group.core.assign([("t", 0)])
            group.core.seek(("t", 0), 0)
        with pytest.raises(TimedOut, match="Timed out waiting for a node assignment"):
            group.run(group.core.poll(60_000))


def test_closing_commits_and_leaves() -> None:
    group = Group(enable_auto_commit=True)
    group.core.subscribe(["t"])
    group.read(20)
    group.run(group.core.close())
    assert {0: 10, 1: 10} == group.commits[-1]
    assert (1, "LeaveGroup") == group.brokers.asked[-1]


def test_ack_commits_the_contiguous_prefix() -> None:
    group = Group(save_start=False)
    group.core.subscribe(["t"])
    group.run(group.core.join(10_000))
    group.core.newly_assigned.clear()
    records = [r for r in group.run(group.core.poll(10_000)) if r.partition == 0]
    assert [None, 2, 3] == [group.run(group.core.ack(records[n])) for n in (1, 0, 2)]
    assert [{0: 2}, {0: 3}] == group.commits
