"""Many seeds: one after the other, in as many processes as there are to be, until there are enough or it takes long."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.simulation.mutants import broken
from tests.simulation.options import Options, draw
from tests.simulation.run import Run
from tests.simulation.world import Violation

HANGS_S = 60.0  # processor time after which a run hangs
FORK = multiprocessing.get_context("fork")


class Plan(NamedTuple):
    """What is to be run."""

    seeds: Sequence[int]
    seconds: float | None = None
    without: frozenset[str] = frozenset()
    time_factor: float = 1.0
    mutant: str | None = None
    keep_going: bool = False
    trace: bool = False
    jobs: int = 1


class Totals:
    """What several runs have come to."""

    def __init__(self) -> None:
        self.runs = self.events = 0
        self.failed: dict[int, str] = {}
        self.last = 0
        self.simulated_s = 0.0
        self.met: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def add(self, other: Totals) -> None:
        """Adds the results of another process."""
        self.runs += other.runs
        self.events += other.events
        self.failed |= other.failed
        self.last = max(self.last, other.last)
        self.simulated_s += other.simulated_s
        self.met.update(other.met)
        self.faults.update(other.faults)


def prepare() -> None:
    """Prepares the process once, before the first run."""
    signal.signal(signal.SIGVTALRM, _hangs)
    gc.collect()
    gc.freeze()  # what is there by now need not be looked at after each run


def attempt(options: Options, totals: Totals, trace: bool = False) -> Violation | None:
    """Runs one seed; gives the violation, or None."""
    run = Run(options, print if trace else None)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS_S)
    try:
        run.run()
    except Violation as violation:
        totals.failed[options.seed] = violation.name
        # The violation is made anew, for its traceback would keep the whole run in memory.
        return Violation(violation.name, f"{violation.detail}\n  at {run.world.now:.6f} s, event {run.world.events}")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        totals.runs += 1
        totals.last = max(totals.last, options.seed)
        totals.events += run.world.events
        totals.simulated_s += run.world.now
        totals.met.update(run.world.met)
        totals.faults.update(run.nemesis.done)
        del run
        gc.collect()
    return None


def _hangs(number: int, frame: Any) -> None:
    raise Violation("TimePasses", "this event never ends:\n" + "".join(traceback.format_stack(frame, 20)))


def campaign(plan: Plan) -> Totals:
    """Runs all seeds. A failure is printed when it happens, and ends the campaign unless it is to go on; SIGTERM and
    SIGINT end it."""
    stop = FORK.RawValue("b", 0)

    def end(number: int, frame: Any) -> None:
        stop.value = 1

    before = [(each, signal.signal(each, end)) for each in (signal.SIGTERM, signal.SIGINT)]
    deadline = None if plan.seconds is None else time.monotonic() + plan.seconds
    totals = Totals()
    try:
        if plan.jobs == 1:
            return _share(plan, stop, deadline, 0)
        receivers = []
        for number in range(plan.jobs):
            receiver, sender = FORK.Pipe(duplex=False)
            process = FORK.Process(target=_send_share, args=(sender, plan, stop, deadline, number))
            process.start()
            sender.close()
            receivers.append((receiver, process))
        for receiver, process in receivers:
            totals.add(receiver.recv())
            process.join()
        return totals
    finally:
        for each, handler in before:
            signal.signal(each, handler)


def _send_share(sender: Any, *args: Any) -> None:
    sender.send(_share(*args))


def _share(plan: Plan, stop: Any, deadline: float | None, number: int) -> Totals:
    """What one process does of it."""
    totals = Totals()
    with broken(plan.mutant):
        for seed in plan.seeds[number :: plan.jobs]:
            if stop.value or (deadline is not None and time.monotonic() > deadline):
                break
            options = draw(seed, plan.without, plan.time_factor)
            if plan.trace:
                print(options.describe())
            violation = attempt(options, totals, plan.trace)
            if violation is not None:
                print(f"seed {seed}: {violation}: {options.describe()}\n  {replay(plan, seed)}", flush=True)
                if not plan.keep_going:
                    stop.value = 1
    return totals


def replay(plan: Plan, seed: int) -> str:
    """The command that does it again."""
    words = f"python -m tests.simulation --seed {seed} --trace"
    if plan.mutant:
        words += f" --mutant {plan.mutant}"
    if plan.without:
        words += f" --without {','.join(sorted(plan.without))}"
    return words + f" --time {plan.time_factor}" * (plan.time_factor != 1)


class Find(NamedTuple):
    """How a mutant was found, or that it was not."""

    mutant: str
    seeds: int  # how many it took
    seed: int | None = None
    what: str = ""
    cpu_s: float = 0.0

    def __str__(self) -> str:
        if self.seed is None:
            return f"{self.mutant}: NOT FOUND by {self.seeds} seeds"
        return f"{self.mutant}: seed {self.seed}, {self.seeds} seeds, {self.cpu_s:.1f} s: {self.what}"


def hunt(mutant: str, seeds: Sequence[int]) -> Find:
    """The first of these seeds that finds the mutant."""
    began = time.process_time()
    totals = Totals()
    with broken(mutant):
        for seed in seeds:
            violation = attempt(draw(seed), totals)
            if violation is not None:
                what = str(violation).splitlines()[0]
                return Find(mutant, totals.runs, seed, what, time.process_time() - began)
    return Find(mutant, totals.runs)


def shrink(plan: Plan) -> tuple[Plan, Violation] | None:
    """Takes kinds of faults away, then time, for as long as the run still fails in the same way."""
    (seed,) = plan.seeds
    totals = Totals()

    def fails(plan: Plan) -> Violation | None:
        found = attempt(draw(seed, plan.without, plan.time_factor), totals)
        return found if found is not None and (name is None or found.name == name) else None

    name: str | None = None
    with broken(plan.mutant):
        violation = fails(plan)
        if violation is None:
            return None
        name = violation.name
        for fault in sorted(draw(seed, plan.without).faults):
            fewer = plan._replace(without=plan.without | {fault})
            found = fails(fewer)
            if found is not None:
                plan, violation = fewer, found
        while plan.time_factor > 0.01:
            shorter = plan._replace(time_factor=plan.time_factor / 2)
            found = fails(shorter)
            if found is None:
                break
            plan, violation = shorter, found
    return plan, violation
