"""Query times over time, a panel for each server, and what is attached of a run of queries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from fixtures.tables import as_text
from signoff import plots
from signoff.allure_bridge import attach_file, attach_text
from signoff.evidence import timeline_name
from signoff.plots import BAD, Point

#: Of a panel's height, where failed queries stand: they have no latency.
_FAILED_AT = 0.95


def query_figure(title: str, points: Mapping[str, Mapping[str, Sequence[Point]]]) -> Figure:
    """Draw server → query → its answers; a failed one is a cross at the upper edge."""
    names = sorted({query for queries in points.values() for query in queries})
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 1 + 2.6 * max(1, len(points))), layout="constrained")
        figure.suptitle(title)
        axes = figure.subplots(max(1, len(points)), 1, sharex=True, sharey=True, squeeze=False)
        for axis, (server, queries) in zip(axes[:, 0], points.items(), strict=False):
            for query, answers in queries.items():
                _draw(axis, query, answers, f"C{names.index(query) % 10}")
            axis.set_ylabel(f"{server}\nlatency, ms")
            if any(point.ok for answers in queries.values() for point in answers):
                axis.set_yscale("log")
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.yaxis.set_minor_formatter(NullFormatter())
            axis.grid(visible=True, alpha=0.3)
            if queries:
                axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        axes[-1, 0].set_xlabel("seconds")
    return figure


def _draw(axis: Axes, query: str, answers: Sequence[Point], colour: str) -> None:
    good = [point for point in answers if point.ok]
    failed = [point.at for point in answers if not point.ok]
    axis.scatter(
        [point.at for point in good],
        [1000 * point.latency for point in good],
        s=5,
        color=colour,
        label=f"{query}, {len(failed)} failed" if failed else query,
    )
    if failed:
        axis.scatter(
            failed,
            [_FAILED_AT] * len(failed),
            s=14,
            marker="x",
            color=BAD,
            linewidths=1,
            transform=axis.get_xaxis_transform(),
        )


def picture_name(scenario: str) -> str:
    """Return where the picture will be, relative to the run's folder."""
    return str(PurePosixPath(timeline_name(scenario)).with_suffix(".queries.png"))


def attach_queries(
    scenario: str,
    folder: Path,
    points: Mapping[str, Mapping[str, Sequence[Point]]],
    rows: Sequence[Mapping[str, object]],
    story: str,
    answers: Sequence[Mapping[str, object]],
) -> None:
    """Attach picture, table (rows), story and every answer (as JSON lines) of a run of queries.

    `folder` is the run's.
    """
    picture = folder / picture_name(scenario)
    picture.parent.mkdir(exist_ok=True)
    figure = query_figure(scenario, points)
    picture.write_bytes(plots.as_png(figure))
    picture.with_suffix(".svg").write_text(plots.as_svg(figure), encoding="utf-8")
    raw = picture.with_suffix(".jsonl")
    raw.write_text("".join(json.dumps(dict(a)) + "\n" for a in answers), encoding="utf-8")
    attach_file(picture, "Query times")
    attach_file(raw, "Every query")
    if rows:
        attach_text(as_text(rows), "By server and query")
    attach_text(story, "How it was asked, and how the servers planned it")
