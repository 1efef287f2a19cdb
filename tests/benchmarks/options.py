"""The options of bin/bench.sh, read by any Python 3 before anything is installed: nothing here imports a package.

python3 tests/benchmarks/options.py OPTION ...   helps, refuses what is wrong, or says nothing
"""

import argparse
from pathlib import Path

DESCRIPTION = """\
Measures a broker on this machine beside Apache Kafka 3.9.1: throughput, latency, CPU time, memory.
What it needs and is missing is installed first (as root or with sudo).

The load comes from a process of its own (load.c, on librdkafka and raw sockets), because a client in Python or Java
would be the bottleneck. Ours and Apache's take turns, in alternating order; the table has medians, and the least and
the most in brackets. CPU is the broker processes' own. tests/benchmarks/README.md explains each row.
"""

# What --only may name: in the order of the table.
# fmt: off
LOADS = [
    "produce", "consume", "consume-old", "produce-small", "lz4", "zstd", "half-peak", "both", "both-flat-out",
    "pipelined", "one-at-a-time", "connections-1", "connections-50", "connections-1000", "partitions-100",
    "partitions-2000", "idle-consumers", "commits", "perf-test", "rf3", "rf3-pipelined", "rf3-one-at-a-time", "soak",
    "start", "stop", "killed", "start-1gb", "start-20gb", "start-2000", "stored", "leader-killed", "leader-stopped",
    "many-partitions",
]
# fmt: on


def read(arguments: "list[str] | None" = None) -> argparse.Namespace:
    """What was asked for; ends the program when that is help, or nonsense."""
    parser = argparse.ArgumentParser(
        prog="bench.sh",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="smaller loads, two runs of each: at most 10 minutes")
    parser.add_argument("--against", choices=["apache", "none"], default="apache", help="measure this broker too")
    parser.add_argument("--only", choices=LOADS, action="append", default=[], metavar="LOAD", help=", ".join(LOADS))
    parser.add_argument("--times", type=int, help="runs of each load (3; 2 with --quick)")
    parser.add_argument("--scale", type=float, help="size of the loads (1; 0.35 with --quick)")
    parser.add_argument("--short", action="store_true", help="print the medians only, as README has them")
    parser.add_argument("--minutes", type=float, help="nothing new begins after so many (80; 7.5 with --quick)")
    parser.add_argument("--json", type=Path, help="also every single value, to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    read()
