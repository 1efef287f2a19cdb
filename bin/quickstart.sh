#!/bin/bash
# A first look, on a fresh Debian machine (12 or later) as root or with sudo: makes .venv, starts the embedded ZooKeeper
# and a broker, creates a topic with two partitions, and walks through the documented workflow on them.
# Ends what it started; with --keep it leaves the servers up until Ctrl-C. Other arguments go to bin/walkthrough.sh.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/machine.sh"

keep=
[ "${1:-}" = --keep ] && { keep=1; shift; }

environment requirements.txt

home=$(mktemp -d)
running=()
finish() {
  local pid
  for pid in "${running[@]}"; do
    kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
  done
  rm -rf "$home" "$log"
}
trap finish EXIT
trap 'exit 130' INT TERM

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port NUMBER: that one, or another if somebody has it.
port() {
  if listens "$1"; then
    "$root/.venv/bin/python" -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])'
  else
    echo "$1"
  fi
}

# start NAME PORT COMMAND...: returns when the port answers.
start() {
  local name=$1 port=$2 pid
  shift 2
  printf 'Starting %s on 127.0.0.1:%s ' "$name" "$port"
  "$@" >"$home/$name.log" 2>&1 </dev/null &
  pid=$!
  running=("$pid" "${running[@]}")
  until listens "$port"; do
    kill -0 "$pid" 2>/dev/null || { echo "failed"; tail -n 20 "$home/$name.log" >&2; exit 1; }
    printf .
    sleep 0.2
  done
  echo " done"
}

zookeeper=$(port 2181)
broker=$(port 9092)
start zookeeper "$zookeeper" "$root/bin/zookeeper-server-start.sh" "$root/config/zookeeper.properties" \
  --override "clientPort=$zookeeper" --override "dataDir=$home/zookeeper"
start broker "$broker" "$root/bin/kafka-server-start.sh" "$root/config/server.properties" \
  --override "listeners=PLAINTEXT://127.0.0.1:$broker" --override "log.dirs=$home/kafka-logs" \
  --override "zookeeper.connect=127.0.0.1:$zookeeper"
"$root/bin/kafka-topics.sh" --bootstrap-server "127.0.0.1:$broker" --create --topic quickstart --partitions 2
"$root/bin/walkthrough.sh" --bootstrap-server "127.0.0.1:$broker" --zookeeper "127.0.0.1:$zookeeper" "$@"

if [ -n "$keep" ]; then
  echo "The broker answers on 127.0.0.1:$broker, ZooKeeper on 127.0.0.1:$zookeeper; Ctrl-C ends them."
  wait
fi
