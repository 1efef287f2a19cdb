"""The replicas on this broker: leader or follower, in-sync replicas, high watermark, waiting requests.
broker/apis/ calls it.

replicas.py           every partition on this broker
hosted_partitions.py  a partition of which this broker has a replica
partition.py          leader or follower, ISR, high watermark of one partition
purgatory.py          requests that wait for acknowledgements, bytes or a deadline
control_requests.py   LeaderAndIsr and StopReplica carried out
alter_partition.py    ISR changes on their way to the controller
fetchers.py           connections to leaders, one Fetch under way on each
fetch_plan.py         what a follower asks its leader next
follower.py           what a follower does with its leader's answers
refused_batches.py    batches that follow one that was refused for a reason that passes
replication_quota.py  leader.replication.throttled.rate and its like
log_maintenance.py    checkpoints, flushes, retention, followers that lag: at intervals
repair.py             damaged data mended from other replicas
replica_gauges.py     the partitions' numbers for operators
topic_traffic.py      Kafka's BrokerTopicMetrics
"""
