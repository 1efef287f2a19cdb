"""Connect strings and paths."""

import pytest

from zk.ensemble import EnsembleError, parse


@pytest.mark.parametrize(
    ("text", "servers", "chroot"),
    [
        ("localhost:2181", (("localhost", 2181),), ""),
        ("localhost", (("localhost", 2181),), ""),
        ("a:1,b:2,c", (("a", 1), ("b", 2), ("c", 2181)), ""),
        ("a:1,b:2/kafka/prod", (("a", 1), ("b", 2)), "/kafka/prod"),
        (" a:1 , b:2/kafka/ ", (("a", 1), ("b", 2)), "/kafka"),
        ("a:1/", (("a", 1),), ""),
        ("[::1]:2182,[fe80::1]/k", (("::1", 2182), ("fe80::1", 2181)), "/k"),
    ],
)
def test_a_connect_string_is_read(text: str, servers: tuple[tuple[str, int], ...], chroot: str) -> None:
    assert (servers, chroot) == tuple(parse(text))


def test_an_ensemble_prints_as_it_is_read() -> None:
    text = "a:1,[::1]:2/x/y"
    assert text == str(parse(text))


@pytest.mark.parametrize(
    "text", ["", "/chroot", ",", "a:0", "a:65536", "a:x", ":1", "::1", "[::1", "[::1]x", "a/b//c", "a/b/../c", "a/\0"]
)
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(EnsembleError):
        parse(text)


@pytest.mark.parametrize("host", ["a..b", ".a", "x" * 64])
def test_what_cannot_be_a_host_name_is_refused(host: str) -> None:
    with pytest.raises(EnsembleError, match="not a host name"):
        parse(f"{host}:2181")
    assert (("zookeeper.", 2181),) == parse("zookeeper.").servers
