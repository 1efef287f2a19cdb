"""Record batches in files: one partition's log in Kafka's formats; blocking, one caller, no sockets.
Only replication/ calls it.

log.py          one partition's log: segments and what is derived from them
log_files.py    the open files of one log, and what a disk's error means for it
append_path.py  how batches get into a log
read_path.py    how batches and places in the log are found for readers
truncation.py   cutting a log's end off
retention.py    records that go from the beginning of a log
segments.py     all segments of one log
segment.py      one file of record batches with its indexes
index.py        offset index and time index
recovery.py     opening a log after a clean stop or a crash
checking.py     whether a file holds what was written
damage.py       parts of a log that cannot be read any more
validation.py   what a produced batch must be
producers.py    producer state: epochs, sequences, open transactions
snapshots.py    producer state on the disk
epochs.py       leader epochs and the offsets at which they began
flush.py        fsync, in any thread
files.py        the few file operations, which tests replace
open_files.py   how many files of segments are open
directory.py    one log directory: lock, identity, logs, checkpoints
identity.py     meta.properties and partition.metadata
config.py       the settings of one log
"""

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
