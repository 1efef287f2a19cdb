#!/bin/bash
# Apache ZooKeeper, configured as the official image is.
set -euo pipefail
{
  echo "dataDir=/data"
  echo "dataLogDir=/datalog"
  echo "tickTime=${ZOO_TICK_TIME:-2000}"
  echo "initLimit=${ZOO_INIT_LIMIT:-5}"
  echo "syncLimit=${ZOO_SYNC_LIMIT:-2}"
  echo "maxClientCnxns=${ZOO_MAX_CLIENT_CNXNS:-60}"
  echo "standaloneEnabled=${ZOO_STANDALONE_ENABLED:-true}"
  echo "admin.enableServer=false"
  echo "4lw.commands.whitelist=${ZOO_4LW_COMMANDS_WHITELIST:-srvr}"
  for line in ${ZOO_SERVERS:-server.1=localhost:2888:3888;2181} ${ZOO_CFG_EXTRA:-}; do
    echo "$line"
  done
} >/conf/zoo.cfg
echo "${ZOO_MY_ID:-1}" >/data/myid
java=/usr/share/java
exec java -XX:TieredStopAtLevel=1 -Dzookeeper.jmx.log4j.disable=true ${JVMFLAGS:-} \
  -cp "/conf:$java/zookeeper.jar:$java/slf4j-log4j12.jar:$java/log4j-1.2.jar" \
  org.apache.zookeeper.server.quorum.QuorumPeerMain /conf/zoo.cfg
