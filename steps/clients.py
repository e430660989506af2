"""Steps about what clients see."""

from __future__ import annotations

from typing import Any

from pytest_bdd import given, parsers, then, when

from fixtures.cluster.cluster import Cluster
from fixtures.tables import rows
from fixtures.waiting import NeverTrue
from load import findings
from load.availability import AvailabilityProbe
from load.routes import named_targets, route_target
from verify.failover import Failover

GOOD_BEFORE_FAULT = 20
STEADY_SECONDS = 30


@given(parsers.parse("clients ask {names} {rate:g} times a second"), target_fixture="clients")
def clients(
    cluster: Cluster, start_clients: Any, measure: Any, names: str, rate: float
) -> AvailabilityProbe:
    """Open-loop requests from outside, good for a while before anything is broken."""
    probe: AvailabilityProbe = start_clients(named_targets(cluster, names.split(" and ")), rate)
    _traffic_first(probe, measure)
    return probe


@when(
    parsers.parse("clients ask these routes {rate:g} times a second for {seconds:g} seconds"),
    target_fixture="clients",
)
def ask_routes(
    cluster: Cluster, start_clients: Any, rate: float, seconds: float, datatable: Any
) -> AvailabilityProbe:
    """Ask each route at every entry; the answer must name the service."""
    targets = [
        route_target(cluster, row["route"], row["route"], row["key"], row["service"])
        for row in rows(datatable, "route", "key", "service")
    ]
    probe: AvailabilityProbe = start_clients(targets, rate)
    probe.wait_for(seconds)
    probe.stop()
    return probe


@then("every answer is right")
def all_right(clients: AvailabilityProbe, measure: Any) -> None:
    """No request to any route was refused, late or answered wrongly."""
    _believe(clients, measure, "answers through the edge")
    problems, asked = findings.wrong_answers(clients)
    measure.violations("answers through the edge", problems, checked=asked)


@then(parsers.parse("clients get good answers again within {seconds:g} seconds"))
def served_again(
    clients: AvailabilityProbe, failover: Failover, seconds: float, measure: Any
) -> None:
    """For good: counted to the first of several good answers after the last bad one."""
    _believe(clients, measure, "clients are served again")
    for target in clients.targets:
        result = findings.recovery(clients, target.name, failover.fault, within=seconds)
        measure.note(f"{target.name}: requests failed", result.bad, unit="", n=result.n)
        measure.duration(f"clients get {target.name} again", result, limit=seconds, n=result.n)


@then(
    parsers.parse(
        "for {seconds:g} seconds at least {share:g} % of the clients' requests are answered by "
        "what still runs"
    )
)
def still_answered(clients: AvailabilityProbe, seconds: float, share: float, measure: Any) -> None:
    """Counted over requests that were due from now on."""
    clients.wait_for(seconds + clients.timeout)
    _believe(clients, measure, "answers without a control plane")
    for target in clients.targets:
        percent, asked = findings.good_share(clients, target.name, seconds)
        measure(
            f"{target.name} answers without a control plane",
            percent,
            limit=share,
            unit="%",
            relation=">=",
            n=asked,
        )


def _traffic_first(probe: AvailabilityProbe, measure: Any) -> None:
    """Without enough good answers before the fault nothing can be said of those after it."""
    try:
        probe.wait_until_good(n=GOOD_BEFORE_FAULT, within=STEADY_SECONDS)
    except NeverTrue as error:
        measure.inconclusive("good traffic before the fault", str(error))


def _believe(clients: AvailabilityProbe, measure: Any, criterion: str) -> None:
    """End as inconclusive when the generator itself spoiled what the clients saw."""
    if spoiled := findings.objections(clients):
        measure.inconclusive(criterion, "; ".join(spoiled))
