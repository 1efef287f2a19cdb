"""The four-letter words' texts."""

from __future__ import annotations

import pytest

from zk.server.four_letter_words import WORDS, Client, Status

STATUS = Status(
    zxid=0xAB, nodes=7, ephemerals=1, watches=3, data_size=99, received=10, sent=9, outstanding=0,
    latency_ms=(0, 1.5, 12), clients=[Client("10.0.0.1", 5555, 0x77, 6000, 4, 3), Client("::1", 6666, 0, 0, 1, 0)],
    sessions={0x77: ["/e"], 0x78: []}, settings={"clientPort": 2181}, environment={"host.name": "here"},
    files=(100, 200, 12),
)  # fmt: skip


def say(word: str) -> str:
    return WORDS[word.encode()](STATUS)


def test_srvr() -> None:
    assert (
        "Zookeeper version: 3.8.4-kafkalike\nLatency min/avg/max: 0/1.5/12\nReceived: 10\nSent: 9\nConnections: 2\n"
        "Outstanding: 0\nZxid: 0xab\nMode: standalone\nNode count: 7\n"
    ) == say("srvr")


def test_stat_has_the_clients() -> None:
    assert "\nClients:\n /10.0.0.1:5555[1](queued=0,recved=4,sent=3)\n /::1:6666[1]" in say("stat")


def test_cons_has_their_sessions() -> None:
    assert " /10.0.0.1:5555[1](queued=0,recved=4,sent=3,sid=0x77,to=6000)\n /::1:6666[1]" in say("cons")


def test_dump_has_the_ephemeral_nodes() -> None:
    assert say("dump").endswith("Sessions with Ephemerals (1):\n0x77:\n\t/e\n")


def test_mntr_is_a_table() -> None:
    rows = dict(line.split("\t") for line in say("mntr").splitlines())
    assert ("7", "99", "12") == (
        rows["zk_znode_count"], rows["zk_approximate_data_size"], rows["zk_open_file_descriptor_count"],
    )  # fmt: skip


@pytest.mark.parametrize("word", sorted(word.decode() for word in WORDS))
def test_every_word_is_four_letters_and_says_something(word: str) -> None:
    assert 4 == len(word) and say(word)
