"""The commands behind bin/, one click command per file.

options.py                     what the commands share: options, failures
groups/                        the actions of kafka-consumer-groups.sh
planning/                      what commands decide without I/O
walkthrough/                   walkthrough.sh: the documented workflow by steps
broker_api_versions.py         kafka-broker-api-versions.sh: which APIs each broker serves
configs.py                     kafka-configs.sh: shows and changes configurations
console_consumer.py            kafka-console-consumer.sh: prints a topic's messages
console_producer.py            kafka-console-producer.sh: sends lines as messages
consumer_groups.py             kafka-consumer-groups.sh: lists, describes, rewinds and deletes groups
delete_records.py              kafka-delete-records.sh: deletes the records before an offset
dump_log.py                    kafka-dump-log.sh: prints the files of a log
get_offsets.py                 kafka-get-offsets.sh: prints the offsets of partitions
leader_election.py             kafka-leader-election.sh: has leaders elected
preferred_replica_election.py  kafka-preferred-replica-election.sh: the older form of it
reassign_partitions.py         kafka-reassign-partitions.sh: moves partitions
replica_verification.py        kafka-replica-verification.sh: compares replicas
server_start.py                kafka-server-start.sh: runs a broker
server_stop.py                 kafka-server-stop.sh: ends this user's brokers
topics.py                      kafka-topics.sh: creates, lists, describes, alters and deletes topics
"""

from zk.signals import quiet_imports

quiet_imports()
