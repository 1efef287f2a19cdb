#!/bin/sh
# Prints the contents of log segments and indexes.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.dump_log "$@"
