#!/bin/sh
# Has the preferred replicas elected (the old command).
# Apache's class: kafka.admin.PreferredReplicaLeaderElectionCommand
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.preferred_replica_election "$@"
