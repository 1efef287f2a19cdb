#!/bin/sh
# Has the preferred replicas elected (the old command).
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.preferred_replica_election "$@"
