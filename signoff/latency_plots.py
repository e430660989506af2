"""The picture of a load: latency bands, throughput and errors over time, as one figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from signoff.plots import BAD, FAULTS, GOOD, MARK, Event, Point, Window, name_marks, shade

BANDS: Final = ((99, "#a5d8ff"), (95, "#4dabf7"), (50, "#1864ab"))
_MOST_SLICES: Final = 120
_LEAST_SLICE_SECONDS: Final = 1.0
_KINDS_NAMED: Final = 4


def load_figure(
    title: str,
    points: Sequence[Point],
    failures: Mapping[str, Sequence[float]],
    windows: Sequence[Window],
    events: Sequence[Event],
    *,
    origin: float,
    limit: float | None = None,
) -> Figure:
    """Draw requests (in any order) in slices of a second or more; `origin` is called 0 (seconds).

    `failures` maps what was wrong to when such requests were due; `limit` (s) is drawn as a line.
    Latencies are those of good answers, each slice's p50, p95 and p99; a slice without one is a
    gap.
    """
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 6), layout="constrained")
        figure.suptitle(title)
        axes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.5, 1))
        if points:
            edges = slices([point.at for point in points])
            _draw_bands(axes[0], points, edges, origin, limit)
            _draw_throughput(axes[1], points, edges, origin)
            _draw_failures(axes[2], failures, edges, origin)
        for axis in axes:
            axis.grid(visible=True, alpha=0.3)
            for number, window in enumerate(windows):
                shade(axis, window, FAULTS[number % len(FAULTS)], origin)
            for event in events:
                axis.axvline(event.at - origin, color=MARK, linestyle=":", linewidth=1)
        name_marks(axes[0], windows, events, origin)
        axes[-1].set_xlabel("seconds since the fault" if windows else "seconds")
    return figure


def slices(moments: Sequence[float]) -> NDArray[np.float64]:
    """Return the edges of equal slices that hold all `moments` (seconds)."""
    first, last = min(moments), max(moments)
    width = max(_LEAST_SLICE_SECONDS, (last - first) / _MOST_SLICES)
    count = int((last - first) / width) + 1
    # The quotient may be rounded down to just below a whole number, with the last moment outside.
    count += first + width * count <= last
    edges: NDArray[np.float64] = first + width * np.arange(count + 1, dtype=np.float64)
    return edges


def bands(points: Sequence[Point], edges: NDArray[np.float64]) -> dict[int, NDArray[np.float64]]:
    """Return rank → the percentile (s) of the good answers in each slice, not a number for none."""
    good = [point for point in points if point.ok]
    which = np.searchsorted(edges, [point.at for point in good], side="right") - 1
    latencies = np.array([point.latency for point in good])
    found = {rank: np.full(len(edges) - 1, np.nan) for rank, _ in BANDS}
    for number in np.unique(which):
        chosen = latencies[which == number]
        for rank, series in found.items():
            series[number] = np.percentile(chosen, rank, method="inverted_cdf")
    return found


def _draw_bands(
    axis: Axes,
    points: Sequence[Point],
    edges: NDArray[np.float64],
    origin: float,
    limit: float | None,
) -> None:
    middles = (edges[:-1] + edges[1:]) / 2 - origin
    found = bands(points, edges)
    floor = np.full(len(middles), 0.1)
    for rank, colour in BANDS:
        series = found[rank] * 1000
        axis.fill_between(middles, floor, series, color=colour, alpha=0.35, linewidth=0)
        axis.plot(middles, series, color=colour, linewidth=1.5, label=f"p{rank}")
    if limit is not None:
        axis.axhline(1000 * limit, color=BAD, linewidth=1, label=f"limit {1000 * limit:g} ms")
    axis.set_ylabel("latency of good\nanswers, ms")
    axis.set_yscale("log")
    seen = np.concatenate(list(found.values()))
    seen = seen[np.isfinite(seen)] * 1000
    if seen.size:
        highest = max(seen.max(), 1000 * limit if limit is not None else 0)
        axis.set_ylim(seen.min() / 1.5, highest * 1.5)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    _legend(axis)


def _draw_throughput(
    axis: Axes, points: Sequence[Point], edges: NDArray[np.float64], origin: float
) -> None:
    width = float(edges[1] - edges[0])
    for chosen, colour, label in (
        (points, MARK, "sent"),
        ([p for p in points if p.ok], GOOD, "good"),
    ):
        counted, _ = np.histogram([p.at for p in chosen], bins=edges)
        # The last slice is seldom whole: its rate would look like a drop.
        axis.stairs(
            counted[:-1] / width, edges[:-1] - origin, baseline=None, color=colour, label=label
        )
    axis.set_ylim(bottom=0)
    axis.set_ylabel("requests\na second")
    _legend(axis)


def _draw_failures(
    axis: Axes,
    failures: Mapping[str, Sequence[float]],
    edges: NDArray[np.float64],
    origin: float,
) -> None:
    most = Counter({kind: len(moments) for kind, moments in failures.items()}).most_common()
    named = [kind for kind, _ in most[:_KINDS_NAMED]]
    groups: dict[str, list[float]] = {kind: list(failures[kind]) for kind in named}
    others = [moment for kind, _ in most[_KINDS_NAMED:] for moment in failures[kind]]
    if others:
        groups["others"] = others
    if groups:
        colours: Any = mpl.colormaps["autumn"](np.linspace(0, 0.8, len(groups)))
        labels = [f"{len(moments)} x {kind[:40]}" for kind, moments in groups.items()]
        values = [np.array(moments) - origin for moments in groups.values()]
        axis.hist(values, bins=list(edges - origin), stacked=True, color=colours, label=labels)
        _legend(axis)
    else:
        axis.text(0.5, 0.5, "no request failed", transform=axis.transAxes, ha="center", color=GOOD)
        axis.set_ylim(0, 1)
    axis.set_ylabel("failed")


def _legend(axis: Axes) -> None:
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
