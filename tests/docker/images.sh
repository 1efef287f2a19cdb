#!/bin/bash
# Builds the broker's image, and sees to the images that docker-compose.yml names. What can be pulled is; where nothing
# can be, they are made here: the base by debootstrap from this machine's own mirror, and one with Apache ZooKeeper and
# Apache Kafka (standin/). What to use is then in build/docker.env:
#
#   tests/docker/images.sh && docker-compose --env-file build/docker.env up -d
#
# bin/test.sh --docker runs this.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/../../bin/machine.sh"
here=$root/tests/docker
kafka=${KAFKALIKE_KAFKA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/kafkalike/kafka-3.9.1}
built=$root/build/docker.env
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo

have() { docker image inspect "$1" >/dev/null 2>&1; }

# pulled NAME: whether it is here, or came.
pulled() { have "$1" || timeout 300 docker pull -q "$1" >"$log" 2>&1; }

# mirror CODENAME: where apt has that release from.
mirror() {
  apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $1" | head -n 1
}

# debian CODENAME NAME: the smallest Debian as an image. It trusts whom this machine trusts, and asks the package index
# that this machine asks: an image's build has no other way out than this machine has.
debian() {
  local tree
  tree=$($sudo mktemp -d)
  $sudo debootstrap --variant=minbase --include=ca-certificates "$1" "$tree" "$(mirror "$1")"
  $sudo cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
  {
    echo "[global]"
    echo "cert = /etc/ssl/certs/ca-certificates.crt"
    "$root/.venv/bin/python" -m pip config list | sed -n "s/^.*\.\(\(extra-\)\?index-url\)='\(.*\)'$/\1 = \3/p"
  } | $sudo tee "$tree/etc/pip.conf" >/dev/null
  $sudo rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* "$tree"/usr/share/{doc,man,locale}/*
  $sudo tar -C "$tree" -c . | docker import - "$2"
  $sudo rm -rf "$tree"
}

# build NAME DIRECTORY: with the base that was found.
build() { docker build -t "$1" --build-arg "BASE=$base" "$2"; }

standin() {
  local context
  context=$(mktemp -d)
  cp -r "$here/standin/." "$kafka/lib" "$context"
  build "$1" "$context"
  rm -rf "$context"
}

base=debian:bookworm-slim
if ! pulled "$base"; then
  base=kafkalike-test/debian
  if ! have "$base"; then
    packages debootstrap
    step "Making a Debian image" debian "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$base"
  fi
fi
zookeeper=zookeeper:3.8 apache=apache/kafka:3.9.1 standin=
pulled "$zookeeper" || zookeeper=kafkalike-test/standin standin=1
pulled "$apache" || apache=kafkalike-test/standin standin=1
if [ -n "$standin" ]; then
  [ -e "$kafka/ok" ] || { echo "Apache Kafka's jars are missing: bin/test.sh --docker fetches them first." >&2; exit 1; }
  step "Building an image with Apache ZooKeeper and Apache Kafka" standin kafkalike-test/standin
fi
step "Building the broker's image" build kafkalike-test/broker "$root"

mkdir -p "${built%/*}"
cat >"$built" <<END
BASE=$base
KAFKALIKE_IMAGE=kafkalike-test/broker
ZOOKEEPER_IMAGE=$zookeeper
APACHE_KAFKA_IMAGE=$apache
END
