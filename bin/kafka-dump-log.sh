#!/bin/sh
# Prints the contents of log segments and indexes.
# Apache's class: kafka.tools.DumpLogSegments
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.dump_log "$@"
