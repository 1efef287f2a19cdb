"""How a broker's logs and clients share its file descriptors."""

from __future__ import annotations

import logging

import pytest

from kafkalike.net.file_descriptors import FileDescriptors


def budget(limit: int, logs: int, files: int = 0) -> tuple[FileDescriptors, list[int]]:
    """A budget, and the numbers of files that it asked for."""
    descriptors, asked = FileDescriptors(), []
    open_files = [files]

    def close(most: int) -> None:
        asked.append(most)
        open_files[0] = min(open_files[0], most)

    descriptors.logs = lambda: logs
    descriptors.open_files = lambda: open_files[0]
    descriptors.close_files = close
    descriptors.restrict(limit, 10)
    return descriptors, asked


def test_without_a_limit_everybody_is_let_in() -> None:
    assert FileDescriptors().admits()


@pytest.mark.parametrize(
    ("limit", "logs", "clients", "files"),
    [(220, 250, 89, 178), (220, 10, 168, 178), (1000, 3, 925, 928), (100000, 5000, 94734, 99734), (20, 5, 1, 2)],
)
def test_half_or_one_for_each_log_is_kept_for_logs(limit: int, logs: int, clients: int, files: int) -> None:
    descriptors, _ = budget(limit, logs)
    assert (clients, files) == (descriptors.most_connections, descriptors.most_files)


def test_files_that_are_not_in_use_make_room_for_connections() -> None:
    descriptors, asked = budget(220, 250, files=150)
    for _ in range(28):
        assert descriptors.admits()
        descriptors.connected()
    assert [] == asked
    assert descriptors.admits() and [111] == asked


def test_logs_keep_theirs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    descriptors, _ = budget(220, 250)
    while descriptors.admits():
        descriptors.connected()
    assert 89 == descriptors.connections and 89 == descriptors.most_files
    assert not descriptors.admits()
    descriptors.disconnected()
    assert descriptors.admits()
    descriptors.connected()
    descriptors.all_let_in()
    assert not descriptors.admits()
    for _ in range(20):
        descriptors.disconnected()
    assert descriptors.admits()
    descriptors.all_let_in()
    descriptors.all_let_in()
    assert [
        "No file descriptors for more connections (ulimit -n is 220, 89 connections are open): accepting pauses.",
        "There are file descriptors again: connections are accepted.",
    ] == caplog.messages


def test_files_that_cannot_be_closed_keep_connections_out() -> None:
    descriptors, _ = budget(220, 250, files=178)
    descriptors.close_files = lambda most: None
    assert not descriptors.admits()


def test_logs_hear_how_many_files_they_may_have_and_close_some_when_they_have_more() -> None:
    descriptors, asked = budget(220, 250, files=178)
    heard: list[int] = []
    descriptors.bound = heard.append
    for _ in range(3):
        descriptors.connected()
    descriptors.disconnected()
    assert [177, 176, 175, 176] == heard
    descriptors.too_many_files()
    assert [132] == asked
