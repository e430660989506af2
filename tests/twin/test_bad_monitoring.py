"""Monitoring that looks well and is blind: broken in many ways at once, each seen for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import yaml

from fixtures import folders
from fixtures.cluster import capabilities
from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.lifecycle import StandingTwin
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.errors import CutoverError
from fixtures.stacks import catalogue, scraping
from fixtures.waiting import Pending, eventually
from tests.twin.conftest import TWIN, Outcome
from verify import exporters
from verify.monitoring import alerts, dashboards, looks
from verify.monitoring.alerts import Wanted
from verify.monitoring.api import Monitoring, reached

FORGOTTEN = "services_ws-news"
ALERTS = [
    *("Watchdog", "NodeDown", "ServiceDown", "ReplicationBroken", "DiskFull", "MemoryHigh"),
    *("BackupTooOld", "GitLabMirrorFailed"),
]
#: File in configs/monitoring → what is broken in it.
BROKEN = {
    "alerts.yml": ("node_filesystem_avail_bytes", "node_filesystem_free_byte"),
    "dashboards/nodes.json": ("node_memory_MemAvailable_bytes", "node_memory_available"),
}


def a_bad_configuration(watched: list[scraping.Watched]) -> str:
    """Forget a service, ask another in the place of a third, ask an exporter about itself."""
    known = [each for each in watched if each.service != FORGOTTEN]
    config: dict[str, Any] = yaml.safe_load(scraping.prometheus_config(known))
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    trades = jobs["services_ws-trades"]["dns_sd_configs"][0]
    trades["names"] = ["tasks.services_ws-company"]
    for asked_about_its_exporter in ("data_postgres", "data_pgbouncer"):
        jobs[asked_about_its_exporter]["metrics_path"] = "/metrics"
    return yaml.safe_dump(config)


@contextmanager
def standing(cluster: Cluster) -> Iterator[None]:
    """Have the broken monitoring on the tests' twin."""
    twin = StandingTwin(TWIN, keep=True)
    content = catalogue.config_content

    def broken(file: str) -> bytes:
        right, wrong = BROKEN.get(file.removeprefix("monitoring/"), ("", ""))
        return content(file).replace(right.encode(), wrong.encode()) if right else content(file)

    with twin as same, pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "config_content", broken)
        stacks = OnDemandStacks(twin, same, capabilities.probe(same))
        watched = scraping.watched_with(["node-agents", "monitoring"])
        try:
            stacks.stand("node-agents", list(cluster.nodes))
            stacks.stand(
                "monitoring",
                ["wsasus"],
                {
                    "CUTOVER_CONFIG_PROMETHEUS": a_bad_configuration(watched),
                    "CUTOVER_CONFIG_EXPECTED": scraping.expected_rules(
                        watched, list(cluster.nodes)
                    ),
                },
                **scraping.twin_times(2, 2),
                CUTOVER_REDIS_TARGETS=scraping.redis_targets(watched),
                CUTOVER_ALERT_WEBHOOK="http://alert-receiver:9095/nobody",
            )
            yield
        finally:
            stacks.remove()


@pytest.fixture(scope="module")
def monitoring(cluster: Cluster) -> Iterator[Monitoring]:
    with standing(cluster), reached(cluster) as found:
        yield found


def seen(look: Callable[[], list[str]], *expected: str) -> list[str]:
    """Look until just as many problems are found as are `expected`, each with its text."""

    def only_those() -> list[str] | Pending:
        found = look()
        told = [text for text in expected if any(text in problem for problem in found)]
        right = len(told) == len(expected) and all(
            any(text in problem for text in expected) for problem in found
        )
        return found if right else Pending("; ".join(found) or "nothing")

    return eventually(
        only_those, within=40, every=0.5, what="just these problems", retry_on=(CutoverError,)
    )


def test_a_forgotten_service_and_one_scraped_under_another_s_name(monitoring: Monitoring) -> None:
    seen(
        partial(looks.scraping, monitoring, ["netcheck_netcheck"], 4, 120),
        f"{FORGOTTEN} runs, and no target is of it",
        "services_ws-trades: no target asks",
        "which is services_ws-company's",
    )
    targets = looks.read_targets(monitoring)
    assert {target.health for target in targets} == {"up"}, "what Prometheus itself says is fine"


def test_an_exporter_that_answers_without_the_metric(monitoring: Monitoring) -> None:
    seen(
        partial(looks.answers, monitoring),
        "of data_pgbouncer gives no probe_success",
        "of data_postgres: pg_up is 0",
    )


def test_a_rule_over_a_metric_that_does_not_exist(monitoring: Monitoring) -> None:
    text = "DiskFull reads node_filesystem_free_byte, which does not exist"

    def look() -> list[str]:
        # What nobody pushes here, and the exporter that lacks its metric, are other tests' matter.
        others = ("backup_last", "gitlab_mirror_last", "probe_success")
        found = looks.rule_problems(monitoring, ALERTS)
        return [p for p in found if not any(other in p for other in others)]

    seen(look, text)
    loaded = looks.loaded_rules(monitoring)
    assert {rule.health for rule in loaded} == {"ok"}, "what Prometheus itself says is fine"


def test_a_dashboard_over_a_metric_that_does_not_exist(monitoring: Monitoring) -> None:
    every, gone = looks.dashboard_queries(monitoring)
    assert not gone
    queries = [(title, query) for title, query in every if title.startswith("Nodes")]
    seen(
        partial(dashboards.problems, queries, monitoring.query), "Nodes / Memory available: no data"
    )


def test_an_alert_that_fires_and_is_delivered_to_nobody(monitoring: Monitoring) -> None:
    watchdog = Wanted("Watchdog")

    def undelivered() -> bool | Pending:
        where = alerts.stuck(monitoring, watchdog)
        return where.endswith("the receiver was not told") or Pending(where)

    eventually(undelivered, within=40, what="an alert at Alertmanager", retry_on=(CutoverError,))
    assert isinstance(alerts.quiet(monitoring), Pending)
    assert alerts.last_word(monitoring.received(), watchdog) == ""


def test_the_plan_s_own_rule_says_nothing_of_a_mirror_that_never_synced(
    monitoring: Monitoring,
) -> None:
    rules = looks.plan_rules()
    plan_s = rules.replace("or absent(gitlab_mirror_last_sync_timestamp)", "")
    assert plan_s != rules
    minutes = {9: False, 11: True}
    name = "GitLabMirrorFailed"
    assert looks.tested(monitoring, rules, {}, name, minutes) == []
    (failure,) = looks.tested(monitoring, plan_s, {}, name, minutes)
    assert "got: {} 0E+00" in failure


def test_the_agents_say_what_a_budget_reads(cluster: Cluster, monitoring: Monitoring) -> None:
    snapshot = cluster.snapshot()
    for node in cluster.nodes:
        found = exporters.on_node(snapshot, node)
        assert len(found) == 2
        for service, kind in found:
            assert exporters.scrape(cluster, service, kind, node).memory_used > 0


def test_the_features_go_red(
    cluster: Cluster, monitoring: Monitoring, run_features: Callable[..., Outcome]
) -> None:
    """As on servers: the monitoring is taken as it stands."""
    inventory = folders.cluster_folder(cluster.name) / "inventory.yml"
    outcome = run_features(
        "features/monitoring",
        "-k",
        "every_service_is_scraped or rule or dashboards",
        inventory=inventory,
    )
    assert outcome.status == 1
    for criterion, why in (
        ("services scraped as themselves", "no target is of it"),
        ("rules", "node_filesystem_free_byte"),
        ("dashboards' queries", "Memory available"),
    ):
        assert outcome.verdicts(criterion) == ["missed"], outcome.output
        assert why in outcome.reason(criterion)
