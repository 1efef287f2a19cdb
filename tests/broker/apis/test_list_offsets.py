"""ListOffsets: what a new leader may say of the end before it knows it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from kafkalike.clock import Clock
from kafkalike.errors import Error
from kafkalike.protocol import ANY_REPLICA
from kafkalike.protocol.messages import list_offsets
from kafkalike.storage.leader_epochs import LeaderEpochs
from tests.broker.apis.calls import ask

END, START, SOME_TIME = -1, -2, 1000


def broker(high_watermark: int, epoch_start: int) -> Any:
    """A leader of epoch 3 whose log has 100 records; one of time 1000 is at 60."""
    log = SimpleNamespace(
        log_start_offset=0,
        last_stable_offset=lambda mark: mark,
        epoch_at=lambda offset: 2,
        offset_for_timestamp=lambda timestamp: (1000, 60, 2),
    )
    partition = SimpleNamespace(high_watermark=high_watermark, epoch_start=epoch_start, leader_epoch=3)
    hosted = SimpleNamespace(log=log, partition=partition)
    return SimpleNamespace(partitions=SimpleNamespace(leader=lambda *_: hosted), clock=Clock())


def answer(high_watermark: int, epoch_start: int, timestamp: int, version: int = 7) -> tuple[Error, int]:
    partition = list_offsets.ListOffsetsPartition(partition_index=0, timestamp=timestamp)
    request = list_offsets.Request(
        replica_id=-1, topics=[list_offsets.ListOffsetsTopic(name="t", partitions=[partition])]
    )
    asked = ask(broker(high_watermark, epoch_start), "list_offsets", request, version)
    found = Deferred.fromCoroutine(asked).result
    (told,) = found.topics[0].partitions
    return Error(told.error_code), told.offset


@pytest.mark.parametrize("timestamp", [END, SOME_TIME])
def test_a_new_leader_says_nothing_above_its_high_watermark_until_that_has_reached_its_epoch(timestamp: int) -> None:
    """KIP-207: its predecessor may have said more, and an end never goes back."""
    assert (Error.OFFSET_NOT_AVAILABLE, -1) == answer(50, 100, timestamp)
    assert (Error.LEADER_NOT_AVAILABLE, -1) == answer(50, 100, timestamp, version=4)


def test_what_it_knows_it_says() -> None:
    assert (Error.NONE, 0) == answer(50, 100, START)
    assert (Error.NONE, 60) == answer(70, 100, SOME_TIME)
    assert (Error.NONE, 100) == answer(100, 100, END)
    assert (Error.NONE, -1) == answer(50, 50, SOME_TIME)


@pytest.mark.parametrize("start, end, epoch", [(0, 60, 11), (59, 60, 11), (59, 59, 11), (0, 59, 10), (0, 0, -1)])
def test_a_comparison_of_logs_hears_the_last_records_epoch_and_that_of_an_empty_log(
    start: int, end: int, epoch: int
) -> None:
    """Simulation, seed 1795904578657: an empty log said none, and an older one was taken for the longest."""
    epochs = LeaderEpochs([(10, 0), (11, 59)])
    log = SimpleNamespace(log_start_offset=start, log_end_offset=end, epoch_at=epochs.epoch_for)
    partition = SimpleNamespace(check_epoch=lambda epoch: None)
    hosted = SimpleNamespace(log=log, partition=partition)
    asked = list_offsets.ListOffsetsPartition(partition_index=0, timestamp=END)
    request = list_offsets.Request(
        replica_id=ANY_REPLICA, topics=[list_offsets.ListOffsetsTopic(name="t", partitions=[asked])]
    )
    fake = SimpleNamespace(partitions=SimpleNamespace(find=lambda *_: hosted), clock=Clock())
    response = Deferred.fromCoroutine(ask(fake, "list_offsets", request, 7)).result
    (told,) = response.topics[0].partitions
    assert (epoch, end) == (told.leader_epoch, told.offset)
