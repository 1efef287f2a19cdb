"""kafka-replica-verification.sh: reads every replica of partitions and compares what they have, batch by batch.

Each round asks all brokers for what follows the verified offset, waits for their answers, and compares them up to each
replica's high watermark. It goes on until it is stopped; the report says which partition lags most.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from kafkalike.cli.options import Command, fail, version
from kafkalike.cli.planning.partition_json import name
from kafkalike.cli.planning.replica_comparison import Batch, Difference, Replica, compare
from kafkalike.client.cluster import Partition
from kafkalike.protocol import ANY_REPLICA

if TYPE_CHECKING:
    from kafkalike.client.blocking.admin import Admin
    from kafkalike.client.cluster import Node, TopicInfo
    from kafkalike.client.effects import Steps


@click.command(
    "kafka-replica-verification.sh",
    cls=Command,
    help="Validate that all replicas for a set of topics have the same data.",
)
@click.option("--broker-list", metavar="HOST:PORT,...", help="The server(s) to connect to.")
@click.option("--fetch-size", type=int, default=1_048_576, metavar="BYTES", help="The fetch size of each request.")
@click.option("--max-wait-ms", type=int, default=1000, metavar="MS", help="How long each fetch waits for records.")
@click.option("--topics-include", metavar="REGEX", help="Topics to verify; all without it.")
@click.option("--topic-white-list", metavar="REGEX", help="DEPRECATED use --topics-include instead.")
@click.option(
    "--time", "timestamp", type=int, default=-1, metavar="TIME", help="Where to begin: a timestamp, -1 or -2."
)
@click.option("--report-interval-ms", type=int, default=30_000, metavar="MS", help="The reporting interval.")
@version
def main(
    broker_list: str | None,
    fetch_size: int,
    max_wait_ms: int,
    topics_include: str | None,
    topic_white_list: str | None,
    timestamp: int,
    report_interval_ms: int,
) -> None:
    """Verifies replicas until the command is stopped."""
    if broker_list is None:
        fail('Missing required argument "[broker-list]"')
    if topics_include and topic_white_list:
        fail('Option "[topics-include]" can\'t be used with option "[topic-white-list]"')
    wanted = topics_include or topic_white_list or ".*"
    pattern = wanted.strip().replace(",", "|").replace(" ", "")
    try:
        allowed = re.compile(pattern)
    except re.error:
        fail(f"{wanted} is an invalid regex")
    from kafkalike.client.blocking.admin import Admin

    with Admin(broker_list, client_id="replica-verification") as admin:
        topics = [topic for topic in admin.list_topics().values() if allowed.fullmatch(topic.name)]
        if not topics:
            fail(f"No topics found. {wanted} if specified, is either filtering out all topics or there is no topic.")
        verification = _Verification(admin, topics, timestamp, fetch_size, max_wait_ms)
        print(f"{_now()}: verification process is started", flush=True)
        reported = time.monotonic()
        while True:
            verification.round()
            if (time.monotonic() - reported) * 1000 > report_interval_ms:
                print(f"{_now()}: {verification.report()}", flush=True)
                reported = time.monotonic()


class _Verification:
    """The offset up to which each partition has been verified."""

    def __init__(
        self, admin: Admin, topics: Sequence[TopicInfo], timestamp: int, fetch_size: int, max_wait_ms: int
    ) -> None:
        self._loop = admin.loop
        self._ids = {topic.name: topic.id for topic in topics}
        self._fetch_size = fetch_size
        self._max_wait_ms = max_wait_ms
        self._replicas = {(t.name, p.partition): p.replicas for t in topics for p in t.partitions}
        found = admin.list_offsets(dict.fromkeys(self._replicas, timestamp))
        self._offsets = {partition: found[partition].offset for partition in self._replicas}
        brokers = sorted({broker for replicas in self._replicas.values() for broker in replicas})
        nodes = admin.cluster().nodes
        away = [broker for broker in brokers if broker not in nodes]
        if away:
            fail(f"Broker {away[0]} has replicas to verify and is not there: all brokers have to be up at the start")
        self._nodes = {broker: nodes[broker] for broker in brokers}
        self._lag: tuple[int, Partition | None, int] = (-1, None, -1)

    def round(self) -> None:
        """Reads from every broker and compares."""
        from kafkalike.client.effects import gather

        fetches = [self._fetch(node) for node in self._nodes.values()]
        answers = dict(zip(self._nodes, self._loop.run(gather(fetches)), strict=True))
        self._lag = (-1, None, -1)
        for partition, brokers in self._replicas.items():
            replicas = [Replica(broker, *answers[broker].get(partition, (0, ()))) for broker in brokers]
            self._offsets[partition], differences = compare(replicas, self._offsets[partition])
            for difference in differences:
                print(f"{_now()}: {_told(partition, difference)}", flush=True)
                if difference.fatal:
                    sys.exit(1)
            lag = max(replica.high_watermark for replica in replicas) - self._offsets[partition]
            if lag > self._lag[0]:
                self._lag = (lag, partition, self._offsets[partition])

    def report(self) -> str:
        """Prints the replica that lags most."""
        lag, partition, offset = self._lag
        told = "null" if partition is None else name(partition)
        return f"max lag is {lag} for partition {told} at offset {offset} among {len(self._replicas)} partitions"

    def _fetch(self, node: Node) -> Steps[dict[Partition, tuple[int, Sequence[Batch]]]]:
        """What a broker has of its partitions from the verified offsets on; nothing from one that is away."""
        from kafkalike.client.effects import Sleep
        from kafkalike.client.errors import Disconnected
        from kafkalike.errors import KafkaError
        from kafkalike.protocol.messages import fetch

        mine = [partition for partition, replicas in self._replicas.items() if node.id in replicas]

        def request(version: int) -> Any:
            made = fetch.Request(
                max_wait_ms=self._max_wait_ms, min_bytes=1, max_bytes=0x7FFFFFFF, topics=self._topics(mine, fetch)
            )
            if version >= 15:
                made.replica_state = fetch.ReplicaState(replica_id=ANY_REPLICA)
            else:
                made.replica_id = ANY_REPLICA
            return made

        try:
            response = yield from self._loop.routing.ask(node, fetch, request, timeout_ms=30_000 + self._max_wait_ms)
        except (Disconnected, KafkaError):
            yield Sleep(1000)
            return {}
        names = {topic_id: topic for topic, topic_id in self._ids.items()}
        return {
            (t.topic or names[bytes(t.topic_id)], p.partition_index): (p.high_watermark, _batches(p.records))
            for t in response.responses
            for p in t.partitions
        }

    def _topics(self, partitions: Sequence[Partition], fetch: Any) -> list[Any]:
        topics: dict[str, list[Any]] = {}
        for topic, index in partitions:
            topics.setdefault(topic, []).append(
                fetch.FetchPartition(
                    partition=index,
                    fetch_offset=self._offsets[topic, index],
                    partition_max_bytes=self._fetch_size,
                )
            )
        return [
            fetch.FetchTopic(topic=topic, topic_id=self._ids[topic], partitions=parts)
            for topic, parts in topics.items()
        ]


def _batches(records: Any) -> list[Batch]:
    from kafkalike.protocol.batch import split

    return [Batch(header.last_offset, header.crc) for header, _ in split(records or b"", partial_tail=True)]


def _told(partition: Partition, difference: Difference) -> str:
    one, other = difference.first, difference.second
    if difference.fatal:
        return (
            f"partition {name(partition)}: replica {one[0]}'s offset {one[1]} doesn't match replica {other[0]}'s "
            f"offset {other[1]}"
        )
    return (
        f"partition {name(partition)} has unmatched checksum at offset {difference.offset}; replica {one[0]}'s "
        f"checksum {one[1]}; replica {other[0]}'s checksum {other[1]}"
    )


def _now() -> str:
    now = time.time()
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now))},{int(now % 1 * 1000):03d}"


if __name__ == "__main__":
    main()
