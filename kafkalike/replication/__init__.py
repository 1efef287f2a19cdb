"""The replicas on this broker: leader or follower, in-sync replicas, high watermark, waiting requests.
broker/apis/ calls it.

replication.py        builds, starts and stops all of it
replicas.py           append, read, delete records, wait for replicas: what is asked of the partitions here
leadership.py         which partitions this broker leads and follows
hosted_partitions.py  the partitions of which this broker has a replica, and its log directories
topic_configs.py      the effective configuration of topics
cluster_view.py       what partitions want to know of the cluster, and whom they tell
partition.py          leader or follower, ISR, high watermark of one partition
isr.py                who joins and leaves the ISRs of the partitions that this broker leads
alter_partition.py    ISR changes on their way to the controller
purgatory.py          requests that wait for acknowledgements, bytes or a deadline
timed_purgatory.py    the purgatory with a clock
control_requests.py   LeaderAndIsr and StopReplica carried out
fetchers.py           connections to leaders, one Fetch under way on each
fetch_plan.py         what a follower asks its leader next
follower.py           what a follower does with its leader's answers
refused_batches.py    batches that follow one that was refused for a reason that passes
replication_quota.py  leader.replication.throttled.rate and its like
file_threads.py       threads for work on files
log_maintenance.py    checkpoints, flushes, retention: at intervals
repair.py             damaged data repaired with what other replicas have
replica_gauges.py     the partitions' numbers for operators
topic_traffic.py      Kafka's BrokerTopicMetrics
"""
