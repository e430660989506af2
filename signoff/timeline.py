"""`python -m signoff.timeline JOURNAL`: draw a drill's timeline from its journal alone."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fixtures import progress
from fixtures.errors import CutoverError
from signoff import plots
from signoff.plots import Event, Point, Window


def read(path: Path) -> list[dict[str, Any]]:
    """Return the journal's lines; one that a kill cut off at the end is left out.

    Raises `CutoverError` naming file and line for damage elsewhere.
    """
    try:
        whole, _, _ = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    except OSError as error:
        raise CutoverError(
            f"cannot be read ({error.strerror})", where=str(path), remedy="Name a drill's journal."
        ) from error
    lines = []
    for number, text in enumerate(whole.splitlines(), 1):
        try:
            line = json.loads(text)
            if not isinstance(line["kind"], str) or (number == 1) != (line["kind"] == "drill"):
                raise KeyError("kind")
            lines.append(line)
        except (ValueError, KeyError, TypeError) as error:
            raise CutoverError(
                "is no line of a drill's journal", where=f"{path}, line {number}"
            ) from error
    if not lines:
        raise CutoverError("is empty", where=str(path), remedy="Name a drill's journal.")
    return lines


def figure(lines: Sequence[Mapping[str, Any]]) -> Figure:
    """Return the drill's timeline: every request, the faults' windows, abortion and end."""
    points: dict[str, list[Point]] = {}
    faults: dict[str, Window] = {}
    events = []
    last = max(float(line.get("at", line.get("due", 0.0))) for line in lines)
    for line in lines:
        match line["kind"], line.get("action"):
            case "request", _:
                point = Point(line["due"], line["latency"], line["ok"])
                points.setdefault(line["target"], []).append(point)
            case "action", "inject":
                faults[line["id"]] = Window(line["fault"], line["at"], last)
            case "action", "heal" if line["id"] in faults:
                begun = faults[line["id"]]
                faults[line["id"]] = Window(begun.name, begun.start, line["at"])
            case "action", "abort":
                events.append(Event(f"aborted: {line['proof']}", line["at"]))
            case "end", _:
                events.append(Event(str(line["verdict"]), line["at"]))
    first = lines[0]
    seed = "" if first.get("seed") is None else f", seed {first['seed']}"
    windows = sorted(faults.values(), key=lambda window: window.start)
    origin = windows[0].start if windows else float(first["at"])
    return plots.timeline(f"{first['name']}{seed}", points, windows, events, origin=origin)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m signoff.timeline", description=__doc__)
    parser.add_argument("journal", type=Path, help="journal.jsonl of a drill")
    parser.add_argument(
        "-o", "--output", type=Path, help="FILE.png or FILE.svg (default: beside the journal)"
    )
    options = parser.parse_args(arguments)
    output = options.output or options.journal.with_name("timeline.png")
    try:
        if output.suffix not in (".png", ".svg"):
            raise CutoverError(
                "must end with .png or .svg", where=f"--output {output}", remedy="Rename it."
            )
        drawn = figure(read(options.journal))
        if output.suffix == ".svg":
            output.write_text(plots.as_svg(drawn), encoding="utf-8")
        else:
            output.write_bytes(plots.as_png(drawn))
    except (CutoverError, OSError) as error:
        progress.say(f"error: {error}")
        return 2
    print(output)  # noqa: T201 - the command's output
    return 0


if __name__ == "__main__":
    sys.exit(main())
