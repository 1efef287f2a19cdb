"""Bytes to objects and back: Kafka's messages, record batches and compression; no I/O. Brokers and clients call it.

messages/           one file per API: its request and its response
schema.py           how a message is declared
fields.py           what the fields of a message are
compiler.py         declarations turned into functions that read and write
primitives.py       integers, varints, strings
framing.py          frames, request and response headers
in_flight.py        requests of one connection that have no response yet
batch.py            the record batch: header, CRC, offsets
record.py           one record inside a batch
control_records.py  the records that end a transaction
compression.py      gzip, snappy, lz4, zstd
"""

# In place of a follower's broker id (Kafka's DEBUGGING_REPLICA_ID): any replica answers, whether it leads or not. Asked
# so by controllers that compare logs, and by kafka-replica-verification.
ANY_REPLICA = -2

# Timestamps by which ListOffsets asks for a place: the log's end, its start, the record with the greatest timestamp,
# the start of what is on the broker's own disk, the end of what is in tiered storage.
LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED = -1, -2, -3, -4, -5

# Isolation levels: a consumer reads up to the high watermark, or up to the last stable offset, before which every
# transaction has ended (KIP-98).
READ_UNCOMMITTED, READ_COMMITTED = 0, 1
