"""Record batches in files: one partition's log in Kafka's formats; blocking, one caller, no sockets.
Only replication/ calls it.

log.py                 one partition's log: made, opened, closed; its parts are the next seven files
log_files.py           the open files of one log, and what a disk's error means for it
append_path.py         how batches get into a log
read_path.py           how batches and places in the log are found for readers
flush.py               when a log is flushed, and the fsync, in any thread
truncation.py          cutting a log's end off
retention.py           records that go from the beginning of a log
corruption.py          offsets of a log that cannot be read any more
segments.py            all segments of one log
segment.py             one file of record batches with its indexes
file_ranges.py         places in a segment's file: a batch, a range that is sent, a hole
index.py               offset index and time index
verification.py        whether a segment holds what was written
validation.py          what a produced batch must be
recovery.py            opening a log after a clean stop or a crash
producer_state.py      epochs, sequences, open transactions of producers
producer_snapshots.py  producer state on the disk
leader_epochs.py       leader epochs and the offsets at which they began
directory.py           one log directory and every log in it
directory_lock.py      .lock
meta_properties.py     meta.properties: which broker a directory belongs to
partition_metadata.py  partition.metadata: which topic a log is of
checkpoints.py         checkpoint files
files.py               the few file operations, which tests replace, and their errors
open_files.py          how many files of segments are open
config.py              the settings of one log
"""

from kafkalike.storage.append_path import CLIENT, COORDINATOR, Appended
from kafkalike.storage.config import LogConfig
from kafkalike.storage.directory import LogDirectory
from kafkalike.storage.file_ranges import FileRange
from kafkalike.storage.files import DirectoryOffline, StorageError
from kafkalike.storage.flush import Flush
from kafkalike.storage.log import Log

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
