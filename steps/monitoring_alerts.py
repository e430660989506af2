"""Steps about alerts: jobs report, conditions are made true, the receiver is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from chaos import catalogue
from chaos.guard import Permission
from chaos.session import Chaos
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.tables import column, rows
from fixtures.waiting import Pending, eventually, how_long
from steps.chaos import let_pass
from verify.monitoring import alerts, looks
from verify.monitoring.alerts import Wanted
from verify.monitoring.api import Monitoring
from verify.monitoring.reports import Report, reports_since

JOBS = "backups"


@pytest.fixture
def reports(cluster: Cluster, chaos: Chaos, monitoring: Monitoring) -> Iterator[Report]:
    """Yield what reports of jobs are pushed through; what was pushed is forgotten in the end."""
    report = Report(monitoring)
    yield report
    report.forget_all()


@given("nothing is known of any job", target_fixture="began")
def forgotten_all(reports: Report) -> float:
    """What an earlier run reported would vouch for jobs that are silent now."""
    return reports.forget_every()


@given("the mirror and every backup job have just reported their success")
def all_reported(reports: Report) -> None:
    """By the push gateway, as the plan has it, in the place of a twin's own jobs."""
    reports.fresh()


@given("a twin's own backup jobs do not run")
def no_jobs(on_demand: OnDemandStacks | None) -> None:
    """Their reports would come between the scenario's."""
    if on_demand is not None:
        on_demand.remove(JOBS)


@then(parsers.parse("within {seconds:g} seconds these jobs themselves report their success"))
def jobs_report(
    monitoring: Monitoring, began: float, seconds: float, datatable: Any, measure: Any
) -> None:
    """A success of a run that began after the jobs' containers were started."""
    jobs = column(datatable, "job")
    took = how_long(
        partial(reports_since, monitoring, jobs, began), within=seconds, what="every job's report"
    )
    measure.duration("backup jobs report their success", took, limit=seconds, n=len(jobs))


@given(parsers.parse("within {seconds:g} seconds nothing but the watchdog's alert is there"))
def quiet(monitoring: Monitoring, seconds: float, measure: Any) -> None:
    """And that has reached the receiver: silence alone would prove nothing."""
    took = how_long(partial(alerts.quiet, monitoring), within=seconds, what="no alert", every=0.5)
    measure.duration("no alert without a cause", took, limit=seconds)


@when("these faults are in force at once", target_fixture="conditions")
def at_once(chaos: Chaos, monitoring: Monitoring, datatable: Any) -> dict[str, float]:
    """On several nodes, as the scenario says."""
    before = len(monitoring.received())
    for words in column(datatable, "fault"):
        name, *pairs = words.split()
        fault = catalogue.make(name, dict(pair.split("=", 1) for pair in pairs))
        chaos.begin(fault, Permission(several_domains=True))
    return {"received": before, "since": time.monotonic()}


@when(parsers.parse("{job}'s last success is {hours:g} hours old"))
def old_success(reports: Report, conditions: dict[str, float], job: str, hours: float) -> None:
    """As the job would report it."""
    reports.push(job, hours * 3600)
    conditions["since"] = time.monotonic()


@when(parsers.parse("nothing is known of {job}"))
def unknown(reports: Report, conditions: dict[str, float], job: str) -> None:
    """It never reported, or the push gateway was started anew."""
    reports.forget(job)
    conditions["since"] = time.monotonic()


@then(
    parsers.parse("within {seconds:g} seconds the receiver is told of each of these"),
    target_fixture="told",
)
def told(
    monitoring: Monitoring,
    conditions: dict[str, float],
    seconds: float,
    datatable: Any,
    measure: Any,
) -> list[Wanted]:
    """Counted from when the last of the conditions was true."""
    wanted = [Wanted(row["alert"], row["about"]) for row in rows(datatable, "alert", "about")]
    _judge(monitoring, conditions, wanted, "firing", seconds, measure)
    return wanted


@then(parsers.parse("{alert} about {node} still fires {seconds:g} s after the Swarm gave it up"))
def still_fires(
    cluster: Cluster,
    monitoring: Monitoring,
    conditions: dict[str, float],
    alert: str,
    node: str,
    seconds: float,
    measure: Any,
) -> None:
    """By then its targets are gone from the discovery: `up == 0` would say nothing any more."""

    def given_up() -> bool | Pending:
        seen = cluster.snapshot().node_named(node)
        return seen is None or not seen.ready or Pending("the Swarm still calls it Ready")

    eventually(given_up, within=60, what=f"{node} given up")
    let_pass(time.monotonic() + seconds, f"{alert} goes on")
    said = alerts.last_word(monitoring.received(int(conditions["received"])), Wanted(alert, node))
    problems = [] if said == "firing" else [f"{alert} {node} was {said or 'never told'}"]
    measure.violations(f"{alert} goes on", problems, checked=1)


@then(parsers.parse("within {seconds:g} seconds the receiver is told that each is over"))
def resolved(
    monitoring: Monitoring,
    reports: Report,
    conditions: dict[str, float],
    put_right: float,
    told: list[Wanted],
    seconds: float,
    measure: Any,
) -> None:
    """Counted from when the last fault was proven gone and the jobs had reported again."""
    reports.fresh()
    conditions["since"] = time.monotonic()
    _judge(monitoring, conditions, told, "resolved", seconds, measure)


def _judge(
    monitoring: Monitoring,
    conditions: dict[str, float],
    wanted: list[Wanted],
    status: str,
    seconds: float,
    measure: Any,
) -> None:
    took = alerts.told(
        monitoring,
        wanted,
        status,
        after=int(conditions["received"]),
        since=conditions["since"],
        within=seconds,
    )
    word = "is received" if status == "firing" else "is resolved"
    measure.each(
        partial(measure.duration, f"alert {each} {word}", took[each], limit=seconds)
        for each in wanted
    )


@then(parsers.parse("by the plan's own times {alert} fires as follows, in a test of its rule"))
def rule_tested(monitoring: Monitoring, alert: str, datatable: Any, measure: Any) -> None:
    """`promtool test rules`, a value a minute; ` & ` between series, `-` for none at all."""
    cases = rows(datatable, "series", "values", "silent at minute", "fires at minute")
    text = looks.rules_to_test(monitoring)
    problems = []
    for case in cases:
        names, values = case["series"].split(" & "), case["values"].split(" & ")
        series = {} if names == ["-"] else dict(zip(names, values, strict=True))
        minutes = {int(case["fires at minute"]): True, int(case["silent at minute"]): False}
        problems += looks.tested(monitoring, text, series, alert, minutes)
    measure.violations(f"{alert} in promtool's tests", problems, checked=len(cases))
