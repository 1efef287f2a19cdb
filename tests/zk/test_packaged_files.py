"""Bare names of properties files."""

from __future__ import annotations

from pathlib import Path

import pytest

from zk.packaged_files import locate, packaged_hint


@pytest.fixture
def module(tmp_path: Path) -> str:
    """A module with a properties file beside it."""
    directory = tmp_path / "package"
    directory.mkdir()
    (directory / "server.properties").touch()
    return str(directory / "module.py")


def test_a_bare_name_that_is_not_here_is_the_shipped_file(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(Path(module).with_name("server.properties")) == locate("server.properties", module)


def test_a_file_of_the_working_directory_comes_first(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.properties").touch()
    assert "server.properties" == locate("server.properties", module)


@pytest.mark.parametrize("path", ["config/server.properties", "./server.properties", "other.properties", "", "/"])
def test_every_other_path_is_what_it_says(
    module: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert path == locate(path, module)


def test_the_working_directory_may_be_another_process_s(module: str, tmp_path: Path) -> None:
    assert str(Path(module).with_name("server.properties")) == locate("server.properties", module, str(tmp_path))
    (tmp_path / "server.properties").touch()
    assert str(tmp_path / "server.properties") == locate("server.properties", module, str(tmp_path))
    assert str(tmp_path / "config/x") == locate("config/x", module, str(tmp_path))


def test_who_misses_the_shipped_file_is_told_how_to_name_it(module: str) -> None:
    told = " (server.properties, without a directory, is the one that is shipped)"
    assert told == packaged_hint("config/server.properties", module)
    assert "" == packaged_hint("config/other.properties", module)
