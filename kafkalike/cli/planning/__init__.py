"""What commands decide before and after they ask a cluster, without I/O.

partition_json.py       the JSON files in which commands are told partitions
reassignment.py         which moves kafka-reassign-partitions may ask for, and what is throttled
replica_comparison.py   where replicas differ, for kafka-replica-verification
iso8601.py              dates and durations as Kafka's tools read them
"""
