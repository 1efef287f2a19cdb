"""What has rotted on the disk is found without being asked for, and fetched from another replica."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import defer, reactor, task

from kafkalike.config import broker_config
from kafkalike.errors import Error
from kafkalike.protocol.messages import fetch
from kafkalike.storage.config import LogConfig
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.log import Log
from tests import reactor as shared
from tests.replication.test_replicas import asked, code_of, errors, lead, records
from tests.replication.views import Opened

END = 12


class Other:
    """Broker 1: it has the same log, whole, and answers Fetch as a broker does."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.end = END
        self.requests: list[tuple[int, Any]] = []
        self.error = Error.NONE

    def ask(self, broker_id: int, message: Any, version: int, request: Any) -> Any:
        if request.replica_state.replica_id >= 0:
            return defer.Deferred()  # Following is another matter.
        assert message is fetch and request.session_id == 0
        self.requests.append((broker_id, request))
        wanted = request.topics[0].partitions[0]
        data = fetch.PartitionData(partition_index=0, error_code=self.error, high_watermark=self.end, records=b"")
        if not self.error:
            # One batch at a time.
            found = self.log.read(wanted.fetch_offset, 1, self.end)
            data.records = found.read() if found is not None else b""
        topic = fetch.FetchableTopicResponse(topic_id=request.topics[0].topic_id, partitions=[data])
        return defer.succeed(fetch.Response(responses=[topic]))


def damaged(tmp_path: Path, positions: tuple[int, ...]) -> tuple[Other, Callable[[], Opened]]:
    """A log of 12 batches, of which these bytes are flipped while the broker is down; how to start it again."""
    settings = {"zookeeper.connect": "x:1", "log.dirs": str(tmp_path / "logs")}
    config, _ = broker_config(settings)
    path = tmp_path / "logs" / "t-0"
    others: list[Other] = []

    def started() -> Opened:
        ask = others[0].ask if others else None
        replication = Opened(config, reactor)
        replication.around.ask = ask
        shared.run(replication.load, "cluster", {}, [LogDirectory(path) for path in config.log_dirs])
        return replication

    first = started()
    shared.run(first.leader_and_isr, lead())
    for _ in range(END):
        first.append_as_leader("t", 0, records(), 1)
    shared.run(first.stop)
    shutil.copytree(path, tmp_path / "other" / "t-0")
    others.append(Other(Log.open(str(tmp_path / "other" / "t-0"), "t", 0, LogConfig(), recovery_point=END, clean=True)))
    file = path / f"{0:020d}.log"
    data = bytearray(file.read_bytes())
    for position in positions:
        data[position] ^= 4
    file.write_bytes(data)
    return others[0], started


def until(condition: Callable[[], bool], replication: Opened) -> None:
    async def wait() -> None:
        for _ in range(1000):
            if condition():
                return
            await task.deferLater(reactor, 0.01, lambda: None)  # type: ignore[arg-type]
        raise AssertionError("it did not come true")

    shared.run(replication.repair.start)
    shared.run(wait)


@pytest.mark.parametrize("leader", [0, 1], ids=["leading", "following"])
def test_damage_is_found_and_mended_from_another_replica(tmp_path: Path, leader: int) -> None:
    """Two places; and readers of the one that leads are told so until then."""
    other, started = damaged(tmp_path, (100, 500, 600))
    replication = started()
    order = lead(leader=leader, epoch=1, isr=(0, 1))
    assert [0] == errors(shared.run(replication.leader_and_isr, order))
    if leader == 0:
        replication.partition("t", 0).high_watermark = END
        assert Error.CORRUPT_MESSAGE == code_of(replication.replicas.read, "t", 0, asked(1), 1000, 0, True)
        assert 0 == replication.replicas.read("t", 0, asked(0), 1, 0, True).records.position
    log = replication.log("t", 0)
    whole = (tmp_path / "other" / "t-0" / f"{0:020d}.log").read_bytes()
    until(
        lambda: whole == (tmp_path / "logs" / "t-0" / f"{0:020d}.log").read_bytes() and not log.corruption.known,
        replication,
    )
    assert {1} == {broker_id for broker_id, _ in other.requests}
    if leader == 0:
        assert len(whole) == replication.replicas.read("t", 0, asked(0), 1 << 20, 0, True).records.size
    shared.run(replication.stop)
    other.log.abandon()


def test_who_cannot_help_is_asked_again_and_who_is_alone_says_so(tmp_path: Path) -> None:
    other, started = damaged(tmp_path, (500,))
    other.error = Error.NOT_LEADER_OR_FOLLOWER
    replication = started()
    shared.run(replication.leader_and_isr, lead(epoch=1))
    log = replication.log("t", 0)
    until(lambda: log.corruption.known, replication)
    assert [] == other.requests
    replication.partition("t", 0).high_watermark = END
    first, last = log.corruption.ranges[0]
    assert Error.CORRUPT_MESSAGE == code_of(replication.replicas.read, "t", 0, asked(first), 1000, 0, True)
    assert replication.replicas.read("t", 0, asked(last + 1), 1000, 0, True).records is not None
    # Another replica is assigned; it does not answer well at once.
    shared.run(replication.leader_and_isr, lead(epoch=2, isr=(0, 1)))
    shared.run(replication.repair.turn)
    assert log.corruption.known and other.requests
    other.error = Error.NONE
    shared.run(replication.repair.turn)
    assert not log.corruption.known
    shared.run(replication.stop)
    other.log.abandon()
