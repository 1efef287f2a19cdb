#!/bin/sh
# ZooKeeper's command line: host:port[/chroot] [command [argument ...]]
exec "$(dirname "$(readlink -f "$0")")/kafka-run-class.sh" zk.shell "$@"
