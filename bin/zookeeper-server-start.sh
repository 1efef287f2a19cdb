#!/bin/sh
# Starts the embedded ZooKeeper server: [-daemon] zookeeper.properties [--override key=value]*
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" zk.server.main "$@"
