#!/bin/sh
# Compares the replicas of partitions with one another.
# Apache's class: org.apache.kafka.tools.ReplicaVerificationTool
# Apache's class: kafka.tools.ReplicaVerificationTool
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.replica_verification "$@"
