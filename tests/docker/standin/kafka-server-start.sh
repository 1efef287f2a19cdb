#!/bin/bash
# Apache Kafka.
exec java -XX:TieredStopAtLevel=1 ${KAFKA_HEAP_OPTS:-} -Dlog4j.configuration=file:/conf/log4j.properties \
  -Dorg.slf4j.simpleLogger.defaultLogLevel=info -cp "/opt/kafka/libs/*" kafka.Kafka "$@"
