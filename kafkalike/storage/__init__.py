"""Record batches in files: one partition's log in Kafka's formats; blocking, one caller, no sockets."""

from kafkalike.storage.append_path import CLIENT, COORDINATOR, Appended
from kafkalike.storage.config import LogConfig
from kafkalike.storage.directory import LogDirectory, StorageError
from kafkalike.storage.files import DirectoryOffline
from kafkalike.storage.flush import Flush
from kafkalike.storage.log import Log
from kafkalike.storage.segment import FileRange

__all__ = [
    "CLIENT",
    "COORDINATOR",
    "Appended",
    "DirectoryOffline",
    "FileRange",
    "Flush",
    "Log",
    "LogConfig",
    "LogDirectory",
    "StorageError",
]
