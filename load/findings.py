"""What the clients' samples say: wrong answers, recovery, the share of good answers."""

from __future__ import annotations

import time

from fixtures.cluster.power import Instant
from fixtures.waiting import Pending, how_long
from load import outages, phases, validity
from load.availability import AvailabilityProbe
from load.outages import Recovery
from load.phases import PhaseResult
from load.results import failures

#: So many in a row are service again for good: two seconds of clients that ask ten times a second.
_GOODS_FOR_GOOD = 20


def wrong_answers(probe: AvailabilityProbe) -> tuple[list[str], int]:
    """Return, by kind, what was wrong with requests that were not good; and how many were sent."""
    problems: list[str] = []
    asked = 0
    for target in probe.targets:
        samples = probe.samples(target.name)
        asked += len(samples)
        problems += failures(samples)
    return problems, asked


def objections(probe: AvailabilityProbe) -> list[str]:
    """Return what makes the measurement unfit: what the generator spoiled, what came too early."""
    found = [probe.failure] if probe.failure else []
    faults = [at for phase, at in probe.marks if phase == "fault"]
    for target in probe.targets:
        samples = probe.samples(target.name)
        spoiled = validity.objections(samples, probe.rate)
        if faults:
            spoiled += validity.objections_before(samples, faults[0])
        found += [f"{target.name}: {objection}" for objection in spoiled]
    return found


def by_phase(probe: AvailabilityProbe, target: str) -> list[PhaseResult]:
    """Return what one target showed in each marked phase."""
    return phases.results(probe.samples(target), phases.phases(probe.marks, time.monotonic()))


def phase_rows(probe: AvailabilityProbe) -> list[dict[str, str]]:
    """Return what each target showed in each phase, for a report; latencies of good answers."""

    def milliseconds(seconds: float | None) -> str:
        return "-" if seconds is None else f"{1000 * seconds:.1f}"

    return [
        {
            "target": target.name,
            "phase": result.phase.name,
            "requests": str(result.n),
            "failed": str(result.bad),
            "p50 ms": milliseconds(result.p50),
            "p95 ms": milliseconds(result.p95),
            "p99 ms": milliseconds(result.p99),
        }
        for target in probe.targets
        for result in by_phase(probe, target.name)
    ]


def recovery(probe: AvailabilityProbe, target: str, fault: Instant, *, within: float) -> Recovery:
    """Measure when `target` was served again for good after `fault`.

    Watches until it was, or for `within` seconds from the fault; 0 s when no request failed. Call
    it when the fault has had time to be felt. Raises `CutoverError` when the probe ended by itself.
    """
    seen: list[Recovery] = []

    def recovered() -> bool | Pending:
        probe.ensure_asking()
        samples = probe.samples(target)
        seen[:] = [outages.recovery(samples, fault.at, fault.error, goods=_GOODS_FOR_GOOD)]
        return Pending(seen[0].reason) if seen[0].reason else True

    waited = how_long(recovered, within=within, since=fault.at, what=f"{target} served again")
    return outages.in_vain(seen[0], waited.seconds, waited.reason) if waited.reason else seen[0]


def good_share(probe: AvailabilityProbe, target: str, seconds: float) -> tuple[float, int]:
    """Return the percentage of good answers to requests of the last `seconds`, and their number.

    The newest requests may still be under way, so the window ends one request timeout ago.
    """
    end = time.monotonic() - probe.timeout
    share, asked = outages.availability(probe.samples(target), end - seconds, end)
    return 100 * share, asked
