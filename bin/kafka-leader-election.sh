#!/bin/sh
# Has leaders elected: the preferred replicas, or any at all.
# Apache's class: org.apache.kafka.tools.LeaderElectionCommand
# Apache's class: kafka.admin.LeaderElectionCommand
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.leader_election "$@"
