"""A consumer of Kafka 0.8, as far as ZooKeeper sees it: it registers itself, and is gone with its session."""

from __future__ import annotations

import json
import time

from zk import blocking_client, ensemble

EPHEMERAL = 1


class ClassicConsumer:
    """An ephemeral /consumers/<group>/ids/<name>, on a session of its own."""

    def __init__(self, connect: str, group: str, topic: str) -> None:
        self.name = f"{group}_classic-1"
        self.path = f"/consumers/{group}/ids/{self.name}"
        self._session = blocking_client.Client(ensemble.parse(connect), timeout_ms=10_000)
        self._session.connect()
        registration = {
            "version": 1,
            "subscription": {topic: 1},
            "pattern": "static",
            "timestamp": str(int(time.time() * 1000)),
        }
        self._session.create_with_parents(self.path, json.dumps(registration).encode(), EPHEMERAL)

    def close(self) -> None:
        """Ends the session: the registration goes at once."""
        self._session.close()
