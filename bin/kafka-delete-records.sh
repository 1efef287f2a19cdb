#!/bin/sh
# Deletes the records of partitions before an offset.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.delete_records "$@"
