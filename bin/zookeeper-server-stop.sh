#!/bin/sh
# Stops the embedded ZooKeeper servers of this installation, or the one of a properties file.
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" zk.server.stop "$@"
