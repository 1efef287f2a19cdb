"""Index files: always whole entries, and lookups that agree with a list."""

import os
import struct
from bisect import bisect_right
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkalike.storage import index
from kafkalike.storage.index import OFFSETS, TIMES, Index
from tests.hypothesis_examples import examples
from tests.storage.disk import FailingDisk


def filled(path: Path, count: int, written: int | None = None) -> Index:
    made = Index(str(path), OFFSETS)
    for n in range(count):
        made.add(10 * n + 5, 100 * n)
        if n + 1 == written:
            made.write()
    return made


def test_the_file_is_kafkas(tmp_path: Path) -> None:
    path = tmp_path / "00000000000000000000.index"
    filled(path, 3).write()
    assert struct.pack(">6i", 5, 0, 15, 100, 25, 200) == path.read_bytes()
    times = Index(str(tmp_path / "t"), TIMES)
    times.add(2**40, 7)
    times.write()
    assert struct.pack(">qi", 2**40, 7) == (tmp_path / "t").read_bytes()


def test_waiting_entries_are_found_and_not_in_the_file(tmp_path: Path) -> None:
    made = filled(tmp_path / "i", 10, written=4)
    assert 4 * 8 == os.path.getsize(tmp_path / "i")
    assert 10 == len(made)
    assert (85, 800) == made.floor(0, 90)
    assert (15, 100) == made.floor(0, 24)
    assert (35, 300) == made.floor(1, 399)
    assert None is made.floor(0, 4)
    assert (95, 900) == made.last()


def test_writing_is_due_when_many_wait(tmp_path: Path) -> None:
    made = Index(str(tmp_path / "i"), OFFSETS)
    assert [False] * (index.PENDING - 1) + [True] == [made.add(n, n) for n in range(index.PENDING)]


def test_an_index_that_is_not_there_is_empty(tmp_path: Path) -> None:
    made = Index(str(tmp_path / "i"), OFFSETS)
    assert (0, None, None) == (len(made), made.last(), made.floor(0, 100))
    assert made.is_sound()


@pytest.mark.parametrize("tail", [b"x", struct.pack(">ii", -1, 5), struct.pack(">ii", 5, -1)])
def test_what_cannot_be_an_index_is_noticed(tmp_path: Path, tail: bytes) -> None:
    filled(tmp_path / "i", 3).write()
    with open(tmp_path / "i", "ab") as file:
        file.write(tail)
    assert not Index(str(tmp_path / "i"), OFFSETS).is_sound()


def test_a_full_disk_leaves_the_file_whole_and_the_entries_waiting(tmp_path: Path) -> None:
    disk = FailingDisk()
    made = Index(str(tmp_path / "i"), OFFSETS, disk)
    made.add(1, 1)
    made.write()
    for n in range(2, 6):
        made.add(n, n)
    disk.room = 13
    with pytest.raises(OSError):
        made.write()
    assert 8 == os.path.getsize(tmp_path / "i")
    assert (4, 4) == made.floor(0, 4)
    disk.heal()
    made.write()
    assert 40 == os.path.getsize(tmp_path / "i")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 40), st.integers(1, 400)),
        st.tuples(st.just("write"), st.just(0), st.just(0)),
        st.tuples(st.just("reopen"), st.just(0), st.just(0)),
        st.tuples(st.just("truncate"), st.integers(0, 1), st.integers(0, 2000)),
        st.tuples(st.just("floor"), st.integers(0, 1), st.integers(0, 2000)),
        st.tuples(st.just("reset"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@examples(150)
@given(steps, st.sampled_from([2, 5, 512]))
def test_an_index_agrees_with_a_list(tmp_path_factory: pytest.TempPathFactory, todo: list, block: int) -> None:
    path = tmp_path_factory.mktemp("index") / "i"
    made, model = Index(str(path), OFFSETS), []
    before, index.BLOCK = index.BLOCK, block
    try:
        for step, a, b in todo:
            if step == "add":
                first, second = model[-1] if model else (0, 0)
                model.append((first + a, second + b))
                made.add(*model[-1])
            elif step == "write":
                made.write()
            elif step == "reopen":
                made.write()
                made = Index(str(path), OFFSETS)
            elif step == "truncate":
                made.truncate(a, b)
                model = [entry for entry in model if entry[a] < b]
            elif step == "reset":
                made.reset()
                model = []
            else:
                at = bisect_right(model, b, key=lambda entry: entry[a])
                assert (model[at - 1] if at else None) == made.floor(a, b)
            assert len(model) == len(made)
            assert (model[-1] if model else None) == made.last()
            assert 0 == (path.stat().st_size if path.exists() else 0) % 8
        assert model == made.entries()
    finally:
        index.BLOCK = before
