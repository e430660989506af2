"""Steps about monitoring: what is scraped, which alerts arrive, what the dashboards show."""

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
from fixtures.stacks import scraping
from fixtures.tables import column, rows
from fixtures.waiting import Pending, eventually, how_long
from steps.chaos import let_pass
from verify.monitoring import alerts, dashboards, looks
from verify.monitoring.alerts import Wanted
from verify.monitoring.api import Monitoring, reached
from verify.monitoring.reports import Report, reports_since
from verify.monitoring.settling import repeated

STACK, AGENTS, JOBS = "monitoring", "node-agents", "backups"
#: The plan has both on server 81.
BESIDE = "data_gibd-postgres-replica"
STANDINGS = {
    "grafana": "a small program hands out the dashboards by Grafana's API; it draws nothing",
    "cadvisor": "a small exporter has the metrics of cAdvisor's that are used",
    "security-metrics-84, autoscaler": "the small web service stands for each",
    "alert-receiver": "a webhook catcher stands where the operators read their alerts",
    "Prometheus, Alertmanager, its exporters": "real, Debian's packages",
}


@given(
    parsers.parse(
        "the plan's monitoring runs, scraping every {scrape:d} s, with alerts after {wait:d} s"
    )
)
def runs(
    cluster: Cluster, on_demand: OnDemandStacks | None, run: Any, scrape: int, wait: int
) -> None:
    """On a twin with these shorter times instead of the plan's; servers have theirs already."""
    if on_demand is None:
        return
    run.standins |= STANDINGS
    run.environment["scrape interval"] = f"{scrape} s"
    run.environment["alerts wait for"] = f"{wait} s"
    on_demand.stand(AGENTS, list(cluster.nodes))
    watched = scraping.watched_with((*on_demand.standing, STACK))
    node, _ = cluster.a_task(BESIDE)
    on_demand.stand(
        STACK,
        [node.name],
        {
            "CUTOVER_CONFIG_PROMETHEUS": scraping.prometheus_config(watched),
            "CUTOVER_CONFIG_EXPECTED": scraping.expected_rules(watched, list(cluster.nodes)),
        },
        **scraping.twin_times(scrape, wait),
        CUTOVER_REDIS_TARGETS=scraping.redis_targets(watched),
    )


@pytest.fixture
def monitoring(cluster: Cluster) -> Iterator[Monitoring]:
    """Yield what watches the cluster, reached."""
    with reached(cluster) as found:
        yield found


@then(
    parsers.parse(
        "within {seconds:g} seconds every service that runs is scraped as itself,"
        " at most {intervals:g} intervals ago, except"
    )
)
def scraped(
    cluster: Cluster,
    monitoring: Monitoring,
    seconds: float,
    intervals: float,
    datatable: Any,
    measure: Any,
) -> None:
    """The set of targets is held against the Swarm's own list, task by task."""
    excepted = column(datatable, "service")
    look = partial(looks.scraping, monitoring, excepted, intervals)
    problems = repeated(look, within=seconds, what="every service to be scraped")
    measure.note("targets", len(looks.read_targets(monitoring)), unit="targets")
    checked = len({s.name for s in cluster.snapshot().services} - set(excepted))
    measure.violations("services scraped as themselves", problems, checked=checked)


@then("every target that is up speaks of its service")
def speaks(monitoring: Monitoring, measure: Any) -> None:
    """An exporter that answers with 200 may have reached nothing behind it."""
    problems = repeated(
        partial(looks.answers, monitoring), within=10, what="every target to speak of its service"
    )
    checked = len(looks.read_targets(monitoring))
    measure.violations("targets that speak of their service", problems, checked=checked)


@then("every container of every service is seen on its node")
def containers_seen(cluster: Cluster, monitoring: Monitoring, measure: Any) -> None:
    """Also of services that nothing can be asked of."""
    problems = repeated(
        partial(looks.containers, monitoring), within=10, what="every container to be seen"
    )
    checked = len(cluster.snapshot().services)
    measure.violations("containers seen", problems, checked=checked)


@then("these alerts and no others are loaded, evaluated, and read metrics that exist")
def rules_good(monitoring: Monitoring, datatable: Any, measure: Any) -> None:
    """A rule over a misspelt metric is healthy, and silent."""
    wanted = column(datatable, "alert")
    look = partial(looks.rule_problems, monitoring, wanted)
    problems = repeated(look, within=10, what="every rule to be evaluated")
    measure.violations("rules", problems, checked=len(looks.loaded_rules(monitoring)))


@then("every query of every dashboard returns data")
def dashboards_show(monitoring: Monitoring, measure: Any) -> None:
    """Asked of Grafana, run by Prometheus."""
    queries = looks.dashboard_queries(monitoring)
    look = partial(dashboards.problems, queries, monitoring.query)
    problems = repeated(look, within=10, what="every panel to have data")
    measure.violations("dashboards' queries", problems, checked=len(queries))


@given("nothing is known of any job", target_fixture="began")
def forgotten_all(reports: Report) -> float:
    """What an earlier run reported would vouch for jobs that are silent now."""
    return reports.forget_every()


# -- alerts ------------------------------------------------------------------------------------


@pytest.fixture
def reports(cluster: Cluster, chaos: Chaos, monitoring: Monitoring) -> Iterator[Report]:
    """Yield what reports of jobs are pushed through; what was pushed is forgotten in the end."""
    report = Report(monitoring)
    yield report
    report.forget_all()


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


# -- the rules' own tests ----------------------------------------------------------------------


@then(parsers.parse("by the plan's own times {alert} fires as follows, in a test of its rule"))
def rule_tested(monitoring: Monitoring, alert: str, datatable: Any, measure: Any) -> None:
    """`promtool test rules`, a value a minute; ` & ` between series, `-` for none at all."""
    cases = rows(datatable, "series", "values", "silent at minute", "fires at minute")
    text = looks.plan_rules()
    problems = []
    for case in cases:
        names, values = case["series"].split(" & "), case["values"].split(" & ")
        series = {} if names == ["-"] else dict(zip(names, values, strict=True))
        minutes = {int(case["fires at minute"]): True, int(case["silent at minute"]): False}
        problems += looks.tested(monitoring, text, series, alert, minutes)
    measure.violations(f"{alert} in promtool's tests", problems, checked=len(cases))
