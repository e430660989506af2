"""Acknowledgements over time with lost writes marked, and what is attached of a history."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fixtures.tables import as_text
from signoff import plots
from signoff.allure_bridge import attach_file, attach_text
from signoff.evidence import timeline_name
from signoff.plots import BAD, FAULTS, GOOD, MARK, Window

#: Seconds that a bar of the picture stands for.
BIN_SECONDS = 1.0
_SLOW = "#e8590c"


@dataclass(frozen=True, slots=True)
class Mark:
    """A write: when it ended (seconds), how long it took, and as what it counts.

    acknowledged, lost (acknowledged, and not there), unknown, or refused.
    """

    at: float
    latency: float
    kind: str


def write_figure(
    title: str, marks: Sequence[Mark], windows: Sequence[Window], *, origin: float
) -> Figure:
    """Draw how many writes of each kind ended in each second, and how long each took.

    `origin` is the moment called 0 (seconds).
    """
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 5.2), layout="constrained")
        figure.suptitle(title)
        counts, times = figure.subplots(2, 1, sharex=True)
        _draw_counts(counts, marks, origin)
        _draw_times(times, marks, origin)
        for axis in (counts, times):
            axis.grid(visible=True, alpha=0.3)
            for number, window in enumerate(windows):
                plots.shade(axis, window, FAULTS[number % len(FAULTS)], origin)
        plots.name_marks(counts, windows, [], origin)
        times.set_xlabel("seconds since the fault" if windows else "seconds")
    return figure


def _draw_counts(axis: Axes, marks: Sequence[Mark], origin: float) -> None:
    bottom: Counter[int] = Counter()
    for kind, colour in _COLOURS.items():
        seconds = Counter(
            math.floor((mark.at - origin) / BIN_SECONDS) for mark in marks if mark.kind == kind
        )
        if not seconds:
            continue
        places = sorted(seconds)
        axis.bar(
            [place * BIN_SECONDS for place in places],
            [seconds[place] / BIN_SECONDS for place in places],
            bottom=[bottom[place] / BIN_SECONDS for place in places],
            width=BIN_SECONDS,
            align="edge",
            color=colour,
            label=f"{sum(seconds.values())} {kind}",
        )
        bottom.update(seconds)
    axis.set_ylabel("writes a second")
    if marks:
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _draw_times(axis: Axes, marks: Sequence[Mark], origin: float) -> None:
    for kind, colour in _COLOURS.items():
        chosen = [mark for mark in marks if mark.kind == kind]
        axis.scatter(
            [mark.at - origin for mark in chosen],
            [1000 * max(mark.latency, 1e-4) for mark in chosen],
            s=24 if kind == "lost" else 5,
            marker="x" if kind == "lost" else "o",
            color=colour,
            zorder=3 if kind == "lost" else 2,
        )
    axis.set_ylabel("answered after, ms")
    if marks:
        axis.set_yscale("log")


_COLOURS: Mapping[str, str] = {
    "acknowledged": GOOD,
    "lost": BAD,
    "unknown": _SLOW,
    "refused": MARK,
}


def picture_name(scenario: str, number: int = 1) -> str:
    """Return where the picture of a scenario's writers will be, relative to the run's folder.

    A scenario may have writers several times; `number` says which.
    """
    which = f".{number}" if number > 1 else ""
    return str(PurePosixPath(timeline_name(scenario)).with_suffix(f"{which}.writes.png"))


def attach_writes(
    scenario: str,
    folder: Path,
    marks: Sequence[Mark],
    windows: Sequence[tuple[str, float, float | None]],
    rows: Sequence[Mapping[str, object]],
    history: Path,
    number: int = 1,
) -> None:
    """Attach picture, counts (rows) and the history itself; `folder` is the run's.

    `windows` are the faults: name, start, and end, None while in force; shown are those of the
    writers' time.
    """
    picture = folder / picture_name(scenario, number)
    picture.parent.mkdir(exist_ok=True)
    first = min((mark.at for mark in marks), default=0.0)
    last = max((mark.at for mark in marks), default=0.0)
    shown = [
        Window(name, start, last if end is None else end)
        for name, start, end in windows
        if start <= last and (end is None or end >= first)
    ]
    origin = min((window.start for window in shown), default=first)
    figure = write_figure(scenario, marks, shown, origin=origin)
    picture.write_bytes(plots.as_png(figure))
    picture.with_suffix(".svg").write_text(plots.as_svg(figure), encoding="utf-8")
    kept = picture.with_suffix(".history.jsonl")
    if history.exists():
        shutil.copyfile(history, kept)
        attach_file(kept, "The writers' history")
    attach_file(picture, "Acknowledged writes")
    if rows:
        attach_text(as_text(rows), "What became of the writes")
