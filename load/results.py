"""What requests show: percentiles by route and phase, response times with their error. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from load.percentiles import Quantile, percentile, quantile
from load.phases import Phase
from load.samples import NOT_AWAITED, Sample

RANKS: Final = (50.0, 90.0, 95.0, 99.0, 99.9)
ALL_ROUTES: Final = "all routes"


@dataclass(frozen=True, slots=True)
class Result:
    """What `n` requests to a route in a phase showed; `failed` of them were not answered rightly.

    `percentiles` (rank → seconds from due) and `longest` are those of the good answers, None where
    there was none: read them beside `failed`. `rate` is in requests a second.
    """

    route: str
    phase: str
    n: int
    failed: int
    rate: float
    percentiles: dict[float, float | None]
    longest: float | None

    def row(self) -> dict[str, str]:
        """Return it for a table, times in milliseconds."""

        def shown(seconds: float | None) -> str:
            return "-" if seconds is None else f"{1000 * seconds:.1f}"

        return {
            "route": self.route,
            "phase": self.phase,
            "requests": str(self.n),
            "a second": f"{self.rate:.1f}",
            "failed": str(self.failed),
            **{f"p{rank:g} ms": shown(value) for rank, value in self.percentiles.items()},
            "max ms": shown(self.longest),
        }


def result(route: str, phase: Phase, samples: Iterable[Sample]) -> Result:
    """Return what the samples due within `phase` showed."""
    within = [s for s in samples if phase.start <= s.due < phase.end]
    good = [s.latency for s in within if s.ok]
    seconds = phase.end - phase.start
    return Result(
        route,
        phase.name,
        len(within),
        len(within) - len(good),
        len(within) / seconds if seconds > 0 else 0.0,
        {rank: percentile(good, rank) if good else None for rank in RANKS},
        max(good, default=None),
    )


def results(samples: Sequence[Sample], phases: Sequence[Phase]) -> list[Result]:
    """Return a result for all routes and for each, phase by phase; phases without any are left out.

    The whole run is a phase of its own where there are several.
    """
    if not samples:
        return []
    routes = sorted({sample.target for sample in samples})
    whole = [Phase("whole run", samples[0].due, math.nextafter(samples[-1].due, math.inf))]
    found = []
    for phase in phases if len(phases) == 1 else [*phases, *whole]:
        found.append(result(ALL_ROUTES, phase, samples))
        if len(routes) > 1:
            found += [
                result(route, phase, [s for s in samples if s.target == route]) for route in routes
            ]
    return [r for r in found if r.n]


def response_time(samples: Sequence[Sample], rank: float, timeout: float) -> Quantile:
    """Return the `rank`-th percentile of the response time, in seconds, with its error.

    Of every request: each lies between the time since it was sent and the time since it was due.
    One that failed counts as `timeout` (s), however quickly it was refused: it was never answered.
    Raises `ValueError` for no samples.
    """
    least = [s.ended - s.started if s.ok else timeout for s in samples]
    most = [s.latency if s.ok else max(timeout, s.latency) for s in samples]
    return quantile(least, most, rank)


def failures(samples: Iterable[Sample]) -> list[str]:
    """Return what was wrong with requests that failed, each kind once with its number."""
    kinds = Counter(
        (s.target, " / ".join(sorted(set(s.entries.values()) - {NOT_AWAITED})))
        for s in samples
        if not s.ok
    )
    return [f"{route}: {count} x {kind}" for (route, kind), count in kinds.most_common()]
