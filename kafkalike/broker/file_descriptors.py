"""How many file descriptors this process may have, and how its logs and its clients share them."""

from __future__ import annotations

import logging
import os
from typing import Any

from kafkalike.net.file_descriptors import LEAST_RESERVE, FileDescriptors
from kafkalike.replication.hosted_partitions import HostedPartitions
from kafkalike.replication.log_maintenance import LogMaintenance
from kafkalike.storage.files import StorageError
from kafkalike.storage.open_files import OPEN_FILES

log = logging.getLogger("kafka.server.KafkaServer")

LEAST = 64  # with fewer a broker is no use
PLENTY = 100  # connections that a broker can be expected to have
RECOMMENDED = 100_000  # as in Kafka's documentation


def share(partitions: HostedPartitions, log_maintenance: LogMaintenance, reactor: Any, limit: int) -> FileDescriptors:
    """The budget of a broker whose logs are loaded; StorageError if it is too small for any broker."""
    if limit < LEAST:
        raise StorageError(
            f"This process may have {limit} open files (ulimit -n), and a broker needs {LEAST} at least."
        )
    descriptors = FileDescriptors()
    asked = False

    def close() -> None:
        nonlocal asked
        asked = False
        descriptors.too_many_files()

    def ask() -> None:
        # The reactor does it in a turn of its own, for a thread may have called.
        nonlocal asked
        if not asked:
            asked = True
            reactor.callFromThread(close)

    descriptors.logs = lambda: sum(len(directory.logs) for directory in partitions.directories)
    descriptors.open_files = lambda: OPEN_FILES.count
    descriptors.close_files = log_maintenance.close_files
    descriptors.bound = lambda most: setattr(OPEN_FILES, "most", most)
    OPEN_FILES.on_many = ask
    OPEN_FILES.close_some = descriptors.too_many_files
    descriptors.restrict(limit, _in_use() - OPEN_FILES.count)
    hosted = descriptors.logs()
    if limit < hosted + PLENTY + LEAST_RESERVE:
        log.warning(
            "This process may have %d open files (ulimit -n), which is too few for %d partitions and their clients: "
            "files are closed and opened again, and at most %d connections are accepted. Kafka recommends %d.",
            limit,
            hosted,
            descriptors.most_connections,
            RECOMMENDED,
        )
    return descriptors


def _in_use() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return LEAST_RESERVE
