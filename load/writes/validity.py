"""Whether a history can be believed when it says that nothing was lost. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from load.percentiles import percentile
from load.validity import LEAST_RATE, objections_before
from load.writes.history import Write, as_samples, settled

#: By which 99 of 100 writes are sent after they were due (s). They are counted, not timed: what
#: matters is that somebody wrote all the time, the moments of failure and return among it.
MOST_LAG_SECONDS: Final = 1.0
#: Between two writes that follow each other (s), beyond the time between two that are due.
MOST_SILENCE_SECONDS: Final = 1.0


def objections(writes: Sequence[Write], rate: float, fault: float | None = None) -> list[str]:
    """Return what makes `writes`, of which `rate` a second were intended, unfit.

    What was not written cannot be lost: a writer that lagged, was silent, or had nothing
    acknowledged before the `fault` (monotonic seconds) would acquit any system.
    """
    if len(writes) < 2:
        return [f"only {len(writes)} writes were sent"]
    found = []
    lag = percentile([write.invoked - write.due for write in writes], 99)
    if lag > MOST_LAG_SECONDS:
        found.append(f"the writer's own lag p99 is {lag:.2f} s (over {MOST_LAG_SECONDS:g} s)")
    seconds = writes[-1].invoked - writes[0].due
    intended = rate * seconds
    if len(writes) < LEAST_RATE * (intended - rate * MOST_LAG_SECONDS):
        found.append(f"only {len(writes)} of {intended:.0f} writes were sent in {seconds:.0f} s")
    silent = max(b.invoked - a.invoked for a, b in pairwise(writes))
    if silent > MOST_SILENCE_SECONDS + 1 / rate:
        found.append(f"the writer was silent for {silent:.1f} s")
    if missing := [b.key for a, b in pairwise(writes) if b.key != a.key + 1]:
        found.append(f"keys are missing before {missing[0]}")
    if fault is not None:
        found += objections_before(as_samples(settled(list(writes))), fault)
        if writes[-1].invoked <= fault:
            found.append("nothing was written after the fault")
    return found
