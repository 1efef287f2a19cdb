"""A log beside a model of it: what is appended is read back, through rolls, cuts, retention and restarts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kafkalike.protocol import batch
from kafkalike.storage.config import LogConfig
from tests.hypothesis_examples import examples
from tests.storage.disk import NOW, a_batch, contents, new_log, reopened


class LogAndModel(RuleBasedStateMachine):
    """The log beside a plain list of (offset, value)."""

    counter = 0

    @initialize(
        segment_bytes=st.sampled_from([250, 600, 5000]),
        interval=st.sampled_from([1, 200, 4096]),
        recent=st.sampled_from([1, 4, 256]),
    )
    def begin(self, segment_bytes: int, interval: int, recent: int) -> None:
        type(self).counter += 1
        self.path = self.home / f"{os.getpid()}-{self.counter}"  # type: ignore[attr-defined]
        self.path.mkdir()
        config = LogConfig(segment_bytes=segment_bytes, index_interval_bytes=interval, retention_bytes=800)
        self.log = new_log(self.path, config)
        self.records: list[tuple[int, bytes | None]] = []
        self.starts: list[int] = []
        self.start, self.end, self.epoch, self.sequence = 0, 0, 0, 0

    @rule(count=st.integers(1, 4), codec=st.sampled_from([0, 0, 3]), bump=st.booleans(), idempotent=st.booleans())
    def append(self, count: int, codec: int, bump: bool, idempotent: bool) -> None:
        self.epoch += bump
        fields = {"producer_id": 1, "producer_epoch": 0, "base_sequence": self.sequence} if idempotent else {}
        data = a_batch(count, NOW + self.end, codec=codec, **fields)
        appended = self.log.append(data, self.epoch, NOW)
        assert self.end == appended.base_offset
        values = [r.value for r in batch.records(data)]
        self.records += list(zip(range(self.end, self.end + count), values, strict=True))
        self.starts.append(self.end)
        self.end += count
        if idempotent:
            self.sequence += count

    @rule()
    def roll(self) -> None:
        self.log.roll(NOW)

    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        offset = data.draw(st.integers(self.start, self.end))
        self.log.truncate(offset)
        end = max([s for s in [*self.starts, self.end] if s <= offset], default=offset)
        end = self.log.log_end_offset if end < self.start else end
        assert end == self.log.log_end_offset
        self.records = [r for r in self.records if r[0] < end]
        self.starts = [s for s in self.starts if s < end]
        self.end = end
        self.start = min(self.start, end)
        producer = self.log.producers.entries.get(1)
        self.sequence = producer.next_sequence if producer else 0
        self.epoch = max(self.epoch, 0) + 1

    @precondition(lambda self: self.end > self.start)
    @rule(data=st.data())
    def delete_records(self, data: st.DataObject) -> None:
        self.start = data.draw(st.integers(self.start, self.end))
        self.log.advance_log_start(self.start)
        self.records = [r for r in self.records if r[0] >= self.start]

    @rule(data=st.data())
    def retain(self, data: st.DataObject) -> None:
        high_watermark = data.draw(st.integers(self.start, self.end))
        self.log.retain(NOW, high_watermark)
        assert self.start <= self.log.log_start_offset <= max(high_watermark, self.start)
        self.start = self.log.log_start_offset
        self.records = [r for r in self.records if r[0] >= self.start]

    @rule()
    def flush(self) -> None:
        self.log.flush()

    @rule(clean=st.booleans())
    def reopen(self, clean: bool) -> None:
        producers = dict(self.log.producers.entries)
        epochs = [entry for entry in self.log.epochs.entries if entry[1] < self.end]
        self.log = reopened(self.log, clean)
        assert clean != self.log.recovered
        assert {p: e.next_sequence for p, e in producers.items()} == {
            p: e.next_sequence for p, e in self.log.producers.entries.items()
        }
        assert epochs == [entry for entry in self.log.epochs.entries if entry[1] < self.end]

    @rule(data=st.data(), limit=st.integers(1, 700))
    def read(self, data: st.DataObject, limit: int) -> None:
        offset = data.draw(st.integers(self.start, self.end))
        most = data.draw(st.integers(offset, self.end))
        given = self.log.read(offset, limit, most)
        if given is not None:
            pairs = batch.split(given.read())
            assert pairs[0][0].base_offset <= offset <= pairs[0][0].last_offset
            assert pairs[-1][0].last_offset < most
            assert len(pairs) == 1 or given.size <= limit
            got = [(r.offset, r.value) for _, b in pairs for r in batch.records(b)]
            assert [r for r in self.records if offset <= r[0] <= got[-1][0]] == [r for r in got if r[0] >= offset]

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "log"):
            return
        log = self.log
        assert (self.start, self.end) == (log.log_start_offset, log.log_end_offset)
        assert self.records == contents(log)
        assert log.recovery_point <= log.log_end_offset
        for file in os.listdir(log.path):
            size = os.path.getsize(f"{log.path}/{file}")
            assert not (file.endswith(".index") and size % 8)
            assert not (file.endswith(".timeindex") and size % 12)

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.abandon()


@pytest.mark.hypothesis
def test_the_log_agrees_with_a_list(tmp_path: Path) -> None:
    class Machine(LogAndModel):
        home = tmp_path

    case = Machine.TestCase
    case.settings = examples(40, stateful_step_count=25)
    case().runTest()
