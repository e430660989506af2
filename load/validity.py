"""Whether a probe's result can be believed at all. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from load.percentiles import percentile
from load.samples import NOT_SENT, Sample

#: Of an availability probe, which looks for outages of seconds.
MOST_LAG_SECONDS = 0.25
#: Of a load generator, whose latencies are held against limits of milliseconds: 99 of 100 requests
#: leave within this time of when they are due.
MOST_GENERATOR_LAG_SECONDS = 0.05
#: Of a core, that one process of a generator may use on average: it is one thread.
MOST_CPU = 0.9
LEAST_RATE = 0.95
LEAST_GOOD_BEFORE_FAULT = 20


def objections(samples: Sequence[Sample], rate: float) -> list[str]:
    """Return what makes the samples of one target unfit, when `rate` a second were intended.

    The generator's own lag would count as the system's latency, and requests that it left out as
    nothing at all.
    """
    if len(samples) < 2:
        return [f"only {len(samples)} requests were sent"]
    problems = []
    lag = percentile([sample.lag for sample in samples], 99)
    if lag > MOST_LAG_SECONDS:
        problems.append(f"the generator's own lag p99 is {lag:.2f} s (over {MOST_LAG_SECONDS} s)")
    span = samples[-1].due - samples[0].due
    achieved = (len(samples) - 1) / span if span > 0 else 0.0
    if achieved < LEAST_RATE * rate:
        problems.append(f"only {achieved:.1f} of {rate:g} requests a second were sent")
    return problems + unsent(samples)


def generator_objections(
    lags: Sequence[float], seconds: float, intended: float, cpu: Sequence[float] = ()
) -> list[str]:
    """Return how a load generator spoiled its own run.

    `lags`: by how much each request left late (s); `intended`: how many should have left within
    `seconds`; `cpu`: the share of a core that each process of the generator used.
    """
    if len(lags) < 2:
        return [f"only {len(lags)} requests were sent"]
    problems = []
    lag = percentile(lags, 99)
    if lag > MOST_GENERATOR_LAG_SECONDS:
        problems.append(
            f"the generator's own lag p99 is {1000 * lag:.0f} ms "
            f"(over {1000 * MOST_GENERATOR_LAG_SECONDS:.0f} ms)"
        )
    if len(lags) < LEAST_RATE * intended:
        problems.append(f"only {len(lags)} of {intended:.0f} requests were sent in {seconds:.0f} s")
    problems += [
        f"a process of the generator used {100 * share:.0f} % of its core"
        for share in cpu
        if share > MOST_CPU
    ]
    return problems


def unsent(samples: Sequence[Sample]) -> list[str]:
    """Say how many requests the machine that asks could not send at all."""
    count = sum(any(r.startswith(NOT_SENT) for r in s.entries.values()) for s in samples)
    return [f"{count} requests could not be sent to every entry"] if count else []


def objections_before(samples: Sequence[Sample], fault: float) -> list[str]:
    """Return what is missing before the fault (monotonic seconds): a minimum of good traffic.

    What was never served cannot be said to have been lost by the fault.
    """
    good = sum(sample.ok for sample in samples if sample.ended < fault)
    if good >= LEAST_GOOD_BEFORE_FAULT:
        return []
    return [f"only {good} good answers before the fault (at least {LEAST_GOOD_BEFORE_FAULT})"]
