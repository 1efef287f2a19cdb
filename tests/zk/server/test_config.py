"""The properties file."""

from __future__ import annotations

from pathlib import Path

import pytest

from zk.server.config import Config, ConfigError, override, parse, read

FILE = Path(__file__).resolve().parents[3] / "config" / "zookeeper.properties"


def config(**pairs: str) -> Config:
    return read({"dataDir": "/somewhere"} | {key.replace("__", "."): value for key, value in pairs.items()})


def test_kafkas_file() -> None:
    found = read(parse(FILE.read_text()))
    assert ("/tmp/zookeeper", 2181, 0, ()) == (found.data_dir, found.port, found.max_connections, found.unknown)


def test_defaults_are_zookeepers_but_for_the_address() -> None:
    found = config()
    assert ("127.0.0.1", 2181, 60, 3000) == (found.address, found.port, found.max_connections, found.limits.tick_ms)


def test_comments_blanks_and_colons() -> None:
    assert {"a": "1", "b": "2=3", "c": "4"} == parse("# no\n! no\n\n a = 1 \nb=2=3\nc: 4\n")


def test_overrides_come_last() -> None:
    assert {"a": "2", "b": "1"} == override({"a": "1", "b": "1"}, ["a=2"])
    with pytest.raises(ConfigError, match="key=value"):
        override({}, ["a"])


def test_what_an_ensemble_needs_is_passed_over_and_a_typing_error_is_not() -> None:
    found = config(initLimit="5", syncLimit="2", admin__serverPort="8080", tickTme="1")
    assert ("tickTme",) == found.unknown


@pytest.mark.parametrize(
    ("key", "value"),
    [("clientPort", "x"), ("clientPort", "70000"), ("tickTime", "0"), ("maxClientCnxns", "-1"), ("snapCount", "1")],
)
def test_values_that_cannot_be(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"Invalid value '{value}' for {key}"):
        config(**{key: value})


def test_timeouts_must_leave_something_between() -> None:
    with pytest.raises(ConfigError, match="minSessionTimeout"):
        config(minSessionTimeout="5000", maxSessionTimeout="4000")


def test_a_data_directory_is_needed() -> None:
    with pytest.raises(ConfigError, match="dataDir is not set"):
        read({})


def test_an_ensemble_is_refused() -> None:
    with pytest.raises(ConfigError, match="single node"):
        config(server__1="a:1:2")


def test_words_can_be_restricted() -> None:
    assert frozenset({"srvr", "ruok"}) == config(**{"4lw__commands__whitelist": "srvr, ruok"}).words
    assert config().words is None
