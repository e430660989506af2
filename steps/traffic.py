"""Steps about load: what clients send, how quickly they are answered, how much is too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.waiting import NeverTrue
from load import results
from load.entries import answering
from load.outages import longest_silence
from load.percentiles import percentile
from load.phases import phases
from load.run import LoadRun
from load.saturation import Saturation
from load.saturation_run import find_saturation
from load.shapes import Step
from load.traffic import load_traffic, steady
from signoff import evidence

GOOD_FIRST = 20
LONGEST_SECONDS = 1800.0
STEADY_SECONDS = 30.0


@pytest.fixture
def start_load(
    cluster: Cluster, chaos: Chaos, run: Any, measure: Any, tmp_path: Path
) -> Iterator[Callable[..., LoadRun]]:
    """Yield what starts a load generator; in the end it stops and what it saw is attached."""
    with ExitStack() as stack:
        started: list[LoadRun] = []

        def start(profile: str, shape: Any, *, failover: bool = False) -> LoadRun:
            traffic = load_traffic(profile)
            known = dict(cluster.entries)
            if not failover:
                right = answering(traffic.routes[0].target(known))
                if left_out := sorted(set(known) - set(right)):
                    run.notes.append(
                        f"{measure.scenario}: the load goes to {', '.join(right)}; nothing right "
                        f"came from {', '.join(left_out)}."
                    )
                known = {name: known[name] for name in right}
            folder = tmp_path / f"load-{len(started)}"
            load = LoadRun(traffic, shape, known, folder, failover=failover, seed=run.seed)
            started.append(stack.enter_context(load))
            measure.evidence.append(evidence.load_picture(measure.scenario))
            return load

        yield start
        for load in started:
            load.stop()
            load.windows = chaos.windows()
            evidence.attach_load(measure.scenario, run.folder, load, rows(load), limit=load.limit)


def rows(load: LoadRun) -> list[dict[str, str]]:
    """Return what each route showed in each phase."""
    samples = load.all_samples()
    if not samples:
        return []
    marked = phases(load.marks, max(samples[-1].ended, load.marks[-1][1]))
    return [result.row() for result in results.results(samples, marked)]


@given(
    parsers.parse("clients send the traffic of {profile} at {rate:g} requests a second"),
    target_fixture="load",
)
def flowing(start_load: Any, measure: Any, profile: str, rate: float) -> LoadRun:
    """Until the scenario ends; clients know every entry and find another when theirs is silent."""
    load: LoadRun = start_load(profile, steady(rate, LONGEST_SECONDS), failover=True)
    try:
        load.wait_until_good(n=GOOD_FIRST, within=STEADY_SECONDS)
    except NeverTrue as error:
        measure.inconclusive("good traffic first", str(error))
    return load


@when(
    parsers.parse(
        "clients send the traffic of {profile} at {rate:g} requests a second for {seconds:g} "
        "seconds"
    ),
    target_fixture="load",
)
def sent(start_load: Any, profile: str, rate: float, seconds: float) -> LoadRun:
    """Open loop, to its end."""
    load: LoadRun = start_load(profile, steady(rate, seconds))
    load.wait_end()
    return load


@then(parsers.parse("{rank:g} % of the answers on each route come within {limit:g} ms"))
def quick(load: LoadRun, rank: float, limit: float, measure: Any) -> None:
    """Of all requests: one that failed was not answered in time either. All routes are measured."""
    load.limit = limit / 1000
    _believe(load, measure, "response times")
    timeout = load.traffic.timeout
    found = {
        route.name: results.response_time(load.samples(route.name), rank, timeout)
        for route in load.targets
    }
    for route in load.targets:
        taken = [sample.latency for sample in load.samples(route.name)]
        p99 = 1000 * percentile(taken, 99)
        measure.note(f"p99 response time of {route.name}", p99, unit="ms", n=len(taken))
    measure.each(
        partial(
            measure,
            f"p{rank:g} response time of {name}",
            1000 * time.value,
            limit=limit,
            unit="ms",
            error=1000 * time.error,
            n=time.n,
        )
        for name, time in found.items()
    )


@then("no request fails")
def none_fails(load: LoadRun, measure: Any) -> None:
    """Refused, late, dropped, or answered wrongly: each is counted."""
    _believe(load, measure, "requests that failed")
    samples = load.all_samples()
    failed = sum(not sample.ok for sample in samples)
    if silence := longest_silence(samples):
        measure.note(
            "longest time without a good answer", silence.seconds, unit="s", error=silence.error
        )
    measure(
        "requests that failed",
        failed,
        limit=0,
        unit="requests",
        n=len(samples),
        reason="; ".join(results.failures(samples)),
    )


@when(
    parsers.parse(
        "the traffic of {profile} rises from {start:g} to {most:g} requests a second, "
        "by {percent:g} % every {seconds:g} seconds, "
        "until {rank:g} % no longer come within {limit:g} ms"
    ),
    target_fixture="saturated",
)
def rises(
    chaos: Chaos,
    start_load: Any,
    profile: str,
    start: float,
    most: float,
    percent: float,
    seconds: float,
    rank: float,
    limit: float,
) -> Saturation:
    """Ends when two levels in a row were too much."""
    chaos.permit()
    shape = Step(kind="step", start=start, most=most, factor=1 + percent / 100, seconds=seconds)
    load: LoadRun = start_load(profile, shape)
    load.limit = limit / 1000
    return find_saturation(load, rank, limit / 1000)


@then(parsers.parse("the highest rate that keeps the limit is at least {rate:g} requests a second"))
def enough(saturated: Saturation, rate: float, measure: Any) -> None:
    """What ended it is told: the system, the generator, or the last level."""
    if saturated.rate < rate and not saturated.bounded_by_system:
        measure.inconclusive("highest rate within the limit", saturated.why_not_higher)
    measure(
        "highest rate within the limit",
        saturated.rate,
        limit=rate,
        unit="requests/s",
        relation=">=",
        n=sum(level.found.n for level in saturated.levels),
        reason=saturated.why_not_higher,
    )


def _believe(load: LoadRun, measure: Any, criterion: str) -> None:
    """End as inconclusive when the generator itself spoiled the run; it ends here if need be.

    What is under way would not be judged otherwise.
    """
    load.stop()
    if spoiled := load.objections():
        measure.inconclusive(criterion, "; ".join(spoiled))
