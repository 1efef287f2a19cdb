"""The consumer that W12 kills. It reads, works a little on each message, and commits; it prints what it was given and
what it has committed as lines of JSON.

python -m kafkalike.cli.walkthrough.killed_consumer BOOTSTRAP GROUP TOPIC MILLISECONDS
"""

from __future__ import annotations

import json
import sys
import time

from kafkalike.client.blocking.consumer import Consumer


def main(bootstrap: str, group: str, topic: str, work_ms: str) -> None:
    """Consumes until it is killed."""
    consumer = Consumer(bootstrap, group_id=group, auto_offset_reset="earliest", session_timeout_ms=6000)
    consumer.subscribe([topic])
    consumer.join(60_000)
    _say({"assigned": [number for _, number in consumer.assignment]})
    while True:
        for record in consumer.poll(1000):
            _say({"given": [record.partition, record.offset]})
            time.sleep(int(work_ms) / 1000)
            _say({"committed": [record.partition, consumer.ack(record)]})


def _say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
