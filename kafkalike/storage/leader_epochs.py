"""Leader epochs of a partition: at which offset each began. Followers find by it where their log leaves the
leader's (KIP-101, KIP-279); never by the high watermark.

    leader-epoch-checkpoint: "0\\n", the number of entries, then "epoch startOffset" a line

LeaderEpochs and offsets both ascend strictly. The file is derived from the records, where each batch carries its epoch:
a missing or garbled one is built again.
"""

from bisect import bisect_right

from kafkalike.storage.checkpoints import decode_entries, encode_entries

UNDEFINED = (-1, -1)


class LeaderEpochs:
    """The list (epoch, start offset), oldest first."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[tuple[int, int]] | None = None) -> None:
        self.entries: list[tuple[int, int]] = entries or []

    def __bool__(self) -> bool:
        return bool(self.entries)

    @property
    def latest(self) -> int:
        """The newest epoch, -1 when there is none."""
        return self.entries[-1][0] if self.entries else -1

    def assign(self, epoch: int, start_offset: int) -> bool:
        """Notes that `epoch` began at `start_offset`; entries that contradict it go. True if anything changed."""
        if epoch < 0 or start_offset < 0:
            return False
        entries = self.entries
        if entries and entries[-1][0] == epoch and start_offset >= entries[-1][1]:
            return False
        while entries and (entries[-1][0] >= epoch or entries[-1][1] >= start_offset):
            entries.pop()
        entries.append((epoch, start_offset))
        return True

    def end_offset(self, epoch: int, log_end_offset: int) -> tuple[int, int]:
        """The largest epoch not above the one asked for, and where it ended. (-1, -1): not known here."""
        entries = self.entries
        if epoch == -1 or not entries or epoch > entries[-1][0]:
            return UNDEFINED
        if epoch == entries[-1][0]:
            return epoch, log_end_offset
        higher = bisect_right(entries, epoch, key=lambda entry: entry[0])
        if higher == 0:
            return epoch, entries[0][1]
        return entries[higher - 1][0], entries[higher][1]

    def epoch_for(self, offset: int) -> int:
        """The epoch in which the record at `offset` was written, -1 when that is not known."""
        found = bisect_right(self.entries, offset, key=lambda entry: entry[1])
        return self.entries[found - 1][0] if found else -1

    def truncate_from_end(self, offset: int) -> bool:
        """Drops epochs that began at `offset` or above. To be done even if the log itself ends there (KAFKA-10706)."""
        kept = [entry for entry in self.entries if entry[1] < offset]
        changed = len(kept) != len(self.entries)
        self.entries = kept
        return changed

    def take_from(self, offset: int) -> list[tuple[int, int]]:
        """Takes the epochs that began at `offset` or above out, to be found again in the records."""
        doubtful = [entry for entry in self.entries if entry[1] >= offset]
        self.truncate_from_end(offset)
        return doubtful

    def put_back_empty(self, doubtful: list[tuple[int, int]], log_start_offset: int, log_end_offset: int) -> None:
        """Takes those back that began where the log ends, without any record yet. If the log was emptied, the newest
        comes back, whose records were deleted: nothing else tells how far this log had come."""
        emptied = log_start_offset >= log_end_offset > 0
        for epoch, start in doubtful:
            if epoch > self.latest and (start >= log_end_offset or emptied):
                self.assign(epoch, max(start, log_end_offset))

    def truncate_from_start(self, offset: int) -> bool:
        """Drops epochs that ended before `offset`; the one it lies in begins there now."""
        found = bisect_right(self.entries, offset, key=lambda entry: entry[1])
        if not found or (found == 1 and self.entries[0][1] == offset):
            return False
        self.entries[:found] = [(self.entries[found - 1][0], offset)]
        return True

    def encode(self) -> bytes:
        """The checkpoint file."""
        return encode_entries([f"{epoch} {start}" for epoch, start in self.entries])

    @classmethod
    def decode(cls, data: bytes | None) -> "LeaderEpochs | None":
        """Decodes the checkpoint file; None when it is damaged."""
        entries = decode_entries(data) if data is not None else None
        if entries is None:
            return None
        try:
            pairs = [(int(epoch), int(start)) for epoch, start in entries]
        except ValueError:
            return None
        sorted_strictly = all(a[0] < b[0] and a[1] < b[1] for a, b in zip(pairs, pairs[1:], strict=False))
        if not sorted_strictly or (pairs and (pairs[0][0] < 0 or pairs[0][1] < 0)):
            return None
        return cls(pairs)
