"""From samples to outages, with the error that sampling leaves. Pure.

A probe sees the system only when it asks. Between the last good request and the first bad one the
outage began at an unknown moment, and it ended between the last bad and the first good one: each
edge is an interval, its middle the best guess, its half width the error. At rate r an edge is known
to about 1/(2r) plus half of a request's duration; one that runs into its timeout lasts that long.

Samples are those of one target, in the order in which they were due, none missing in between
(`Recording.samples`).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from load.samples import Sample

GOODS_TO_TRUST = 5


@dataclass(frozen=True, slots=True)
class Edge:
    """A moment: `at` ± `error`, monotonic seconds."""

    at: float
    error: float


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch with `bad` requests that were not good.

    `start` is None when the very first request was bad: it began before anybody looked. `end` is
    None when no lasting good answer followed.
    """

    start: Edge | None
    end: Edge | None
    bad: int

    @property
    def seconds(self) -> float | None:
        """Its length, the middle of what is possible; None when an edge was not seen."""
        return None if self.start is None or self.end is None else self.end.at - self.start.at

    @property
    def error(self) -> float:
        """Half the width of the interval that holds its length; an edge not seen adds nothing."""
        return sum(edge.error for edge in (self.start, self.end) if edge)


def outages(samples: Sequence[Sample], *, goods: int = GOODS_TO_TRUST) -> list[Outage]:
    """Return the outages in samples of one target, in order.

    An outage ends at the first of `goods` good requests in a row: fewer are a flicker within it.
    A single bad request is an outage too.
    """
    found: list[Outage] = []
    index = 0
    while index < len(samples):
        if samples[index].ok:
            index += 1
            continue
        first_bad = index
        recovered = _first_lasting_good(samples, first_bad, goods)
        last_bad = (recovered if recovered is not None else len(samples)) - 1
        end = None if recovered is None else _edge(samples, recovered)
        bad = sum(not s.ok for s in samples[first_bad : last_bad + 1])
        start = _edge(samples, first_bad) if first_bad else None
        found.append(Outage(start, end, bad))
        if recovered is None:
            break
        index = recovered
    return found


def availability(samples: Sequence[Sample], start: float, end: float) -> tuple[float, int]:
    """Return the share (0 to 1) of requests due in [start, end) that were good; their number."""
    window = [sample for sample in samples if start <= sample.due < end]
    return (sum(s.ok for s in window) / len(window) if window else 0.0), len(window)


def time_served(found: Sequence[Outage], start: float, end: float) -> tuple[float, float]:
    """Return the share (0 to 1) of the time from `start` to `end` outside outages, and its error.

    An edge that was not seen counts as beyond the window. Raises `ValueError` for an empty window.
    """
    if end <= start:
        raise ValueError("the window is empty")
    lost = error = 0.0
    for outage in found:
        begun = outage.start or Edge(start, 0.0)
        over = outage.end or Edge(end, 0.0)
        lost += max(0.0, min(end, over.at) - max(start, begun.at))
        error += sum(e.error for e in (begun, over) if start - e.error <= e.at <= end + e.error)
    return 1 - lost / (end - start), error / (end - start)


@dataclass(frozen=True, slots=True)
class Silence:
    """The longest time, `seconds` ± `error`, in which no good answer arrived; `start` is when."""

    seconds: float
    error: float
    start: float


def longest_silence(samples: Sequence[Sample]) -> Silence | None:
    """Return the longest stretch between two good answers, less what usually lies between them.

    What clients see of a stall, however long their timeout: `outages` knows its edges only to the
    time that a failed request took. None for fewer than three good answers.
    """
    arrivals = sorted(sample.ended for sample in samples if sample.ok)
    if len(arrivals) < 3:
        return None
    gaps = [second - first for first, second in pairwise(arrivals)]
    usual = statistics.median(gaps)
    longest = max(range(len(gaps)), key=gaps.__getitem__)
    # It began between the last answer and when the next one would have come, and ended likewise.
    return Silence(max(0.0, gaps[longest] - usual / 2), usual / 2, arrivals[longest])


@dataclass(frozen=True, slots=True)
class Recovery:
    """When clients were served again for good after a fault.

    `seconds` ± `error` from the fault to the first of the lasting good answers after the last bad
    one. 0 when no request failed; the error is then the longest outage that could have hidden
    between two of them. When it never came, `reason` says so and `seconds` is the time watched. `n`
    requests ended since the fault, `bad` of them failed.
    """

    seconds: float
    error: float
    reason: str
    n: int
    bad: int


def recovery(
    samples: Sequence[Sample], fault: float, fault_error: float, *, goods: int = GOODS_TO_TRUST
) -> Recovery:
    """Measure the recovery of one target from a fault at `fault` ± `fault_error`.

    Only what had shown by the last sample is judged: ask when the fault has had time to be felt.
    """
    after = [sample for sample in samples if sample.ended >= fault - fault_error]
    bad = [i for i, sample in enumerate(after) if not sample.ok]
    if len(after) < goods:
        watched = after[-1].ended - fault if after else 0.0
        return Recovery(watched, 0.0, f"only {len(after)} requests since the fault", 0, len(bad))
    if not bad:
        gaps = [second.ended - first.started for first, second in pairwise(after)]
        hidden = max(after[0].ended - (fault - fault_error), *gaps)
        return Recovery(0.0, hidden, "", len(after), 0)
    last = _first_lasting_good(after, bad[-1], goods)
    if last is None:
        return Recovery(
            after[-1].ended - fault, 0.0, "not served again for good", len(after), len(bad)
        )
    edge = _edge(after, last)
    return Recovery(edge.at - fault, edge.error + fault_error, "", len(after), len(bad))


def in_vain(last: Recovery, waited: float, reason: str) -> Recovery:
    """Return a recovery that did not come in the `waited` seconds since the fault, and why.

    What the `last` look saw ended before that: its own time would stay below the limit that was
    waited for, and the recovery count as one that kept it.
    """
    return replace(last, seconds=max(last.seconds, waited), reason=last.reason or reason)


def _first_lasting_good(samples: Sequence[Sample], start: int, goods: int) -> int | None:
    run = 0
    for index in range(start, len(samples)):
        run = run + 1 if samples[index].ok else 0
        if run == goods:
            return index - goods + 1
    return None


def _edge(samples: Sequence[Sample], index: int) -> Edge:
    """Place the change of state that shows at `index`, which is not the first.

    It came after the request before was sent, and before this one was answered: that one saw the
    old state at some moment while it was under way, this one the new state.
    """
    latest = samples[index].ended
    earliest = samples[index - 1].started
    return Edge((earliest + latest) / 2, (latest - earliest) / 2)
