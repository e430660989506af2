"""What the scenarios look at, asked of a standing monitoring and of the Swarm."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fixtures.stacks import catalogue
from fixtures.stacks.validation import filled
from verify.monitoring import dashboards, datasources, promtool, rules, targets
from verify.monitoring.api import Monitoring
from verify.monitoring.targets import Target


def read_targets(monitoring: Monitoring) -> list[Target]:
    """Return what Prometheus scrapes."""
    data = monitoring.prometheus.get("/api/v1/targets", state="active")["data"]
    return targets.parse(data, monitoring.now())


def scraping(
    monitoring: Monitoring, excepted: Collection[str], most_intervals: float, most_seconds: float
) -> list[str]:
    """Say which services that run are not scraped, or not as themselves."""
    return targets.problems(
        read_targets(monitoring),
        monitoring.cluster.snapshot(),
        excepted=excepted,
        most_intervals=most_intervals,
        most_seconds=most_seconds,
    )


def answers(monitoring: Monitoring) -> list[str]:
    """Say which targets are up without a word of their service."""
    samples = monitoring.query(targets.ANSWERS_QUERY)
    return targets.silent(read_targets(monitoring), samples)


def containers(monitoring: Monitoring) -> list[str]:
    """Say of which services containers are not seen."""
    samples = monitoring.query(targets.CONTAINERS_QUERY)
    return targets.unseen_containers(samples, monitoring.cluster.snapshot())


def loaded_rules(monitoring: Monitoring) -> list[rules.Rule]:
    """Return the rules that Prometheus has loaded."""
    return rules.parse(monitoring.prometheus.get("/api/v1/rules")["data"])


def rule_problems(monitoring: Monitoring, alerts: Collection[str]) -> list[str]:
    """Say which rules fail, lack, or read what is not there."""
    loaded = loaded_rules(monitoring)
    known = monitoring.prometheus.get("/api/v1/label/__name__/values", **_lately(monitoring))[
        "data"
    ]
    return rules.problems(loaded, alerts) + rules.unknown_metrics(loaded, known)


def _lately(monitoring: Monitoring) -> dict[str, str]:
    """Names from this minute on: an old block would vouch for a metric that is gone."""
    now = monitoring.now()
    return {"start": f"{now - 60:.3f}", "end": f"{now:.3f}"}


def dashboard_queries(monitoring: Monitoring) -> tuple[list[tuple[str, str]], list[str]]:
    """Return panel and query of every dashboard, and which panels ask a source that is gone."""
    sources = datasources.known(monitoring.grafana.get("/api/frontend/settings"))
    found: list[tuple[str, str]] = []
    gone: list[str] = []
    for one in monitoring.grafana.get("/api/search", type="dash-db"):
        model: dict[str, Any] = monitoring.grafana.get(f"/api/dashboards/uid/{one['uid']}")
        found += dashboards.queries(model["dashboard"], sources)
        gone += datasources.problems(model["dashboard"], sources)
    return found, gone


def plan_rules() -> str:
    """Return the alert rules with the plan's own durations, not a twin's."""
    text = catalogue.config_content("monitoring/alerts.yml").decode()
    return filled(text, catalogue.ON_DEMAND["monitoring"].variables, source="alerts.yml")


def rules_to_test(monitoring: Monitoring) -> str:
    """Return the rules that a test at the plan's times is of: on servers their own, as loaded.

    A twin has loaded shorter times, so there it is the same file with the plan's.
    """
    if monitoring.cluster.is_twin:
        return plan_rules()
    return rules.as_file(monitoring.prometheus.get("/api/v1/rules")["data"])


def tested(
    monitoring: Monitoring, text: str, series: dict[str, str], alert: str, minutes: dict[int, bool]
) -> list[str]:
    """Test an alert of the rules `text` over `series`; `minutes` → whether it fires then."""
    service = monitoring.cluster.snapshot().service_called("prometheus").name
    checks = [(alert, minute, fires) for minute, fires in minutes.items()]
    return promtool.failures(monitoring.cluster, service, text, promtool.written(series, checks))
