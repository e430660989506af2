"""Raising the rate level by level, and stopping when it is too much."""

from __future__ import annotations

from fixtures.errors import CutoverError
from fixtures.waiting import NeverTrue, Pending, eventually
from load.run import LoadRun
from load.saturation import Level, Saturation, is_over, level, saturation

_START_SECONDS = 30.0


def find_saturation(load: LoadRun, rank: float, limit: float) -> Saturation:
    """Watch a run of a step shape until two levels break `limit` (s) at `rank`; then stop it.

    Raises `CutoverError` when the generator does not get on.
    """
    judged: list[Level] = []
    for start, end, rate in load.plan.levels():
        try:
            found = eventually(
                lambda rate=rate, span=(start, end): _finished(load, rate, span, rank),  # type: ignore[misc]
                within=_START_SECONDS + end - start + load.traffic.timeout,
                every=0.25,
                what=f"{rate:.0f} requests a second",
            )
        except NeverTrue as error:
            raise CutoverError(str(error), where=load.name) from error
        judged.append(found)
        load.events.append((f"{rate:.0f}/s", (load.t0 or 0.0) + start))
        if is_over(judged, limit):
            break
    load.stop()
    return saturation(judged, limit)


def _finished(
    load: LoadRun, rate: float, span: tuple[float, float], rank: float
) -> Level | Pending:
    """Judge a level once every request that was due in it has ended."""
    load.ensure_asking()
    t0 = load.t0
    samples = load.all_samples()
    if t0 is None or not samples:
        return Pending("the generator starts")
    start, end = t0 + span[0], t0 + span[1]
    # Requests are written when they end: later ones than this may not be missed any more.
    settled = samples[-1].due - load.traffic.timeout
    if settled < end and load.running:
        return Pending(f"{max(0.0, end - settled):.0f} s to go")
    return level(rate, start, end, samples, rank, load.traffic.timeout) or Pending(
        "nothing was sent"
    )
