#!/bin/sh
# Moves partitions to other brokers.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.reassign_partitions "$@"
