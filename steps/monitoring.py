"""Steps about monitoring: what is scraped, which rules are loaded, what the dashboards show."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from pytest_bdd import given, parsers, then

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.stacks import scraping
from fixtures.tables import column
from verify.monitoring import dashboards, looks
from verify.monitoring.api import Monitoring, reached
from verify.monitoring.settling import repeated

STACK, AGENTS = "monitoring", "node-agents"
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
        " at most {intervals:g} intervals and {oldest:g} seconds ago, except"
    )
)
def scraped(
    cluster: Cluster,
    monitoring: Monitoring,
    seconds: float,
    intervals: float,
    oldest: float,
    datatable: Any,
    measure: Any,
) -> None:
    """The set of targets is held against the Swarm's own list, task by task."""
    excepted = column(datatable, "service")
    look = partial(looks.scraping, monitoring, excepted, intervals, oldest)
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
    queries, gone = looks.dashboard_queries(monitoring)
    look = partial(dashboards.problems, queries, monitoring.query)
    problems = repeated(look, within=10, what="every panel to have data")
    measure.violations("dashboards' queries", gone + problems, checked=len(queries) + len(gone))
