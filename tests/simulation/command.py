"""The command line."""

from __future__ import annotations

import argparse
import gc
import signal
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from tests.simulation.mutants import MUTANTS, broken
from tests.simulation.options import FAULTS, Options, draw
from tests.simulation.run import Run
from tests.simulation.situations import SITUATIONS
from tests.simulation.world import Violation

HANGS_S = 60.0  # processor time after which a run hangs
ENOUGH = 300  # seeds that must meet every situation
SEEDS = Path(__file__).with_name("seeds.txt")


class Totals:
    """What several runs have come to."""

    def __init__(self) -> None:
        self.runs = self.failed = self.events = 0
        self.simulated_s = 0.0
        self.met: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()


def attempt(options: Options, totals: Totals, trace: bool = False) -> Violation | None:
    """One run; what it violated."""
    run = Run(options, print if trace else None)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_S)
    try:
        run.run()
    except Violation as violation:
        totals.failed += 1
        # Another one, for a traceback would keep all of the run.
        return Violation(violation.name, f"{violation.detail}\n  at {run.world.now:.6f} s, event {run.world.events}")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        totals.runs += 1
        totals.events += run.world.events
        totals.simulated_s += run.world.now
        totals.met.update(run.world.met)
        totals.faults.update(run.nemesis.done)
        del run
        gc.collect()
    return None


def _hangs(number: int, frame: Any) -> None:
    raise Violation("TimePasses", "this event never ends:\n" + "".join(traceback.format_stack(frame, 20)))


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, help="how many (default 100)")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first one; 0: whatever the clock says")
    parser.add_argument("--for", dest="seconds", type=float, help="as many as there is time for, in seconds")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--known", action="store_true", help="those of seeds.txt")
    parser.add_argument("--trace", action="store_true", help="tell what happens")
    parser.add_argument("--without", default="", help="kinds of faults that do not happen, with commas")
    parser.add_argument("--time", type=float, default=1.0, help="how much of the time of faults")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    parser.add_argument("--shrink", action="store_true", help="look for the smallest run that fails like --seed")
    parser.add_argument(
        "--mutant", choices=[*MUTANTS, "all"], help="break a rule; stop at the first seed that finds it"
    )
    parser.add_argument("--situations", action="store_true", help="show what was met")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGVTALRM, _hangs)
    without = frozenset(filter(None, given.without.split(",")))
    if given.mutant and given.seed is None:
        names = list(MUTANTS) if given.mutant == "all" else [given.mutant]
        return sum(not hunt(name, given.first, given.seeds or 2000) for name in names)
    if given.shrink:
        return shrink(given.seed, without, given.time)
    with broken(given.mutant):
        return _run(given, without)


def _seeds(given: argparse.Namespace) -> Any:
    if given.seed is not None:
        return [given.seed]
    if given.known:
        return known_seeds()
    first = given.first or int(time.time()) * 1000
    if given.seconds is not None and given.seeds is None:
        return range(first, first + 10**9)
    return range(first, first + (given.seeds or 100))


def known_seeds() -> list[int]:
    """The seeds that failed once."""
    lines = [line.partition("#")[0].split() for line in SEEDS.read_text().splitlines()]
    return [int(line[0]) for line in lines if line]


def _run(given: argparse.Namespace, without: frozenset[str]) -> int:
    totals = Totals()
    began = time.monotonic()
    for seed in _seeds(given):
        if given.seconds is not None and time.monotonic() - began > given.seconds:
            break
        options = draw(seed, without, given.time)
        if given.trace:
            print(options.describe())
        violation = attempt(options, totals, given.trace)
        if violation is not None:
            print(f"seed {seed}: {violation}: {options.describe()}", flush=True)
            if not given.keep_going:
                break
    took = time.monotonic() - began
    print(
        f"{totals.runs} seeds, {totals.failed} failed; {totals.events} events, {totals.simulated_s:.0f} simulated "
        f"seconds in {took:.1f} s: {totals.events / max(took, 1e-9):.0f} events/s"
    )
    missing = [name for name in SITUATIONS if not totals.met[name]]
    if given.situations or given.trace:
        print(f"faults: {dict(totals.faults.most_common())}")
        print("\n".join(f"{totals.met[name]:8} {name}: {what}" for name, what in SITUATIONS.items()))
    if missing and totals.runs >= ENOUGH and not without:
        print(f"these seeds never met: {', '.join(missing)}")
        return 1
    return 1 if totals.failed else 0


def hunt(name: str, first: int = 1, seeds: int = 2000) -> bool:
    """Whether some seed finds the mutant."""
    began = time.process_time()
    totals = Totals()
    with broken(name):
        for seed in range(first, first + seeds):
            violation = attempt(draw(seed), totals)
            if violation is not None:
                took = time.process_time() - began
                what = str(violation).splitlines()[0][:150]
                print(f"{name}: seed {seed}, the {totals.runs}., {took:.1f} s: {what}", flush=True)
                return True
    print(f"{name}: NOT FOUND by {totals.runs} seeds", flush=True)
    return False


def shrink(seed: int, without: frozenset[str], factor: float) -> int:
    """Takes kinds of faults away, then time, for as long as the run still fails in the same way."""
    totals = Totals()
    violation = attempt(draw(seed, without, factor), totals)
    if violation is None:
        print(f"seed {seed} does not fail")
        return 1
    name = violation.name
    for fault in FAULTS:
        if fault in draw(seed, without).faults:
            fewer = attempt(draw(seed, without | {fault}, factor), totals)
            if fewer is not None and fewer.name == name:
                without, violation = without | {fault}, fewer
    while factor > 0.01:
        shorter = attempt(draw(seed, without, factor / 2), totals)
        if shorter is None or shorter.name != name:
            break
        factor, violation = factor / 2, shorter
    print(f"{violation}\n{draw(seed, without, factor).describe()}")
    print(f"python -m tests.simulation --seed {seed} --without {','.join(sorted(without))} --time {factor} --trace")
    return 0
