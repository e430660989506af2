from __future__ import annotations

from typing import Any

import pytest
import yaml

from fixtures.stacks import catalogue, scraping
from fixtures.stacks.scraping import How, Watched
from fixtures.stacks.validation import filled
from verify.monitoring.promql import metrics_of

EVERY = scraping.watched_with(["node-agents", "monitoring"])
TIMES = catalogue.ON_DEMAND["monitoring"].variables


def one(**service: Any) -> Watched:
    values = {"image": "x", "networks": ["backend"], **service}
    (found,) = scraping.watched({"shop": yaml.safe_dump({"services": {"till": values}})})
    return found


def config() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(
        filled(scraping.prometheus_config(EVERY), TIMES, source="prometheus.yml")
    )
    return parsed


def job(name: str) -> dict[str, Any]:
    (found,) = (each for each in config()["scrape_configs"] if each["job_name"] == name)
    return dict(found)


def test_a_label_says_where_metrics_are() -> None:
    found = one(labels={"prometheus.scrape": "9000/m"}, healthcheck={"test": ["CMD", "true"]})
    assert found == Watched("shop_till", How.METRICS, 9000, "/m")
    assert one(labels=["prometheus.scrape=9000/m"]) == found


@pytest.mark.parametrize(
    ("command", "secrets", "expected"),
    [
        ("pg_isready -q", ["postgres_password"], (How.POSTGRES, 5432, "")),
        ("pg_isready -q", ["another_password"], (How.TCP, 5432, "")),
        ("redis-cli ping", ["redis_password"], (How.REDIS, 6379, "")),
        ("redis-cli ping", [], (How.TCP, 6379, "")),
        ("exec 3<>/dev/tcp/127.0.0.1/80 && printf 'GET /ok HTTP/1.0'", [], (How.HTTP, 80, "/ok")),
        ("wget -q -O /dev/null http://127.0.0.1:8080/", [], (How.HTTP, 8080, "/")),
        ("curl -f 'http://localhost:80/ok?a=1'", [], (How.HTTP, 80, "/ok?a=1")),
        ("exec 3<>/dev/tcp/127.0.0.1/25", [], (How.TCP, 25, "")),
        ("something else", [], (How.NONE, 0, "")),
    ],
)
def test_else_the_health_check_says_how_it_is_asked(
    command: str, secrets: list[str], expected: tuple[How, int, str]
) -> None:
    found = one(healthcheck={"test": ["CMD-SHELL", command]}, secrets=secrets)
    assert (found.how, found.port, found.path) == expected


def test_last_comes_the_label_that_says_where_it_answers() -> None:
    deploy = {"labels": {"cutover.answers": "smtp 25"}}
    assert one(deploy=deploy, healthcheck={"test": ["CMD", "postfix", "status"]}).port == 25
    assert one(deploy=deploy, labels={"prometheus.scrape": "9000/metrics"}).port == 9000


def test_what_shares_no_network_with_prometheus_cannot_be_asked() -> None:
    found = one(networks=["staging"], labels={"prometheus.scrape": "9000/metrics"})
    assert found.how is How.NONE


def test_of_the_plan_s_services_only_netcheck_is_not_watched() -> None:
    assert [w.service for w in EVERY if w.how is How.NONE] == ["netcheck_netcheck"]
    assert {w.how for w in EVERY} == {How.METRICS, How.POSTGRES, How.REDIS, How.TCP, How.NONE}


def test_every_watched_service_has_a_job_of_its_own_name() -> None:
    names = [each["job_name"] for each in config()["scrape_configs"]]
    assert names == [w.service for w in EVERY if w.how is not How.NONE]
    for each in config()["scrape_configs"]:
        labels = {r["target_label"]: r.get("replacement") for r in each["relabel_configs"]}
        assert labels["service"] == each["job_name"]


def test_tasks_are_found_by_dns_and_databases_asked_by_their_exporters() -> None:
    primary = job("data_gibd-postgres")
    assert primary["dns_sd_configs"][0]["names"] == ["tasks.data_gibd-postgres"]
    labels = {r["target_label"]: r.get("replacement") for r in primary["relabel_configs"]}
    assert labels["__address__"] == "monitoring_postgres-exporter:9187"
    assert labels["__param_target"] == "$1"
    redis = job("data_gibd-redis")
    assert redis["static_configs"][0]["targets"] == ["redis://data_gibd-redis:6379"]


def test_the_redis_exporter_knows_every_redis() -> None:
    assert scraping.redis_targets(EVERY) == (
        "redis://data_gibd-redis:6379 redis://data_redis-replica:6379"
    )


def test_an_http_probe_asks_the_path_of_the_health_check() -> None:
    text = scraping.prometheus_config([Watched("shop_till", How.HTTP, 8080, "/health")])
    parsed = yaml.safe_load(filled(text, TIMES, source="x"))
    (relabel, *_) = parsed["scrape_configs"][0]["relabel_configs"]
    assert relabel["replacement"] == "http://$1/health"


def test_what_is_awaited_is_what_is_watched() -> None:
    rules = yaml.safe_load(scraping.expected_rules(EVERY, ["n1", "n2"]))["groups"][0]["rules"]
    awaited = [r["labels"]["service"] for r in rules if r["record"] == "expected_service"]
    assert awaited == [w.service for w in EVERY if w.how is not How.NONE]
    seen_only = [r["labels"]["service"] for r in rules if r["record"] == "expected_container"]
    assert seen_only == ["netcheck_netcheck"]
    assert [r["labels"]["nodename"] for r in rules if r["record"] == "expected_node"] == [
        "n1",
        "n2",
    ]


def test_primaries_and_backup_jobs_are_of_the_stack_files() -> None:
    assert set(scraping.PRIMARIES) <= {w.service for w in EVERY}
    backups = yaml.safe_load(catalogue.stack_text("backups"))["services"]
    assert set(scraping.BACKUP_AGES) == set(backups)


def test_a_twin_s_times_are_variables_of_the_stack_and_ages_stay_the_plan_s() -> None:
    times = scraping.twin_times(2, 3)
    assert set(times) <= set(TIMES)
    assert "CUTOVER_MIRROR_MAX_AGE" not in times
    assert (times["CUTOVER_SCRAPE_INTERVAL"], times["CUTOVER_ALERT_FOR"]) == ("2s", "3s")


def alert_rules() -> list[dict[str, Any]]:
    text = filled(
        catalogue.config_content("monitoring/alerts.yml").decode(), TIMES, source="alerts.yml"
    )
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def test_the_mirror_s_alert_is_the_plan_s_and_knows_absence() -> None:
    (rule,) = (r for r in alert_rules() if r.get("alert") == "GitLabMirrorFailed")
    assert "time() - gitlab_mirror_last_sync_timestamp > 7200" in rule["expr"]
    assert "absent(gitlab_mirror_last_sync_timestamp)" in rule["expr"]
    assert rule["for"] == "10m"


def test_no_alert_is_silent_when_its_metric_is_absent() -> None:
    """Each compares with what is awaited, or asks for absence; disks and memory are of the node."""
    for rule in alert_rules():
        if rule.get("alert") in (None, "Watchdog", "DiskFull", "MemoryHigh"):
            continue
        reads = metrics_of(rule["expr"])
        assert "absent(" in rule["expr"] or any(m.startswith("expected_") for m in reads), rule
