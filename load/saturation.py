"""The highest rate that still keeps a limit, from a run whose rate rises level by level. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from load.percentiles import Quantile
from load.results import response_time
from load.samples import Sample
from load.validity import generator_objections, unsent

# The queue of the level before is worked off in the first part of each.
_SETTLING_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Level:
    """A rate (requests a second) and what it showed; `spoiled` says how the generator failed."""

    rate: float
    found: Quantile
    failed: int
    spoiled: str

    def keeps(self, limit: float) -> bool:
        """Whether the whole interval keeps `limit` (s)."""
        return not self.spoiled and self.found.value + self.found.error <= limit

    def breaks(self, limit: float) -> bool:
        """Whether the whole interval is beyond `limit` (s)."""
        return not self.spoiled and self.found.value - self.found.error > limit


@dataclass(frozen=True, slots=True)
class Saturation:
    """The highest level that keeps the limit; `rate` is 0 when not even the lowest does.

    `why_not_higher` says what ended it: the system, the generator, too wide an error, or the end of
    the schedule.
    """

    rate: float
    why_not_higher: str
    levels: Sequence[Level]

    @property
    def bounded_by_system(self) -> bool:
        """Whether it was the system that could not do more."""
        return self.why_not_higher.startswith("the system")


def level(
    rate: float, start: float, end: float, samples: Sequence[Sample], rank: float, timeout: float
) -> Level | None:
    """Judge the samples due in a level from `start` to `end` (seconds); None for too few."""
    begin = start + _SETTLING_SHARE * (end - start)
    within = [s for s in samples if begin <= s.due < end]
    if not within:
        return None
    spoiled = generator_objections([s.lag for s in within], end - begin, rate * (end - begin))
    spoiled += unsent(within)
    failed = sum(not s.ok for s in within)
    return Level(rate, response_time(within, rank, timeout), failed, "; ".join(spoiled))


def is_over(levels: Sequence[Level], limit: float) -> bool:
    """Whether two levels in a row did not surely keep `limit` (s): one may have met a hiccup."""
    return len(levels) > 1 and not any(each.keeps(limit) for each in levels[-2:])


def saturation(levels: Sequence[Level], limit: float) -> Saturation:
    """Return the highest rate that surely keeps `limit` (s), before two in a row that do not."""
    best, failing = 0.0, None
    for each in levels:
        if each.keeps(limit):
            best, failing = each.rate, None
        elif failing is None:
            failing = each
        else:
            break
    why = "the schedule ended there" if failing is None else _why_not(failing, limit)
    return Saturation(best, why, levels)


def _why_not(each: Level, limit: float) -> str:
    if each.spoiled:
        return f"the generator at {each.rate:.0f}/s: {each.spoiled}"
    who = "the system" if each.breaks(limit) else "not decided"
    shown = f"{1000 * each.found.value:.0f} ± {1000 * each.found.error:.0f} ms"
    return f"{who} at {each.rate:.0f}/s: {shown}, {each.failed} failed"
