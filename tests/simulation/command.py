"""The command line."""

from __future__ import annotations

import argparse
import gc
import signal
import time
import traceback
from typing import Any

from tests.simulation.options import draw
from tests.simulation.run import Run
from tests.simulation.world import Violation

HANGS_S = 120.0  # processor time after which a run hangs


def _hangs(number: int, frame: Any) -> None:
    raise Violation("TimePasses", "this event never ends:\n" + "".join(traceback.format_stack(frame, 20)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first one")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="tell what happens")
    parser.add_argument("--without", default="", help="kinds of faults that do not happen, with commas")
    parser.add_argument("--time", type=float, default=1.0, help="how much of the time of faults")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    given = parser.parse_args(arguments)
    without = frozenset(filter(None, given.without.split(",")))
    seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
    signal.signal(signal.SIGVTALRM, _hangs)
    failed = 0
    events, began = 0, time.perf_counter()
    simulated = 0.0
    for seed in seeds:
        options = draw(seed, without, given.time)
        if given.trace:
            print(options.describe())
        run = Run(options, print if given.trace else None)
        signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_S)
        try:
            run.run()
        except Violation as violation:
            failed += 1
            print(
                f"seed {seed}: {violation}\n  at {run.world.now:.6f} s, event {run.world.events}: {options.describe()}",
                flush=True,
            )
            if not given.keep_going:
                break
        finally:
            events += run.world.events
            simulated += run.world.now
        if given.trace:
            print(f"faults: {run.nemesis.done}; settled in {run.settled_s:.1f} s")
        del run
        gc.collect()
    took = time.perf_counter() - began
    print(f"{failed} failed; {events} events, {simulated:.0f} simulated seconds in {took:.1f} s: {events / took:.0f}/s")
    return 1 if failed else 0
