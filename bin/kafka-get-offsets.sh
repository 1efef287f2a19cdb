#!/bin/sh
# Shows the offsets of partitions.
# Apache's class: org.apache.kafka.tools.GetOffsetShell
# Apache's class: kafka.tools.GetOffsetShell
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.get_offsets "$@"
