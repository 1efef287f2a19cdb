"""A consumer of Kafka 0.8, as far as ZooKeeper sees it: registers itself, and is gone with its session."""

from __future__ import annotations

import json
import time

from zk.client import KazooClient


class ClassicConsumer:
    """An ephemeral /consumers/<group>/ids/<name>, on a session of its own."""

    def __init__(self, connect: str, group: str, topic: str) -> None:
        self.name = f"{group}_classic-1"
        self.path = f"/consumers/{group}/ids/{self.name}"
        self._session = KazooClient(hosts=connect, timeout=10)
        self._session.start(timeout=15)
        registration = {
            "version": 1,
            "subscription": {topic: 1},
            "pattern": "static",
            "timestamp": str(int(time.time() * 1000)),
        }
        self._session.create(self.path, json.dumps(registration).encode(), ephemeral=True, makepath=True)

    def close(self) -> None:
        """Ends the session: the ephemeral goes at once."""
        self._session.stop()
        self._session.close()
