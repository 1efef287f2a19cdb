# Sourced by bin/test.sh --docker, after bin/machine.sh: a container engine. One that answers is used as it is; else
# Debian's is installed and, where no service manager starts it, started here and ended when the script ends.

engine_answers() { docker version >/dev/null 2>&1; }

# engine_cli: Debian 13 has the client in a package of its own.
engine_cli() { apt-cache show docker-cli >/dev/null 2>&1 && echo docker-cli || true; }

if ! engine_answers; then
  packages docker.io docker-compose iptables
  packages $(engine_cli)
fi
if ! docker compose version >/dev/null 2>&1 && ! command -v docker-compose >/dev/null; then
  packages docker-compose
fi
if ! engine_answers && [ -d /run/systemd/system ]; then
  step "Starting the container engine" $([ "$(id -u)" = 0 ] || echo sudo) systemctl start docker
fi
if ! engine_answers; then
  if [ "$(id -u)" != 0 ]; then
    echo "No container engine answers to you: start one, or join its group (usermod -aG docker $USER), or be root." >&2
    exit 1
  fi
  mkdir -p "$root/build"
  dockerd >"$root/build/dockerd.log" 2>&1 </dev/null &
  engine=$!

  trap 'rm -f "$log"; kill "$engine" 2>/dev/null && wait "$engine" || true' EXIT
  trap 'exit 130' INT TERM
  printf 'Starting the container engine '
  for _ in $(seq 60); do
    engine_answers && break
    kill -0 "$engine" 2>/dev/null || break
    printf .
    sleep 1
  done
  if engine_answers; then
    echo " done"
  else
    echo " failed"
    tail -n 20 "$root/build/dockerd.log" >&2
    echo "Without an engine the tests with containers are skipped." >&2
  fi
fi
