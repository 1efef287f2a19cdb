#!/bin/sh
# Shows the offsets of partitions.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.get_offsets "$@"
