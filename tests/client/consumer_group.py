"""Brokers with one consumer group, and one topic of two partitions, that a test makes up."""

from typing import Any

from kafkalike.client.consumer import ConsumerCore
from kafkalike.client.consumer_protocol import decode_assignment, encode_subscription
from kafkalike.client.effects import Steps
from kafkalike.errors import Error
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
