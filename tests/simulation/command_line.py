"""The command line."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from tests.simulation import ledger
from tests.simulation.campaign import FORK, Plan, campaign, hunt, prepare, replay, shrink
from tests.simulation.mutants import MUTANTS
from tests.simulation.situations import SITUATIONS

ENOUGH = 200  # seeds that must meet every situation
SEEDS = Path(__file__).with_name("seeds.txt")


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, help="how many (default 100)")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first one")
    parser.add_argument(
        "--hunt", metavar="MINUTES", type=float,
        help="fresh seeds for this long, whatever fails; a line for LEDGER.md. After every big change",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--known", action="store_true", help="those of seeds.txt")
    parser.add_argument("--trace", action="store_true", help="tell what happens")
    parser.add_argument("--without", default="", help="kinds of faults that do not happen, with commas")
    parser.add_argument("--time", type=float, default=1.0, help="how much of the time of faults")
    parser.add_argument("--keep-going", action="store_true", help="go on after a failure")
    parser.add_argument("--shrink", action="store_true", help="look for the smallest run that fails like --seed")
    parser.add_argument(
        "--mutant", metavar="NAME", choices=[*MUTANTS, "all"],
        help="break a rule of mutants.py, or each in turn; stop at the first seed that finds it",
    )  # fmt: skip
    parser.add_argument("--situations", action="store_true", help="show what was met; all must be")
    parser.add_argument("--ledger", nargs="?", type=Path, const=ledger.FILE, help="add a line to LEDGER.md")
    parser.add_argument(
        "--report",
        nargs="?",
        type=Path,
        const=ledger.MUTANTS_FILE,
        help="write what was found of mutants to MUTANTS.md",
    )
    given = parser.parse_args(arguments)
    if given.hunt is not None:
        given.first, given.seeds = int(time.time()) * 1000, 10**9
        given.keep_going, given.ledger = True, given.ledger or ledger.FILE
    prepare()
    if given.mutant and given.seed is None:
        return _hunt_mutants(given)
    plan = Plan(
        _seeds(given), None if given.hunt is None else given.hunt * 60,
        frozenset(filter(None, given.without.split(","))), given.time, given.mutant,
        given.keep_going, given.trace, given.jobs,
    )  # fmt: skip
    return _shrink(plan) if given.shrink else _run(given, plan)


def _seeds(given: argparse.Namespace) -> Sequence[int]:
    if given.seed is not None:
        return [given.seed]
    if given.known:
        return known_seeds()
    return range(given.first, given.first + (given.seeds or 100))


def known_seeds() -> list[int]:
    """The seeds that failed once."""
    lines = [line.partition("#")[0].split() for line in SEEDS.read_text().splitlines()]
    return [int(line[0]) for line in lines if line]


def _run(given: argparse.Namespace, plan: Plan) -> int:
    at_commit = ledger.tested() if given.ledger else ""  # before, for a tree may change while this runs
    began = time.monotonic()
    totals = campaign(plan)
    took = time.monotonic() - began
    print(
        f"{totals.runs} seeds from {plan.seeds[0]}, {len(totals.failed)} failed; {totals.events} events, "
        f"{totals.simulated_s:.0f} simulated seconds in {took:.1f} s: {totals.events / max(took, 1e-9):.0f} events/s"
    )
    if given.situations or given.trace:
        print(f"faults: {dict(totals.faults.most_common())}")
        print("\n".join(f"{totals.met[name]:8} {name}: {what}" for name, what in SITUATIONS.items()))
    if given.ledger:
        ledger.append(totals, plan.seeds[0], at_commit, given.ledger)
    missing = [name for name in SITUATIONS if not totals.met[name]]
    if missing and given.situations and totals.runs >= ENOUGH and not plan.without:
        print(f"these seeds never met: {', '.join(missing)}")
        return 1
    return 1 if totals.failed else 0


def _hunt_mutants(given: argparse.Namespace) -> int:
    names = list(MUTANTS) if given.mutant == "all" else [given.mutant]
    seeds = range(given.first, given.first + (given.seeds or 2000))
    at_commit = ledger.tested() if given.report else ""
    escaped = 0
    with FORK.Pool(given.jobs) as pool:
        answers = [pool.apply_async(hunt, (name, seeds)) for name in names]
        for answer in answers:
            find = answer.get()
            print(find, flush=True)
            escaped += find.seed is None
            if given.report:
                ledger.report(find, at_commit, given.report)
    return 1 if escaped else 0


def _shrink(plan: Plan) -> int:
    found = shrink(plan)
    if found is None:
        print(f"seed {plan.seeds[0]} does not fail")
        return 1
    smallest, violation = found
    print(f"{violation}\n{replay(smallest, plan.seeds[0])}")
    return 0
