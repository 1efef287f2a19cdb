#!/bin/sh
# Deletes the records of partitions before an offset.
# Apache's class: org.apache.kafka.tools.DeleteRecordsCommand
# Apache's class: kafka.admin.DeleteRecordsCommand
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.delete_records "$@"
