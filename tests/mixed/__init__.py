"""Apache Kafka 3.9.1's brokers and ours in one cluster, on Debian's ZooKeeper."""
