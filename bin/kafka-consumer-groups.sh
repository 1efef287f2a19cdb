#!/bin/sh
# Lists, describes, rewinds and deletes consumer groups.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.consumer_groups "$@"
