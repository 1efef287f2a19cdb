"""Bytes to objects and back: Kafka's messages, record batches and compression; no I/O."""

# In place of a follower's broker id (Kafka's DEBUGGING_REPLICA_ID): any replica answers, whether it leads or not. Asked
# so by controllers that compare logs, and by kafka-replica-verification.
ANY_REPLICA = -2
