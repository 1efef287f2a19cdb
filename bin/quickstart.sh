#!/bin/bash
# A first look, on a fresh Debian machine (12 or later) as root or with sudo: makes .venv, starts the embedded ZooKeeper
# and three brokers, creates a topic with two partitions of three replicas each, shows which broker leads what, and walks
# through the documented workflow on them.
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
  # The brokers before ZooKeeper, which each of them tells goodbye.
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

# launch NAME COMMAND...: starts it; its process id is pid.
launch() {
  local name=$1
  shift
  "$@" >"$home/$name.log" 2>&1 </dev/null &
  pid=$!
  running=("$pid" "${running[@]}")
}

# await NAME PORT PID: returns when the port answers.
await() {
  local name=$1 port=$2 pid=$3
  printf 'Starting %s on 127.0.0.1:%s ' "$name" "$port"
  until listens "$port"; do
    kill -0 "$pid" 2>/dev/null || { echo "failed"; tail -n 20 "$home/$name.log" >&2; exit 1; }
    printf .
    sleep 0.2
  done
  echo " done"
}

zookeeper=$(port 2181)
launch zookeeper "$root/bin/zookeeper-server-start.sh" "$root/config/zookeeper.properties" \
  --override "clientPort=$zookeeper" --override "dataDir=$home/zookeeper"
await zookeeper "$zookeeper" "$pid"

ports=()
pids=()
for id in 1 2 3; do
  port=$(port $((9091 + id)))
  launch "broker-$id" "$root/bin/kafka-server-start.sh" "$root/config/server.properties" \
    --override "broker.id=$id" --override "listeners=PLAINTEXT://127.0.0.1:$port" \
    --override "log.dirs=$home/kafka-logs-$id" --override "zookeeper.connect=127.0.0.1:$zookeeper" \
    --override default.replication.factor=3 --override min.insync.replicas=2 \
    --override offsets.topic.replication.factor=3 --override transaction.state.log.replication.factor=3 \
    --override transaction.state.log.min.isr=2
  ports+=("$port")
  pids+=("$pid")
done
for at in 0 1 2; do
  await "broker-$((at + 1))" "${ports[at]}" "${pids[at]}"
done
servers=$(printf ',127.0.0.1:%s' "${ports[@]}")
servers=${servers#,}

"$root/bin/kafka-topics.sh" --bootstrap-server "$servers" --create --topic quickstart --partitions 2 \
  --replication-factor 3
"$root/bin/kafka-topics.sh" --bootstrap-server "$servers" --describe --topic quickstart
"$root/bin/walkthrough.sh" --bootstrap-server "$servers" --zookeeper "127.0.0.1:$zookeeper" "$@"

if [ -n "$keep" ]; then
  echo "The brokers answer on $servers, ZooKeeper on 127.0.0.1:$zookeeper; Ctrl-C ends them."
  wait
fi
