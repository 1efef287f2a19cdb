"""Bytes to objects and back: Kafka's messages, record batches and compression; no I/O."""
