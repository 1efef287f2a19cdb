"""kill -9 at random moments under load: whatever was acknowledged is there after the restart."""

from __future__ import annotations

import random
import struct
import threading
import time
from pathlib import Path

import pytest

from tests.servers import EmbeddedZooKeeper
from tests.zk.raw import OPEN, Raw, buffer, string

pytestmark = pytest.mark.slow

SETTINGS = {"tickTime": 200, "maxSessionTimeout": 60000, "snapCount": 400}


class Load(threading.Thread):
    """One client: pipelined changes of its node, a sequential node now and then, until the server is gone."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__()
        self.path = f"/load-{number}"
        self.client = Raw(port).handshake()
        create = string(self.path) + buffer(b"0") + OPEN + struct.pack("!i", 0)
        assert self.client.call(1, create).error in (0, -110)
        self.acknowledged = self.sent = 0
        self.created: list[str] = []
        self.zxid = 0

    def run(self) -> None:
        try:
            while True:
                for _ in range(20):
                    self.sent += 1
                    self.client.send(5, string(self.path) + buffer(b"%d" % self.sent) + struct.pack("!i", -1))
                self.client.send(1, string(self.path + "/n-") + buffer(b"") + OPEN + struct.pack("!i", 2))
                for _ in range(20):
                    self.zxid = self.client.receive().zxid
                    self.acknowledged += 1
                reply = self.client.receive()
                self.zxid = reply.zxid
                self.created.append(reply.body[4:].decode())
        except OSError:
            return


@pytest.mark.parametrize("seed", range(3))
def test_acknowledged_changes_survive(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    server = EmbeddedZooKeeper(tmp_path, **SETTINGS).start()
    try:
        owner = Raw(server.port).handshake(timeout_ms=30000)
        assert 0 == owner.call(1, string("/mine") + buffer(b"") + OPEN + struct.pack("!i", 1)).error
        for round_ in range(3):
            loads = [Load(server.port, round_ * 10 + number) for number in range(3)]
            for load in loads:
                load.start()
            time.sleep(chance.uniform(0.02, 0.4))
            server.kill()
            for load in loads:
                load.join()
                load.client.close()
            server.start()
            check = Raw(server.port).handshake(last_zxid=max(load.zxid for load in loads))
            for load in loads:
                value = check.call(4, string(load.path) + b"\0").body
                (size,) = struct.unpack_from("!i", value)
                found = int(value[4 : 4 + size])
                assert load.acknowledged <= found <= load.sent
                for path in load.created:
                    assert 0 == check.call(3, string(path) + b"\0").error, path
            # A session, its password and what it owns are still there.
            again = Raw(server.port).handshake(30000, 0, owner.session_id, owner.password)
            assert owner.session_id == again.session_id
            assert 0 == again.call(3, string("/mine") + b"\0").error
            owner.close()
            owner = again
            check.close()
        assert 0 == owner.call(-11).error
        with Raw(server.port).handshake() as last:
            assert -101 == last.call(3, string("/mine") + b"\0").error
        owner.close()
        assert 0 == server.stop()
    finally:
        if server.running:
            server.kill()
    assert "Traceback" not in server.output()


def test_sessions_expire_after_a_restart_too(tmp_path: Path) -> None:
    with EmbeddedZooKeeper(tmp_path, **SETTINGS) as server:
        client = Raw(server.port).handshake(timeout_ms=1000)
        client.call(1, string("/mine") + buffer(b"") + OPEN + struct.pack("!i", 1))
        server.kill()
        client.close()
        server.start()
        with Raw(server.port).handshake() as other:
            assert 0 == other.call(3, string("/mine") + b"\1").error
            assert (2, "/mine") == other.event()


def test_a_torn_tail_is_told_in_one_line(tmp_path: Path) -> None:
    with EmbeddedZooKeeper(tmp_path, **SETTINGS) as server:
        with Raw(server.port).handshake() as client:
            client.call(1, string("/a") + buffer(b"") + OPEN + struct.pack("!i", 0))
        server.kill()
        (log,) = (tmp_path / "data" / "state").glob("log.*")
        with log.open("ab") as file:
            file.write(b"\xf1kz\xf2 half an entry")
        server.start()
        assert "Cut 18 bytes of an unfinished write from" in server.output()
        with Raw(server.port).handshake() as client:
            assert 0 == client.call(3, string("/a") + b"\0").error
