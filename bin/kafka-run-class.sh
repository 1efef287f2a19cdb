#!/bin/sh
# Runs a command of kafkalike by its module, or by the name of the Java class that old scripts call it by.
# Works from any directory and through symbolic links, without activating anything.
here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$here")

usage="USAGE: kafka-run-class.sh class|module [options]"
if [ $# -eq 0 ]; then
  echo "$usage" >&2
  exit 1
fi
case $1 in
  --help | -h)
    echo "$usage"
    echo "Runs a command by its Java class, such as kafka.admin.ConfigCommand, or its module, such as kafkalike.cli.configs."
    exit
    ;;
  org.apache.kafka.tools.TopicCommand | kafka.admin.TopicCommand) module=kafkalike.cli.topics ;;
  kafka.tools.ConsoleProducer) module=kafkalike.cli.console_producer ;;
  org.apache.kafka.tools.consumer.ConsoleConsumer | kafka.tools.ConsoleConsumer) module=kafkalike.cli.console_consumer ;;
  org.apache.kafka.tools.consumer.group.ConsumerGroupCommand | kafka.admin.ConsumerGroupCommand) module=kafkalike.cli.consumer_groups ;;
  kafka.admin.BrokerApiVersionsCommand) module=kafkalike.cli.broker_api_versions ;;
  kafka.tools.DumpLogSegments) module=kafkalike.cli.dump_log ;;
  org.apache.kafka.tools.reassign.ReassignPartitionsCommand | kafka.admin.ReassignPartitionsCommand)
    module=kafkalike.cli.reassign_partitions ;;
  org.apache.kafka.tools.LeaderElectionCommand | kafka.admin.LeaderElectionCommand) module=kafkalike.cli.leader_election ;;
  kafka.admin.PreferredReplicaLeaderElectionCommand) module=kafkalike.cli.preferred_replica_election ;;
  org.apache.kafka.tools.ReplicaVerificationTool | kafka.tools.ReplicaVerificationTool) module=kafkalike.cli.replica_verification ;;
  org.apache.kafka.tools.GetOffsetShell | kafka.tools.GetOffsetShell) module=kafkalike.cli.get_offsets ;;
  org.apache.kafka.tools.DeleteRecordsCommand | kafka.admin.DeleteRecordsCommand) module=kafkalike.cli.delete_records ;;
  kafka.admin.ConfigCommand) module=kafkalike.cli.configs ;;
  kafka.Kafka) module=kafkalike.cli.server_start ;;
  kafkalike.* | zk.*) module=$1 ;;
  *)
    echo "$1 is not a command here; $here has a script for each that there is." >&2
    exit 1
    ;;
esac
shift

python=$root/.venv/bin/python
if [ ! -x "$python" ]; then
  python=python3
  if ! PYTHONPATH="$root" $python -c 'import click, kafkalike' 2>/dev/null; then
    echo "kafkalike is not installed yet: run $here/quickstart.sh once, or 'pip install .' in $root" >&2
    exit 1
  fi
fi
# Python makes a traceback of a Ctrl-C while it starts: that waits until the command's first line (zk/signals.py).
PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec env --block-signal=INT "$python" -m "$module" "$@"
