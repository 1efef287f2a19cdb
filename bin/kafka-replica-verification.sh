#!/bin/sh
# Compares the replicas of partitions with one another.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.replica_verification "$@"
