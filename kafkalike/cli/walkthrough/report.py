"""A step's report: collected while the step runs, then shown as text for 80 columns or as one line of JSON."""

from __future__ import annotations

import json
import sys
import textwrap
from dataclasses import dataclass, field
from typing import Any

WIDTH = 80
INDENT = 12


class NotHeld(Exception):
    """A step's "holds when" does not hold."""


@dataclass(slots=True)
class Report:
    """The report of one step. Its lists are in the order in which things happened."""

    name: str
    title: str
    why: str
    sent: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    znodes: list[str] = field(default_factory=list)
    log_bytes: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failure: str | None = None
    seconds: float = 0.0

    def as_json(self) -> str:
        """The report as one line of JSON."""
        names = ("sent", "seen", "znodes", "log_bytes", "measured", "held", "skipped", "why")
        found: dict[str, Any] = {"step": self.name, "title": self.title}
        found |= {name: getattr(self, name) for name in names}
        found |= {"seen": _whole(self.seen), "znodes": _whole(self.znodes)}
        found |= {"ok": self.failure is None, "failure": self.failure, "seconds": round(self.seconds, 3)}
        return json.dumps(found, ensure_ascii=False)

    def heading(self, colour: bool) -> str:
        """The text before a step: what is about to happen."""
        paint = _Paint(colour)
        lines = textwrap.wrap(f"{self.name}  {self.title}", WIDTH, subsequent_indent="    ")
        return "\n".join(paint.bold(line) for line in lines)

    def as_text(self, colour: bool) -> str:
        """The text after a step: lines of 80 columns at most, except for what must not be cut."""
        paint = _Paint(colour)
        lines = _block("sent", self.sent)
        lines += _block("seen", self.seen)
        lines += _block("znodes", self.znodes)
        lines += _block("log", self.log_bytes)
        lines += _block("measured", self.measured)
        lines += _block("holds", self.held)
        lines += _block("skipped", self.skipped)
        lines += _block("why", [self.why])
        if self.failure is None:
            outcome = "OK, except for what was skipped" if self.skipped else "OK"
            lines.append(f"    {paint.green(outcome)}  ({self.seconds:.1f} s)")
        else:
            lines += [paint.red(line) for line in _block("NOT OK", [self.failure])]
        return "\n".join(lines) + "\n"


def _whole(entries: list[str]) -> list[str]:
    """The entries for JSON: without the mark of lines that are never wrapped, and a znode with its data as one
    entry."""
    whole: list[str] = []
    begun = False
    for entry in entries:
        if entry.startswith("|    ") and whole:
            whole[-1] += ("" if begun and not whole[-1].endswith(" ->") else " ") + entry.removeprefix("|    ")
            begun = True
        else:
            whole.append(entry.removeprefix("|").strip())
            begun = False
    return whole


def _block(label: str, entries: list[str]) -> list[str]:
    """A labelled list. Long lines are wrapped; lines that begin with "|" are cut and never wrapped."""
    lines: list[str] = []
    for entry in entries:
        for part in entry.splitlines() or [""]:
            if part.startswith("|"):
                lines.append((" " * INDENT + "  " + part[1:].rstrip())[:WIDTH])
                continue
            room = {"initial_indent": " " * INDENT + "  ", "subsequent_indent": " " * INDENT + "    "}
            lines += textwrap.wrap(part, WIDTH, break_on_hyphens=False, **room) or [""]  # type: ignore[arg-type]
    if lines:
        lines[0] = f"    {label:<{INDENT - 4}}  " + lines[0].lstrip()
    return lines


class _Paint:
    """Colours the text, on a terminal only."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def _as(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.on else text

    def bold(self, text: str) -> str:
        return self._as("1", text)

    def green(self, text: str) -> str:
        return self._as("32", text)

    def red(self, text: str) -> str:
        return self._as("31", text)


def announce(report: Report, as_json: bool) -> None:
    """Shows the heading before a step runs, which may take some seconds."""
    if not as_json:
        print(report.heading(sys.stdout.isatty()), flush=True)


def show(report: Report, as_json: bool) -> None:
    """Shows the report after the step, at once."""
    if as_json:
        print(report.as_json(), flush=True)
    else:
        print(report.as_text(sys.stdout.isatty()), flush=True)


def summary(reports: list[Report], seconds: float) -> str:
    """The last line of the walk. It does not count a step of which a part was skipped among those that hold."""
    skipped = [report.name for report in reports if report.failure is None and report.skipped]
    failed = [report.name for report in reports if report.failure is not None]
    holds = len(reports) - len(skipped) - len(failed)
    parts = [f"{holds} of {len(reports)} steps hold"]
    if skipped:
        parts.append(f"{len(skipped)} skipped ({', '.join(skipped)})")
    if failed:
        parts.append(f"{failed[0]} does not hold")
    return f"{', '.join(parts)}, in {seconds:.0f} s."
