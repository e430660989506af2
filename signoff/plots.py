"""The availability timeline of a scenario, as SVG and PNG.

Each target has a strip that says good or bad, and a dot a request for its latency: a bad request
may be as quick as a good one (refused) or as slow as its timeout, so dots alone do not show it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

GOOD, BAD, MARK = "#2b8a3e", "#c92a2a", "#495057"
#: One a fault, in turn: faults may overlap, so they are drawn half transparent.
FAULTS = ("#ffc9c9", "#ffec99", "#d0bfff", "#a5d8ff", "#b2f2bb", "#fcc2d7")
_STRIP_BOTTOM = 0.93  # of an axis' height
_LEAST_SECONDS = 1e-4  # a logarithmic axis has no 0
# Of the names above: their size and distance in points; about what a character and the axis take.
_NAME_SIZE, _LINE_POINTS, _CHARACTER_EM, _AXIS_POINTS = 8, 11, 0.62, 570


@dataclass(frozen=True, slots=True)
class Point:
    """One request: when it was due, how long it took (seconds), whether it was good."""

    at: float
    latency: float
    ok: bool


@dataclass(frozen=True, slots=True)
class Window:
    """A shaded stretch of time."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Event:
    """A vertical mark."""

    name: str
    at: float


def timeline(
    title: str,
    points: Mapping[str, Sequence[Point]],
    windows: Sequence[Window],
    events: Sequence[Event],
    *,
    origin: float,
) -> Figure:
    """Draw each target's requests over time; `origin` is the moment called 0 (seconds).

    Text becomes paths, so that the picture looks the same where no font is.
    """
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 1.4 + 1.5 * max(1, len(points))), layout="constrained")
        figure.suptitle(title)
        axes = figure.subplots(max(1, len(points)), 1, sharex=True, squeeze=False)[:, 0]
        for axis, (target, requests) in zip(axes, points.items(), strict=False):
            ordered = sorted(requests, key=lambda point: point.at)
            _draw_latencies(axis, target, ordered, origin)
            _draw_strip(axis, ordered, origin)
            for number, window in enumerate(windows):
                shade(axis, window, FAULTS[number % len(FAULTS)], origin)
            for event in events:
                axis.axvline(event.at - origin, color=MARK, linestyle=":", linewidth=1)
        name_marks(axes[0], windows, events, origin)
        axes[-1].set_xlabel("seconds since the fault" if windows else "seconds")
    return figure


def shade(axis: Axes, window: Window, colour: str, origin: float) -> None:
    """Shade a fault's time; its beginning is a line, so that the shortest is seen too."""
    start, end = window.start - origin, window.end - origin
    axis.axvspan(start, end, color=colour, alpha=0.6, linewidth=0, zorder=0)
    axis.axvline(start, color=colour, linewidth=2, zorder=0)


def _draw_latencies(axis: Axes, target: str, requests: Sequence[Point], origin: float) -> None:
    for ok, colour, label in ((True, GOOD, "good"), (False, BAD, "bad")):
        chosen = [point for point in requests if point.ok is ok]
        axis.scatter(
            [point.at - origin for point in chosen],
            [max(point.latency, _LEAST_SECONDS) * 1000 for point in chosen],
            s=5,
            color=colour,
            label=f"{len(chosen)} {label}",
        )
    axis.set_ylabel(f"{target}\nlatency, ms")
    if requests:  # a logarithmic axis of nothing cannot be drawn
        axis.set_yscale("log")
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, markerscale=2, fontsize=8
    )
    axis.grid(visible=True, alpha=0.3)


def _draw_strip(axis: Axes, requests: Sequence[Point], origin: float) -> None:
    """Draw good and bad stretches along the upper edge, each up to the next request."""
    if not requests:
        return
    lowest, highest = axis.get_ylim()
    axis.set_ylim(lowest, highest * (highest / lowest) ** 0.12)  # room above the dots
    for ok, start, end in stretches(requests):
        axis.axvspan(
            start - origin,
            end - origin,
            ymin=_STRIP_BOTTOM,
            facecolor=GOOD if ok else BAD,
            # An outline as wide as a pixel: a single bad request in minutes has to be seen.
            edgecolor="none" if ok else BAD,
            linewidth=0 if ok else 1,
            zorder=2 if ok else 3,
        )


def stretches(requests: Sequence[Point]) -> list[tuple[bool, float, float]]:
    """Return runs of equal state as (good, start, end), from requests in order of time (seconds).

    A run lasts until the first request of the next one; the last until its last request.
    """
    runs = [(ok, next(run).at) for ok, run in groupby(requests, key=lambda point: point.ok)]
    ends = [start for _, start in runs[1:]] + [requests[-1].at] if requests else []
    return [(ok, start, end) for (ok, start), end in zip(runs, ends, strict=True)]


def name_marks(
    axis: Axes, windows: Sequence[Window], events: Sequence[Event], origin: float
) -> None:
    """Write the names above the first strip, each on a line of its own where they would meet."""
    marks = sorted(
        [(event.at, event.name) for event in events] + [(w.start, w.name) for w in windows]
    )
    first, last = axis.get_xlim()
    lines = lines_for(marks, (last - first) * _NAME_SIZE * _CHARACTER_EM / _AXIS_POINTS)
    for (at, name), line in zip(marks, lines, strict=True):
        axis.annotate(
            name,
            (at - origin, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 3 + _LINE_POINTS * line),
            textcoords="offset points",
            fontsize=_NAME_SIZE,
        )
    if isinstance(axis.figure, Figure):  # room for the lines, so that the dots lose none
        axis.figure.set_figheight(
            axis.figure.get_figheight() + max(lines, default=0) * _LINE_POINTS / 72
        )


def lines_for(marks: Sequence[tuple[float, str]], character: float) -> list[int]:
    """Return for each name, in order of time, the lowest line on which it meets no earlier one.

    `marks` are (seconds, name), `character` is the width of a character in seconds.
    """
    free_from: list[float] = []
    lines = []
    for at, name in marks:
        line = next((i for i, free in enumerate(free_from) if free <= at), len(free_from))
        free_from[line : line + 1] = [at + (len(name) + 2) * character]
        lines.append(line)
    return lines


def as_svg(figure: Figure) -> str:
    """Return the figure as SVG text, the same for the same figure."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "cutover"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def as_png(figure: Figure) -> bytes:
    """Return the figure as PNG, 1100 pixels wide."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
