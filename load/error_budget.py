"""Availability over a stated window, of which a drill's downtime spends the error budget. Pure.

A drill of minutes with an outage for each server in it can never itself show 99 %. So the window is
stated, as in every objective: the drill's faults happen once in it, and what fails without a fault
goes on all the time.

    error budget     = window x (1 - target)
    downtime         = in the faults' phases + background share of the time x the rest of the window
    share spent      = downtime in the faults' phases / error budget
    of the time      = 1 - downtime / window
    of the requests  = 1 - (bad in the faults' phases + background share x the rest) / all of the
                       window, at the drill's rate
    of time slices   = the same, of slices of `SLICE_SECONDS` in which no request failed
    background share = bad / all, outside of the faults' phases

The error budget and the window are those of The Site Reliability Workbook, ch. 2 "Implementing
SLOs"; availability by time and by requests those of Site Reliability Engineering, ch. 3 "Embracing
Risk"; slices are what monitoring calls a time-slice or windows-based objective.

A fault's phase lasts from its injection to its undoing, and covers every outage that began in it to
its end. An outage that begins outside of all of them is background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from load.outages import Edge, Outage, outages
from load.samples import Sample

SLICE_SECONDS: Final = 1.0
#: Of the normal distribution: an interval that holds the true share 95 times in 100.
_Z: Final = 1.96
NEVER: Final = "not served again for good"


@dataclass(frozen=True, slots=True)
class Span:
    """A named stretch of the monotonic clock, in seconds: a fault from injection to undoing."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Downtime:
    """An outage: `seconds` ± `error` from `start` on, with `bad` failed requests.

    `fault` is the number of the fault that it is put down to, None for background. `open`: it was
    not over when the samples ended. `outlasted`: it was over only after its fault had been undone,
    so that a longer fault would have been a longer outage.
    """

    fault: int | None
    start: float
    seconds: float
    error: float
    bad: int
    open: bool = False
    outlasted: bool = False

    @property
    def end(self) -> float:
        """When it was over, or the samples were."""
        return self.start + self.seconds


@dataclass(frozen=True, slots=True)
class Figure:
    """A value ± error from `n` requests or slices; `reason` is set when it is bad for good."""

    value: float
    error: float
    n: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A figure that is reported without a limit: its name, and its value ± error in `unit`."""

    name: str
    value: float
    unit: str
    error: float
    n: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Things (requests or slices) in the faults' phases and outside, and the bad ones of them."""

    within: int
    bad_within: int
    outside: int
    bad_outside: int

    @property
    def n(self) -> int:
        """All of them."""
        return self.within + self.outside

    @property
    def good_share(self) -> float:
        """What the drill itself showed: the share (0 to 1) of good ones; 0 when there are none."""
        return 1 - (self.bad_within + self.bad_outside) / self.n if self.n else 0.0

    def over(self, total: float) -> Figure:
        """Return the share of good ones among `total` of which the phases' happen once.

        The error is that of the background share, from so few.
        """
        rest = total - self.within
        background = self.bad_outside / self.outside
        bad = self.bad_within + background * rest
        doubt = sampling_error(self.bad_outside, self.outside)
        return Figure(1 - bad / total, doubt * rest / total, self.n)


@dataclass(frozen=True)
class Spending:
    """What a drill spent of one route's error budget in `window` seconds.

    It was watched from `start` to `end` (monotonic seconds), `phase_seconds` of it in the phases of
    its `faults`. `downtimes` are all outages, in order.
    """

    window: float
    start: float
    end: float
    faults: Sequence[Span]
    phase_seconds: float
    downtimes: Sequence[Downtime]
    requests: Counts
    slices: Counts

    def objections(self, target: float) -> list[str]:
        """Return what makes it impossible to say that the window keeps `target` (0 to 1).

        An outage that ended with its fault shows how long the fault was, not how long a loss is.
        Whether that is too long already can be said all the same.
        """
        found = []
        watched = self.end - self.start
        if self.window < watched:
            found.append(f"the drill's {watched:.0f} s are more than the window's {self.window:g}")
        if not self.faults:
            found.append("nothing was broken")
        if not (self.requests.outside and self.slices.outside):
            found.append("nothing was asked outside of the faults: how much fails then is unknown")
        if found or self.of_time().value <= target:
            return found
        return [
            f"{self.faults[d.fault].name}: the outage was over only when that had been undone, "
            f"after {d.seconds:.0f} s: how long one is that lasts is unknown"
            for d in self.downtimes
            if d.fault is not None and d.outlasted
        ]

    def by_fault(self, number: int) -> Figure:
        """Return the seconds of downtime put down to a fault.

        When no request failed, the error is what may hide between two of them.
        """
        mine = [downtime for downtime in self.downtimes if downtime.fault == number]
        seconds, error = _sum(mine)
        if not mine and self.requests.n:
            error = (self.end - self.start) / self.requests.n
        return Figure(seconds, error, self.requests.n, NEVER if any(d.open for d in mine) else "")

    def by_all_faults(self) -> Figure:
        """Return the seconds of downtime put down to faults. One that did not end lasts on."""
        if (never := self._never_ended()) is not None:
            lasts = self.window - (never.start - self.start)
            return Figure(lasts, never.error, self.requests.n, NEVER)
        return Figure(*_sum([d for d in self.downtimes if d.fault is not None]), self.requests.n)

    def downtime(self) -> Figure:
        """Return the seconds of downtime in the window."""
        lost = self.by_all_faults()
        if lost.reason:
            return lost
        background, doubt = self._background()
        rest = self.window - self.phase_seconds
        return Figure(lost.value + background * rest, lost.error + doubt * rest, lost.n)

    def of_time(self) -> Figure:
        """Return the share of the window outside of downtime."""
        lost = self.downtime()
        value = 1 - lost.value / self.window
        return Figure(value, lost.error / self.window, lost.n, lost.reason)

    def of_requests(self) -> Figure:
        """Return the share of the window's requests that are good, at the drill's rate."""
        return self._over_window(self.requests)

    def of_slices(self) -> Figure:
        """Return the share of the window's slices in which no request fails."""
        return self._over_window(self.slices)

    def budget(self, target: float) -> float:
        """Return the seconds of downtime that `target` (0 to 1) leaves in the window."""
        return self.window * (1 - target)

    def spent(self, target: float) -> Figure:
        """Return the share of the error budget that the faults' outages spend, perhaps above 1."""
        lost, budget = self.by_all_faults(), self.budget(target)
        return Figure(lost.value / budget, lost.error / budget, lost.n, lost.reason)

    def least_window(self, target: float) -> float | None:
        """Return the seconds of the shortest window that keeps `target`; None if none does."""
        lost = self.by_all_faults()
        background = self._background()[0] if self.requests.outside else 0.0
        spare = 1 - target - background
        if spare <= 0 or lost.reason or not self.requests.outside:
            return None
        return max(self.phase_seconds, (lost.value - background * self.phase_seconds) / spare)

    def rows(self) -> list[dict[str, str]]:
        """Return a row an outage, for a report; seconds since the drill's first moment."""
        return [
            {
                "at s": f"{d.start - self.start:.1f}",
                "lasted s": f"{d.seconds:.2f} ± {d.error:.2f}",
                "requests failed": str(d.bad),
                "put down to": "background" if d.fault is None else self.faults[d.fault].name,
                "over": "never"
                if d.open
                else "after the fault was undone"
                if d.outlasted
                else "by itself",
            }
            for d in self.downtimes
        ]

    def notes(self, target: float) -> list[Note]:
        """Return what is worth telling beside the criteria, with `target` as the objective."""
        found = [
            Note(f"downtime by {fault.name}", lost.value, "s", lost.error, lost.n)
            for number, fault in enumerate(self.faults)
            for lost in [self.by_fault(number)]
        ]
        lost, spent, slices = self.by_all_faults(), self.spent(target), self.of_slices()
        requests, name = self.requests, f"{SLICE_SECONDS:g} s slices"
        return [
            *found,
            Note("downtime by all", lost.value, "s", lost.error, lost.n),
            Note("error budget", self.budget(target), "s", 0.0, 1),
            _percent("error budget spent by the outages", spent),
            _percent(
                "requests failed outside of the faults",
                Figure(
                    requests.bad_outside / requests.outside,
                    sampling_error(requests.bad_outside, requests.outside),
                    requests.outside,
                ),
            ),
            _percent(f"good {name} of the window", slices),
            _percent(
                "good requests in the drill itself", Figure(requests.good_share, 0, requests.n)
            ),
            _percent(
                f"good {name} in the drill itself",
                Figure(self.slices.good_share, 0, self.slices.n),
            ),
        ]

    def _over_window(self, counts: Counts) -> Figure:
        total = counts.n * self.window / (self.end - self.start)
        if (never := self._never_ended()) is not None:
            return Figure((never.start - self.start) / self.window, 0.0, counts.n, NEVER)
        return counts.over(total)

    def _never_ended(self) -> Downtime | None:
        return next((downtime for downtime in self.downtimes if downtime.open), None)

    def _background(self) -> tuple[float, float]:
        """Return the share of the time that is downtime without a fault, and its error."""
        outside = self.end - self.start - self.phase_seconds
        lost, error = _sum([d for d in self.downtimes if d.fault is None])
        doubt = sampling_error(self.requests.bad_outside, self.requests.outside)
        return lost / outside, error / outside + doubt


def spend(
    samples: Sequence[Sample], faults: Sequence[Span], *, start: float, window: float
) -> Spending:
    """Return what a drill that began at `start` (monotonic seconds) spent of one target's budget.

    `samples` are the target's, in order, from before `start` on; `faults` in order of their start.
    """
    end = max([start, *(sample.due for sample in samples)])
    downtimes = [
        _downtime(outage, faults, start, samples[-1].ended)
        for outage in outages(samples)
        if outage.end is None or outage.end.at > start
    ]
    phases = _phases(faults, downtimes, end)

    def within(moment: float) -> bool:
        return any(first <= moment <= last for first, last in phases)

    asked = [sample for sample in samples if sample.due >= start]
    slices = _slices(asked, start, end)
    return Spending(
        window=window,
        start=start,
        end=end,
        faults=faults,
        phase_seconds=math.fsum(last - first for first, last in phases),
        downtimes=downtimes,
        requests=_counts([(within(sample.due), sample.ok) for sample in asked]),
        slices=_counts(
            [
                (within(at) or within(at + SLICE_SECONDS), all(sample.ok for sample in found))
                for at, found in slices
            ]
        ),
    )


def sampling_error(bad: int, n: int) -> float:
    """Return by how much the true share may differ from `bad` of `n`, 95 times in 100 (Wilson).

    Also none of few may be bad: 0 of 900 leaves 0.4 %.
    """
    share, square = bad / n, _Z * _Z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _Z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(middle + half - share, share - (middle - half))


def _percent(name: str, share: Figure) -> Note:
    return Note(name, 100 * share.value, "%", 100 * share.error, share.n)


def _downtime(outage: Outage, faults: Sequence[Span], start: float, last: float) -> Downtime:
    begun = outage.start if outage.start and outage.start.at > start else Edge(start, 0.0)
    over = outage.end or Edge(last, 0.0)
    mine = [
        number
        for number, fault in enumerate(faults)
        if fault.start <= begun.at + begun.error and begun.at - begun.error <= fault.end
    ]
    number = mine[-1] if mine else None
    return Downtime(
        fault=number,
        start=begun.at,
        seconds=over.at - begun.at,
        error=begun.error + over.error,
        bad=outage.bad,
        open=outage.end is None,
        outlasted=outage.end is not None
        and number is not None
        and over.at - over.error > faults[number].end,
    )


def _phases(
    faults: Sequence[Span], downtimes: Sequence[Downtime], end: float
) -> list[tuple[float, float]]:
    """Return the stretches that are some fault's, those that meet made one."""
    merged: list[tuple[float, float]] = []
    for number, fault in enumerate(faults):
        mine = [d for d in downtimes if d.fault == number]
        # A request under way when the fault came was due before it.
        first = min([fault.start, *(d.start - d.error for d in mine)])
        last = min(end, max([fault.end, *(d.end + d.error for d in mine)]))
        if merged and first <= merged[-1][1]:
            first, last = merged[-1][0], max(last, merged[-1][1])
            merged.pop()
        merged.append((first, last))
    return merged


def _slices(
    samples: Sequence[Sample], start: float, end: float
) -> list[tuple[float, list[Sample]]]:
    """Return the whole slices from `start` on in which something was asked: beginning, samples."""
    found: dict[int, list[Sample]] = {}
    for sample in samples:
        found.setdefault(int((sample.due - start) // SLICE_SECONDS), []).append(sample)
    whole = int((end - start) // SLICE_SECONDS)
    return [(start + n * SLICE_SECONDS, found[n]) for n in sorted(found) if n < whole]


def _counts(things: Sequence[tuple[bool, bool]]) -> Counts:
    """Count things that are (within a phase, good)."""
    inside = [good for within, good in things if within]
    outside = [good for within, good in things if not within]
    return Counts(len(inside), inside.count(False), len(outside), outside.count(False))


def _sum(downtimes: Sequence[Downtime]) -> tuple[float, float]:
    return math.fsum(d.seconds for d in downtimes), math.fsum(d.error for d in downtimes)
