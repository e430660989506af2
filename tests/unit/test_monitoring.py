from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
import yaml

from fixtures.errors import CannotProve, CutoverError
from fixtures.waiting import Pending
from tests.unit.builders import service, snapshot, task
from verify.monitoring import alerts, dashboards, datasources, looks, promtool, rules, targets
from verify.monitoring.alerts import Wanted
from verify.monitoring.api import Api, Monitoring, Sample
from verify.monitoring.datasources import Source
from verify.monitoring.promql import metrics_of
from verify.monitoring.reports import Report, reports_since
from verify.monitoring.rules import Rule
from verify.monitoring.settling import repeated
from verify.monitoring.targets import Target

NOW = 1_900_000_000.5
SHOP = snapshot(
    services=[service("till"), service("desk", 2)],
    tasks=[
        task("shop_till", addresses={"backend": "10.0.0.1", "public": "10.1.0.1"}),
        task("shop_desk", 1, addresses={"backend": "10.0.0.2"}),
        task("shop_desk", 2, "m2", addresses={"backend": "10.0.0.3"}),
    ],
)


def target(name: str, asked: str, **changed: Any) -> Target:
    values: dict[str, Any] = {
        "service": f"shop_{name}",
        "how": "metrics",
        "instance": f"{asked}:8080",
        "asked": asked,
        "health": "up",
        "error": "",
        "age": 1.0,
        "interval": 2.0,
    }
    return Target(**{**values, **changed})


ALL = (target("till", "10.1.0.1"), target("desk", "10.0.0.2"), target("desk", "10.0.0.3"))


def found(seen: Iterable[Target], *, excepted: tuple[str, ...] = ()) -> list[str]:
    return targets.problems(list(seen), SHOP, excepted=excepted, most_intervals=4, most_seconds=120)


def test_a_target_a_task_is_right() -> None:
    assert found(ALL) == []


def test_a_service_without_a_target_is_found_though_all_targets_are_up() -> None:
    assert found(ALL[1:]) == ["shop_till runs, and no target is of it"]
    assert found(ALL[1:], excepted=("shop_till",)) == []


def test_a_task_without_a_target_is_found() -> None:
    assert found(ALL[:2]) == ["shop_desk: no target asks shop_desk.2"]


def test_a_target_that_asks_another_service_is_found() -> None:
    wrong = target("till", "10.0.0.2")
    assert found((wrong, *ALL[1:])) == [
        "shop_till: no target asks shop_till.1",
        "target 10.0.0.2:8080 of shop_till asks 10.0.0.2, which is shop_desk's",
    ]


def test_a_name_does_for_a_single_task_only() -> None:
    assert found((target("till", "shop_till"), *ALL[1:])) == []
    named = target("desk", "tasks.shop_desk")
    assert found((ALL[0], named)) == ["shop_desk: no target asks shop_desk.1, shop_desk.2"]


def test_a_target_of_nobody_is_found() -> None:
    (first, second) = found((*ALL, target("gone", "10.9.9.9")))
    assert "the Swarm runs no such service" in first
    assert "which is nobody's" in second


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"health": "down", "error": "refused"}, "is down: refused"),
        ({"health": "unknown"}, "is unknown"),
        ({"age": 9.0}, "was scraped 9.0 s ago, every 2 s is due"),
        ({"age": None}, "was scraped never"),
    ],
)
def test_a_target_that_is_not_fresh_and_up_is_found(changed: dict[str, Any], said: str) -> None:
    (problem,) = found((target("till", "10.0.0.1", **changed), *ALL[1:]))
    assert said in problem


@pytest.mark.parametrize(
    ("interval", "age", "said"),
    [
        (3600.0, 3000.0, "was scraped 3000.0 s ago, every 3600 s is due"),
        (3600.0, 10.0, "is scraped every 3600 s only"),
        (60.0, 130.0, "was scraped 130.0 s ago"),
        (60.0, 110.0, None),
        (120.0, 119.0, None),
    ],
)
def test_an_interval_of_its_own_excuses_no_age(
    interval: float, age: float, said: str | None
) -> None:
    problems = found((target("till", "10.0.0.1", interval=interval, age=age), *ALL[1:]))
    assert (said is None and problems == []) or said in problems[0]


def active(url: str, **changed: Any) -> dict[str, Any]:
    return {
        "labels": {"service": "s", "how": "tcp", "instance": "10.0.0.1:25"},
        "scrapeUrl": url,
        "health": "up",
        "lastError": "",
        "lastScrape": "2030-03-17T17:46:38.123456789Z",
        "scrapeInterval": "1m30s",
        **changed,
    }


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://10.0.0.1:8080/metrics", "10.0.0.1"),
        ("http://exporter:9115/probe?module=tcp&target=10.0.0.7%3A25", "10.0.0.7"),
        ("http://exporter:9115/probe?target=http%3A%2F%2F10.0.0.8%3A80%2Fok", "10.0.0.8"),
        (
            "http://exporter:9121/scrape?target=redis%3A%2F%2Fdata_gibd-redis%3A6379",
            "data_gibd-redis",
        ),
    ],
)
def test_whom_a_target_asks_is_read_from_its_url(url: str, asked: str) -> None:
    (read,) = targets.parse({"activeTargets": [active(url)]}, NOW)
    assert read.asked == asked
    assert read.interval == 90
    assert read.age is not None
    assert read.age == pytest.approx(NOW - 1899999998.123456789, abs=1e-3)


def test_one_that_was_never_scraped_has_no_age() -> None:
    never = active("http://a/metrics", lastScrape="0001-01-01T00:00:00Z")
    assert targets.parse({"activeTargets": [never]}, NOW)[0].age is None


def test_another_format_is_an_error() -> None:
    with pytest.raises(CutoverError, match="activeTargets"):
        targets.parse({}, NOW)


def sample(metric: str, value: float, name: str = "till", at: str = "10.0.0.1") -> Sample:
    labels = {"__name__": metric, "service": f"shop_{name}", "instance": f"{at}:8080"}
    return Sample(labels, value)


SCRAPED = sample("scrape_samples_scraped", 12)


@pytest.mark.parametrize(
    ("how", "samples", "said"),
    [
        ("metrics", [sample("up", 1), SCRAPED], None),
        ("metrics", [sample("up", 1), sample("scrape_samples_scraped", 0)], "gives no metrics"),
        ("postgres", [sample("up", 1), sample("pg_up", 1), SCRAPED], None),
        ("postgres", [sample("up", 1), SCRAPED], "gives no pg_up"),
        ("postgres", [sample("pg_up", 1, at="10.0.0.9"), SCRAPED], "gives no pg_up"),
        ("tcp", [sample("up", 1), sample("probe_success", 0), SCRAPED], "probe_success is 0"),
        ("redis", [sample("redis_up", 0), SCRAPED], "redis_up is 0"),
        ("guess", [sample("up", 1)], "unknown way"),
    ],
)
def test_up_is_not_enough(how: str, samples: list[Sample], said: str | None) -> None:
    problems = targets.silent([target("till", "10.0.0.1", how=how)], samples)
    assert (said is None and problems == []) or said in problems[0]


def test_containers_that_are_not_seen() -> None:
    label, till = targets.SERVICE_LABEL, "/system.slice/docker-c-shop_till-1-m1.scope"

    def seen(*ids: str) -> list[str]:
        samples = [Sample({label: "shop_desk", "id": f"/docker/{each}"}, 1) for each in ids]
        samples += [Sample({label: "shop_till", "id": till}, 1), Sample({}, 1)]
        return targets.unseen_containers(samples, SHOP)

    first, second = "c-shop_desk-1-m1", "c-shop_desk-2-m2"
    assert seen(first, second) == []
    assert seen(first) == ["shop_desk: the container of shop_desk.2 on m2 is not seen"]
    # One that ended on m1 is still told of, and nothing of m2.
    assert seen(first, "c-ended") == ["shop_desk: the container of shop_desk.2 on m2 is not seen"]


def test_a_task_without_a_container_is_not_seen() -> None:
    """Every id holds an empty text."""
    one = snapshot(services=[service("till")], tasks=[task("shop_till", container_id="")])
    problems = targets.unseen_containers(
        [Sample({targets.SERVICE_LABEL: "shop_till", "id": "/1"}, 1)], one
    )
    assert problems == ["shop_till: the container of shop_till.1 on m1 is not seen"]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", {"up"}),
        ('sum by (service) (rate(http_requests_total{a="b c"}[5m]))', {"http_requests_total"}),
        ("time() - last_sync > 7200 or absent(last_sync)", {"last_sync"}),
        ("a unless on (b) (c == 1)", {"a", "c"}),
        ("a * on (instance) group_left (nodename) node_uname_info", {"a", "node_uname_info"}),
        ('label_replace(m{x!=""} / (n > 0), "s", "$1", "y", "(.+)")', {"m", "n"}),
        ("max by (x) (a:b:rate5m offset 5m) > bool 0.9e3", {"a:b:rate5m"}),
        ("vector(1)", set()),
        ('{__name__=~"x.*"}', set()),
        ("topk(3, q) and on () r", {"q", "r"}),
    ],
)
def test_which_metrics_an_expression_reads(expression: str, names: set[str]) -> None:
    assert metrics_of(expression) == names


def rule(name: str, expression: str = "up == 0", **changed: Any) -> Rule:
    values: dict[str, Any] = {"alert": True, "health": "ok", "error": ""}
    return Rule(name=name, expression=expression, **{**values, **changed})


def test_rules_that_cannot_work_are_found() -> None:
    loaded = [rule("A"), rule("B", health="err", error="many-to-many"), rule("C", health="unknown")]
    assert rules.problems(loaded, ["A", "B", "D"]) == [
        "B is err: many-to-many",
        "C is unknown: not evaluated yet",
        "the alert D is not loaded",
        "the alert C is loaded, and in no table",
    ]
    assert rules.problems([rule("A"), rule("r", alert=False)], ["A"]) == []


def test_a_healthy_rule_over_a_misspelt_metric_is_found() -> None:
    assert rules.unknown_metrics([rule("A", "nod_uname_info == 0")], ["node_uname_info"]) == [
        "A reads nod_uname_info, which does not exist"
    ]


def test_rules_are_read() -> None:
    group = {"rules": [{"name": "A", "type": "alerting", "query": "up == 0", "health": "ok"}]}
    assert rules.parse({"groups": [group]}) == [rule("A")]


def told(status: str, **labels: str) -> dict[str, Any]:
    return {"status": status, "labels": labels}


def test_the_last_word_counts_and_about_whom() -> None:
    received = [
        told("firing", alertname="NodeDown", nodename="n1"),
        told("firing", alertname="NodeDown", nodename="n2"),
        told("resolved", alertname="NodeDown", nodename="n1"),
    ]
    assert alerts.last_word(received, Wanted("NodeDown", "n1")) == "resolved"
    assert alerts.last_word(received, Wanted("NodeDown", "n2")) == "firing"
    assert alerts.last_word(received, Wanted("NodeDown", "n3")) == ""
    assert alerts.last_word(received, Wanted("NodeDown")) == "firing", "one of them still does"


def test_an_instance_is_not_what_an_alert_is_about() -> None:
    assert not Wanted("A", "n1").matches({"alertname": "A", "instance": "n1"})


@pytest.mark.parametrize(
    ("prometheus", "alertmanager", "said"),
    [
        ([], [], "is inactive in Prometheus"),
        (["pending"], [], "is pending in Prometheus"),
        (["firing"], [], "Alertmanager knows nothing of it"),
        (["firing"], [1], "the receiver was not told"),
    ],
)
def test_where_an_alert_is_stuck(prometheus: list[str], alertmanager: list[int], said: str) -> None:
    labels = {"alertname": "A", "service": "s"}
    found = alerts.where_stuck(
        Wanted("A", "s"),
        [{"state": state, "labels": labels} for state in prometheus],
        [{"labels": labels} for _ in alertmanager],
    )
    assert said in found


class Receiver:
    """A monitoring whose receiver says something more at each look."""

    def __init__(self, *looks: list[dict[str, Any]]) -> None:
        self.looks = list(looks)
        self.prometheus = self
        self.alertmanager = self

    def received(self, after: int) -> list[dict[str, Any]]:
        return (self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])[after:]

    def get(self, path: str) -> Any:
        return {"data": {"alerts": []}} if "v1" in path else []


def test_each_alert_has_its_own_time_and_a_missing_one_says_where_it_is_stuck() -> None:
    first = told("firing", alertname="A")
    monitoring: Any = Receiver([], [first])
    got = alerts.told(
        monitoring,
        [Wanted("A"), Wanted("B")],
        "firing",
        after=0,
        since=time.monotonic(),
        within=1.0,
    )
    assert got[Wanted("A")].seconds < 1
    assert got[Wanted("A")].reason == ""
    assert got[Wanted("B")].seconds > 1
    assert got[Wanted("B")].reason == "B is inactive in Prometheus"


def test_what_was_received_before_does_not_count() -> None:
    monitoring: Any = Receiver([told("firing", alertname="A")])
    got = alerts.told(
        monitoring, [Wanted("A")], "firing", after=1, since=time.monotonic(), within=0.1
    )
    assert got[Wanted("A")].reason


SOURCES = [Source("Prometheus", "p1", "prometheus", True), Source("Loki", "l1", "loki", False)]


def panel(title: str, *expressions: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "targets": [{"expr": e} for e in expressions], **more}


def test_queries_of_panels_and_rows_with_grafana_s_variables() -> None:
    board = {
        "title": "T",
        "templating": {"list": [{"name": "node"}]},
        "panels": [
            panel("one", 'rate(x{n=~"$node"}[$__rate_interval])'),
            {"title": "row", "panels": [panel("two", "y[${__range}]")]},
        ],
    }
    assert dashboards.queries(board, SOURCES) == [
        ("T / one", 'rate(x{n=~".+"}[1m])'),
        ("T / two", "y[5m]"),
    ]


def test_a_panel_over_a_source_that_grafana_does_not_have() -> None:
    def of(source: object) -> tuple[list[tuple[str, str]], list[str]]:
        variable = {"name": "source", "type": "datasource", "query": "prometheus"}
        board = {
            "title": "T",
            "templating": {"list": [variable]},
            "panels": [panel("p", "x", datasource=source)],
        }
        return dashboards.queries(board, SOURCES), datasources.problems(board, SOURCES)

    found = ([("T / p", "x")], [])
    for good in (
        None,
        "default",
        "Prometheus",
        "p1",
        {"uid": "p1"},
        {"uid": "${source}"},
        "$source",
    ):
        assert of(good) == found, good
    own = [Source("-- Grafana --", "grafana", "datasource", True)]
    board = {"title": "T", "panels": [panel("p", "x")]}
    assert datasources.problems(board, own) == ["T / p: Grafana has no such data source"]
    assert of({"uid": "gone"}) == ([], ["T / p: Grafana has no such data source"])
    assert of({"uid": "l1"}) == ([], []), "Loki's queries are not PromQL"


def test_a_query_in_another_language_needs_its_source_too() -> None:
    def of(source: str) -> list[str]:
        target = {"rawSql": "select 1", "datasource": {"uid": source}}
        board = {"title": "T", "panels": [{"title": "p", "targets": [target]}]}
        assert dashboards.queries(board, SOURCES) == []
        return datasources.problems(board, SOURCES)

    assert of("gone") == ["T / p: Grafana has no such data source"]
    assert of("__expr__") == [], "what Grafana itself makes of other queries"


def test_an_unknown_variable_is_an_error() -> None:
    with pytest.raises(CutoverError, match="nobody"):
        dashboards.queries({"title": "T", "panels": [panel("p", "x{a=$nobody}")]}, SOURCES)


def test_queries_without_data_are_found() -> None:
    def query(expression: str) -> list[Sample]:
        if expression == "bad":
            raise CutoverError("parse error", where="x")
        return {"good": [Sample({}, 1)], "nan": [Sample({}, float("nan"))]}.get(expression, [])

    asked = [("p", "good"), ("q", "none"), ("r", "nan"), ("s", "bad")]
    assert dashboards.problems(asked, query) == [
        "q: no data of none",
        "r: only NaN of nan",
        "s: parse error",
    ]


def test_a_rule_s_test_is_of_what_fires() -> None:
    text = promtool.written({"x": "0x9"}, [("A", 5, True), ("A", 2, False)])
    assert 'alertname="A", alertstate="firing"' in text
    assert "eval_time: 5m" in text
    assert "value: 0" in text


LOADED: dict[str, Any] = {
    "groups": [
        {
            "name": "expected",
            "rules": [
                {"name": "expected_service", "type": "recording", "query": "vector(1)"},
            ],
        },
        {
            "name": "alerts",
            "rules": [
                {
                    "name": "service_up",
                    "type": "recording",
                    "query": "max by (service) (up)",
                    "labels": {"of": "us"},
                },
                {
                    "name": "ServiceDown",
                    "type": "alerting",
                    "query": "expected_service unless service_up",
                    "duration": 90.5,
                    "keepFiringFor": 60,
                    "labels": {"severity": "critical"},
                    "annotations": {"summary": "$labels"},
                },
            ],
        },
        {
            "name": "alerts",
            "rules": [{"name": "Watchdog", "type": "alerting", "query": "vector(1)"}],
        },
    ]
}


def test_loaded_rules_become_a_file_but_for_what_is_awaited() -> None:
    """What a test's series say is awaited must be all that is."""
    file = yaml.safe_load(rules.as_file(LOADED))
    assert len({group["name"] for group in file["groups"]}) == len(file["groups"]) == 2
    assert [rule for group in file["groups"] for rule in group["rules"]] == [
        {"record": "service_up", "expr": "max by (service) (up)", "labels": {"of": "us"}},
        {
            "alert": "ServiceDown",
            "expr": "expected_service unless service_up",
            "for": "90500ms",
            "keep_firing_for": "60000ms",
            "labels": {"severity": "critical"},
        },
        {"alert": "Watchdog", "expr": "vector(1)", "for": "0ms", "labels": {}},
    ]


@pytest.mark.parametrize("is_twin", [True, False])
def test_servers_rules_are_tested_and_not_ours(is_twin: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/rules"
        return httpx.Response(200, json={"data": LOADED})

    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://x")
    cluster: Any = FakeCluster(is_twin)
    unused = Api("unused", client)
    standing = Monitoring(cluster, Api("prometheus", client), *[unused] * 4)
    text = looks.rules_to_test(standing)
    assert ("GitLabMirrorFailed" in text) is is_twin
    assert ("90500ms" in text) is not is_twin


class FakeCluster:
    def __init__(self, is_twin: bool) -> None:
        self.is_twin = is_twin


def pushing(is_twin: bool, calls: list[tuple[str, str, str]]) -> Report:
    def answer(request: httpx.Request) -> httpx.Response:
        calls.append((request.method, request.url.path, request.content.decode()))
        return httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://x")
    api = Api("prometheus-pushgateway", client)
    cluster: Any = FakeCluster(is_twin)
    return Report(Monitoring(cluster, api, api, api, api, api))


def test_jobs_report_in_groups_of_their_own_and_are_forgotten() -> None:
    calls: list[tuple[str, str, str]] = []
    report = pushing(True, calls)
    report.push("gitlab-mirror", 60)
    report.push("redis-backup", 0)
    report.forget_all()
    assert [(method, path) for method, path, _ in calls] == [
        ("PUT", "/metrics/job/gitlab-mirror"),
        ("PUT", "/metrics/job/backup/backup/redis-backup"),
        ("DELETE", "/metrics/job/gitlab-mirror"),
        ("DELETE", "/metrics/job/backup/backup/redis-backup"),
    ]
    assert "gitlab_mirror_last_sync_timestamp " in calls[0][2]


def test_the_reports_of_servers_are_not_falsified() -> None:
    calls: list[tuple[str, str, str]] = []
    report = pushing(False, calls)
    report.fresh()
    with pytest.raises(CannotProve):
        report.push("redis-backup", 0)
    with pytest.raises(CannotProve):
        report.forget("redis-backup")
    assert calls == []


def test_an_api_that_answers_badly_says_where() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/down":
            raise httpx.ConnectError("refused")
        return httpx.Response(422, text="parse error")

    api = Api(
        "prometheus", httpx.Client(transport=httpx.MockTransport(answer), base_url="http://x")
    )
    with pytest.raises(CutoverError, match="422: parse error"):
        api.get("/api/v1/query", query="(")
    with pytest.raises(CutoverError, match="does not answer: ConnectError"):
        api.get("/down")


def test_problems_are_looked_at_until_they_are_gone_or_time_is_over() -> None:
    looks = iter([["a", "b"], ["a"], []])
    assert repeated(lambda: next(looks), within=5, what="x") == []
    assert repeated(lambda: ["a"], within=0.1, what="x") == ["a"]

    def fails() -> list[str]:
        raise CutoverError("no answer", where="x")

    (only,) = repeated(fails, within=0.1, what="x")
    assert "no answer" in only


class Answering:
    """A monitoring that answers one query."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples

    def query(self, _: str) -> list[Sample]:
        return self.samples


def test_only_a_report_of_a_later_run_counts() -> None:
    monitoring: Any = Answering([Sample({"backup": "a"}, 100), Sample({"backup": "b"}, 90)])
    assert reports_since(monitoring, ["a"], 95) is True
    assert reports_since(monitoring, ["a", "b", "c"], 95) == Pending("no report of b, c")
