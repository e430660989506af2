"""What a scenario leaves for the reader: timelines, histories, logs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure

from fixtures.tables import as_text
from signoff import latency_plots, plots
from signoff.allure_bridge import attach_file, attach_text
from signoff.plots import Event, Point, Window


class Clients(Protocol):
    """The clients of a scenario, as the availability probe keeps them."""

    targets: list[Any]
    marks: list[tuple[str, float]]
    events: list[tuple[str, float]]
    windows: list[tuple[str, float, float | None]]
    file: Path

    def samples(self, target: str) -> list[Any]:
        """Return what was recorded of one target."""


def attach_clients(
    scenario: str, folder: Path, clients: Clients, phases_seen: Sequence[Mapping[str, object]] = ()
) -> None:
    """Attach the timeline that the clients saw, their raw samples, and results by phase (rows)."""
    phases = dict(clients.marks)
    points = {
        target.name: [Point(s.due, s.latency, s.ok) for s in clients.samples(target.name)]
        for target in clients.targets
    }
    last = max((p.at for series in points.values() for p in series), default=phases["steady"])
    windows = [
        Window(name, start, last if end is None else end) for name, start, end in clients.windows
    ]
    if "fault" in phases and not windows:
        windows.append(Window("fault", phases["fault"], phases.get("recovery", last)))
    events = [Event(name, at) for name, at in clients.events]
    origin = min((window.start for window in windows), default=phases["steady"])
    figure = plots.timeline(scenario, points, windows, events, origin=origin)
    place = folder / "evidence"
    stem = _stem(scenario)
    attach_file(_drawn(figure, place, stem), "What clients saw")
    shutil.copyfile(clients.file, place / f"{stem}.samples.jsonl")
    attach_file(place / f"{stem}.samples.jsonl", "Every request")
    if phases_seen:
        attach_text(as_text(phases_seen), "By phase")


class Load(Protocol):
    """The load generator of a scenario; `page` is Locust's own report."""

    marks: list[tuple[str, float]]
    events: list[tuple[str, float]]
    windows: list[tuple[str, float, float | None]]
    page: Path

    def all_samples(self) -> list[Any]:
        """Return what was recorded of every request."""

    def merged(self) -> Path:
        """Return one file with all that was recorded."""


def attach_load(
    scenario: str,
    folder: Path,
    load: Load,
    rows: Sequence[Mapping[str, object]],
    *,
    limit: float | None,
) -> None:
    """Attach latencies, throughput and errors over time, results (rows), requests, Locust's page.

    `limit` (s) is drawn; `folder` is the run's.
    """
    samples = load.all_samples()
    points = [Point(s.due, s.latency, s.ok) for s in samples]
    failures: dict[str, list[float]] = {}
    for sample in samples:
        if not sample.ok:
            failures.setdefault(" / ".join(sorted(set(sample.entries.values()))), []).append(
                sample.due
            )
    first, last = (points[0].at, points[-1].at) if points else (load.marks[0][1],) * 2
    windows = [
        Window(name, start, last if end is None else end) for name, start, end in load.windows
    ]
    origin = min((window.start for window in windows), default=first)
    figure = latency_plots.load_figure(
        scenario,
        points,
        failures,
        windows,
        [Event(name, at) for name, at in load.events],
        origin=origin,
        limit=limit,
    )
    place = folder / "evidence"
    stem = f"{_stem(scenario)}.load"
    attach_file(_drawn(figure, place, stem), "The load, and how it was answered")
    if rows:
        attach_text(as_text(rows), "Response times by route")
    # For a program, not for a reader: it stays in the run's folder.
    shutil.copyfile(load.merged(), place / f"{stem}.msgpack")
    if load.page.exists():
        shutil.copyfile(load.page, place / f"{stem}.locust.html")
        attach_file(place / f"{stem}.locust.html", "Locust's own page")


def _drawn(figure: Figure, place: Path, stem: str) -> Path:
    """Save a figure as SVG and PNG; return the PNG."""
    place.mkdir(exist_ok=True)
    (place / f"{stem}.svg").write_text(plots.as_svg(figure), encoding="utf-8")
    (place / f"{stem}.png").write_bytes(plots.as_png(figure))
    return place / f"{stem}.png"


def load_picture(scenario: str) -> str:
    """Return where the picture of the scenario's load will be, relative to the run's folder."""
    return f"evidence/{_stem(scenario)}.load.png"


def timeline_name(scenario: str) -> str:
    """Return where the scenario's timeline will be, relative to the run's folder."""
    return f"evidence/{_stem(scenario)}.png"


def _stem(scenario: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", scenario.lower()).strip("-")


def attach_story(tell: Callable[[], str], name: str) -> None:
    """Attach what `tell` says; that it cannot say anything is told too."""
    try:
        text = tell()
    except Exception as error:  # noqa: BLE001 - evidence must not hide the failure it explains
        text = f"(not available: {type(error).__name__}: {error})"
    attach_text(text, name)
