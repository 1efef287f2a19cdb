#!/bin/sh
# Has leaders elected: the preferred replicas, or any at all.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.leader_election "$@"
