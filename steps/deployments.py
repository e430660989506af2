"""Steps about rolling updates, and what clients see of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.deployment import stacks_changed
from fixtures.tables import rows
from fixtures.waiting import NeverTrue
from load import changeover, findings
from load.availability import AvailabilityProbe
from load.changeover import Changeover
from load.entries import answering, by_entry
from load.results import failures
from load.routes import route_target
from load.samples import Sample
from verify.rollout import Rollout, Rollouts, SwarmServices, change_called, version_of
from verify.steady import await_steady

#: More than what shows that a version answers alone, at the plan's numbers of replicas.
GOOD_BEFORE = 60
GOOD_SECONDS = 30.0
RESTORE_SECONDS = 120.0
#: After which an update counts as hanging. How quick one must be, the feature says.
ENDLESS_SECONDS = 120.0

_COUNTED = "before the update"


@pytest.fixture
def services(cluster: Cluster) -> SwarmServices:
    """Return the cluster's services, to be read and written."""
    return SwarmServices(cluster)


@pytest.fixture
def rollouts(cluster: Cluster, chaos: Chaos, services: SwarmServices) -> Iterator[Rollouts]:
    """Yield what updates services; in the end they are what they were, and the cluster steady."""
    chaos.permit()
    with (
        stacks_changed(cluster),
        Rollouts(services, lambda: await_steady(cluster, within=RESTORE_SECONDS)) as updates,
    ):
        yield updates


@given(parsers.parse("{service} shows clients its version"))
def shows_version(rollouts: Rollouts, services: SwarmServices, service: str) -> None:
    """Unproven where it does not."""
    version_of(rollouts.spec(services.full_name(service)))


@given(
    parsers.parse(
        "clients are asking these routes, {rate:g} times a second each, and wait {patience:g} "
        "seconds for an answer"
    ),
    target_fixture="clients",
)
def asking(
    cluster: Cluster,
    start_clients: Any,
    measure: Any,
    rate: float,
    patience: float,
    datatable: Any,
) -> AvailabilityProbe:
    """Each is asked at every entry at once; `version` is the answer's key that names the version.

    Routes with no such key are asked for failed requests only.
    """
    targets = [
        replace(
            route_target(cluster, row["route"], row["route"], row["key"], row["service"]),
            served_by=row["version"],
        )
        for row in rows(datatable, "route", "key", "service", "version")
    ]
    # Through the mesh every entry leads to the same tasks: asked side by side, one that is dropped
    # would be hidden by another that is answered.
    if len(answering(targets[0])) > 1:
        targets = [each for target in targets for each in by_entry(target)]
    probe: AvailabilityProbe = start_clients(targets, rate, timeout=patience)
    try:
        probe.wait_until_good(n=GOOD_BEFORE, within=GOOD_SECONDS)
    except NeverTrue as error:
        measure.inconclusive("good traffic before the update", str(error))
    probe.mark(_COUNTED, at=time.monotonic() - GOOD_BEFORE / rate)
    return probe


@when(
    parsers.parse(
        "{service} is updated to {what}, {order}, {parallelism:d} task at a time, and watched "
        "until {seconds:g} seconds after its end"
    ),
    target_fixture="rollout",
)
def update(
    rollouts: Rollouts,
    services: SwarmServices,
    clients: AvailabilityProbe,
    service: str,
    what: str,
    order: str,
    parallelism: int,
    seconds: float,
) -> Rollout:
    """An update without an end is given up; it is put back in any case."""
    name = services.full_name(service)
    change = change_called(rollouts.spec(name), what)
    rollout = rollouts.begin(name, replace(change, order=order, parallelism=parallelism))
    rollouts.watch(rollout, within=ENDLESS_SECONDS)
    clients.mark("update", at=rollout.began.at)
    clients.mark("after its end", at=rollout.ended.at)
    clients.events += rollout.events()
    clients.wait_for(seconds)
    clients.stop()
    return rollout


@then("not one of the clients' requests failed")
def none_failed(clients: AvailabilityProbe, rollout: Rollout, measure: Any) -> None:
    """Each is asked once, on a connection of its own, and never again: what failed is counted."""
    _believe(clients, rollout, measure, "requests that failed during the update")
    asked = [s for target in clients.targets for s in _counted(clients, target.name)]
    kinds = failures(asked)
    measure(
        "requests that failed during the update",
        sum(not sample.ok for sample in asked),
        limit=0,
        unit="requests",
        n=len(asked),
        reason="; ".join([*kinds, f"Swarm says: {rollout.state or 'nothing'}"] if kinds else []),
    )


@then(parsers.parse("clients are without good answers for at most {seconds:g} seconds"))
def gap(clients: AvailabilityProbe, rollout: Rollout, seconds: float, measure: Any) -> None:
    """All outages of a route together."""
    _believe(clients, rollout, measure, "time without good answers")
    for target in clients.targets:
        asked = _counted(clients, target.name)
        out = changeover.time_out(asked)
        lasting = [] if out else [f"{target.name} was not served again"]
        measure.violations("served again after the update", lasting, checked=len(asked))
        if out:
            failed = sum(not sample.ok for sample in asked)
            measure.note(f"{target.name}: requests failed", failed, unit="", n=len(asked))
            measure(
                f"time without good answers of {target.name}",
                out.at,
                limit=seconds,
                unit="s",
                error=out.error,
                n=len(asked),
            )


@then(
    parsers.parse(
        "clients see the version change over exactly once, and nothing of the old one later than "
        "{seconds:g} s after the update's end"
    )
)
def changed_once(
    clients: AvailabilityProbe, rollout: Rollout, seconds: float, measure: Any
) -> None:
    """On every route whose answers name the version."""
    _believe(clients, rollout, measure, "the version changes over exactly once")
    for name in _versioned(clients):
        asked = _counted(clients, name)
        seen = changeover.completed(asked, rollout.update, grace=seconds)
        if seen.mixture is not None:
            both = seen.mixture
            measure.note(f"{name}: both versions answer", both.at, unit="s", error=both.error)
        _judge(seen, "the version changes over exactly once", name, len(asked), measure)


@then("clients see nothing but the old version")
def held(clients: AvailabilityProbe, rollout: Rollout, measure: Any) -> None:
    """Nor does one answer, while the update runs, come from what is rolled back."""
    _believe(clients, rollout, measure, "the old version stays")
    for name in _versioned(clients):
        asked = _counted(clients, name)
        seen = changeover.rolled_back(asked, rollout.update, grace=0)
        _judge(seen, "the old version stays", name, len(asked), measure)
        new = seen.answers.get(rollout.new, 0)
        measure("answers of the bad version", new, limit=0, unit="answers", n=len(asked))


@then(parsers.parse("the update is completed within {seconds:g} seconds"))
def completed(rollout: Rollout, seconds: float, measure: Any) -> None:
    """As Swarm says, from when it took the update."""
    measure.violations("update completed", rollout.problems("completed"), checked=1)
    measure.duration("time to the update's end", rollout.took, limit=seconds)


@then(parsers.parse("the update is rolled back by itself within {seconds:g} seconds"))
def rolled_back(rollout: Rollout, seconds: float, measure: Any) -> None:
    """As Swarm says, from when it took the update; nobody has asked for it."""
    measure.violations("update rolled back", rollout.problems("rollback_completed"), checked=1)
    measure.duration("time to the roll-back's end", rollout.took, limit=seconds)


def _counted(clients: AvailabilityProbe, target: str) -> list[Sample]:
    """Return what was asked since the traffic was good."""
    since = dict(clients.marks)[_COUNTED]
    return [sample for sample in clients.samples(target) if sample.due >= since]


def _versioned(clients: AvailabilityProbe) -> list[str]:
    return [target.name for target in clients.targets if target.served_by]


def _judge(seen: Changeover, criterion: str, route: str, asked: int, measure: Any) -> None:
    if seen.doubts and not seen.problems:
        measure.inconclusive(criterion, f"{route}: {'; '.join(seen.doubts)}")
    measure.violations(criterion, [f"{route}: {p}" for p in seen.problems], checked=asked)


def _believe(clients: AvailabilityProbe, rollout: Rollout, measure: Any, criterion: str) -> None:
    """End as inconclusive when what the clients saw cannot be laid to the update."""
    spoiled = findings.objections(clients)
    for target in clients.targets:
        spoiled += changeover.failed_before(_counted(clients, target.name), rollout.update)
    if spoiled:
        measure.inconclusive(criterion, "; ".join(spoiled))
