"""The closing table of criteria in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from signoff.measurement import Verdict
from signoff.summary import Signoff, limit, measured

_COLOURS: dict[str, str] = {
    Verdict.MET: "green",
    Verdict.MISSED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.UNPROVEN: "cyan",
}


def write(reporter: Any, signoff: Signoff, folder: Path) -> None:
    """Print every criterion with its verdict, the observations, and READY or NOT READY."""
    reporter.section(f"sign-off of {signoff.cluster}", sep="=")
    scenario = ""
    for m in signoff.measurements:
        if m.scenario != scenario:
            scenario = m.scenario
            reporter.write_line(f"{m.feature}: {scenario}", bold=True)
        reporter.write(f"  {m.verdict:<13}", **{_COLOURS[m.verdict]: True})
        reporter.write_line(f"{m.criterion:<46} {measured(m):>18}  {limit(m):<14} n={m.n}")
        if m.verdict is not Verdict.MET:
            cause = f"{m.cause.words}: " if m.cause else ""
            reporter.write_line(f"               {cause}{m.reason}")
    if signoff.observations:
        reporter.write_line("also measured", bold=True)
        for o in signoff.observations:
            value = f"{o['value']:.2f} ± {o['error']:.2f} {o['unit']}"
            reporter.write_line(f"  {'':<13}{o['name']:<46} {value:>18}  {o['scenario']}")
    for drill in signoff.drills:
        reporter.write_line(f"drill {drill['name']}, again: {drill['replay']}")
    for note in signoff.notes:
        reporter.write_line(f"note: {note}")
    if signoff.complete:
        reporter.write_line("the plan", bold=True)
        for j in signoff.plan:
            reporter.write(f"  {j.verdict:<13}", **{_COLOURS.get(j.verdict, "red"): True})
            reporter.write_line(f"{j.line.line}  {j.reason}")
    reporter.write_line("")
    colour = "green" if signoff.ready else "red"
    reporter.write_line(f"{signoff.cluster}: {signoff.headline}", bold=True, **{colour: True})
    reporter.write_line(f"sign-off: {folder / 'signoff.md'}")
