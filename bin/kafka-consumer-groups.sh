#!/bin/sh
# Lists, describes, rewinds and deletes consumer groups.
# Apache's class: org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
# Apache's class: kafka.admin.ConsumerGroupCommand
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" kafkalike.cli.consumer_groups "$@"
