"""The availability timeline of a scenario, as SVG and PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

GOOD, BAD, FAULT = "#2b8a3e", "#c92a2a", "#ffe3e3"


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
    """Draw each target's requests over time; `origin` is the moment called 0 (seconds)."""
    with mpl.rc_context({"svg.fonttype": "path", "font.size": 9}):
        figure = Figure(figsize=(10, 1.4 + 1.5 * max(1, len(points))), layout="constrained")
        figure.suptitle(title)
        axes = figure.subplots(max(1, len(points)), 1, sharex=True, squeeze=False)[:, 0]
        for axis, (target, requests) in zip(axes, points.items(), strict=False):
            _draw(axis, target, requests, origin)
            for window in windows:
                axis.axvspan(window.start - origin, window.end - origin, color=FAULT, zorder=0)
            for event in events:
                axis.axvline(event.at - origin, color="#495057", linestyle=":", linewidth=1)
        _name(axes[0], windows, events, origin)
        axes[-1].set_xlabel("seconds since the fault" if windows else "seconds")
    return figure


def _draw(axis: Axes, target: str, requests: Sequence[Point], origin: float) -> None:
    for ok, colour, label in ((True, GOOD, "good"), (False, BAD, "bad")):
        chosen = [point for point in requests if point.ok is ok]
        axis.scatter(
            [point.at - origin for point in chosen],
            [point.latency * 1000 for point in chosen],
            s=5,
            color=colour,
            label=f"{label} ({len(chosen)})",
        )
    axis.set_ylabel(f"{target}\nlatency, ms")
    axis.set_yscale("log")
    axis.legend(loc="upper right", markerscale=2, fontsize=8)
    axis.grid(visible=True, alpha=0.3)


def _name(axis: Axes, windows: Sequence[Window], events: Sequence[Event], origin: float) -> None:
    """Write the names above the first strip, each on a line of its own where they would meet."""
    marks = [(event.at, event.name) for event in events] + [(w.start, w.name) for w in windows]
    for index, (at, name) in enumerate(sorted(marks)):
        axis.annotate(
            name,
            (at - origin, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 3 + 11 * (index % 3)),
            textcoords="offset points",
            fontsize=8,
        )


def as_svg(figure: Figure) -> str:
    """Return the figure as SVG text."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def as_png(figure: Figure) -> bytes:
    """Return the figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
