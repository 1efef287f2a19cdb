#!/bin/sh
# Moves partitions to other brokers.
# Apache's class: org.apache.kafka.tools.reassign.ReassignPartitionsCommand
# Apache's class: kafka.admin.ReassignPartitionsCommand
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.reassign_partitions "$@"
