"""Where queries are asked from, what is made for them in the database, and what came back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from fixtures import waiting
from fixtures.cluster.ssh import Completed
from fixtures.cluster.swarm import Snapshot
from fixtures.errors import CutoverError, Unreachable
from load import query_findings
from load.queries import PRIMARY, REPLICA, Ask, Queries
from load.query_findings import Answer, Asked
from load.query_run import Database, ask_from_inside, parse, place_to_ask
from load.query_seed import seeded
from signoff.query_plots import query_figure
from tests.unit.builders import Clock, FakeCluster, service, snapshot, task

QUERIES = Queries.model_validate(
    {
        "before": ["insert into items values ('{table}')", "update items set x = 1"],
        "after": ["delete from items where service = '{table}'"],
        "queries": [
            {
                "name": "read",
                "where": "both",
                "sql": "select * from {table} where id = %(id)s",
                "parameters": {"id": {"row": True}},
            },
            {
                "name": "by token",
                "where": "replica",
                "sql": "select * from items where token = %(token)s",
                "parameters": {"token": {"from": "select token from items"}},
            },
        ],
    }
)


# --- which node asks


def runs(*places: tuple[str, str], netcheck: Sequence[str] = ("m1", "m2", "m3", "w1")) -> Snapshot:
    tasks = [task(f"shop_{name}", on=node) for name, node in places]
    tasks += [task("shop_netcheck", None, node) for node in netcheck]
    return snapshot(services=[service("netcheck", None)], tasks=tasks)


DATABASES = ("shop_db", "shop_copy")


def test_queries_are_asked_where_applications_run_and_no_database_does() -> None:
    seen = runs(("db", "m1"), ("copy", "m2"), ("web", "w1"), ("api", "m3"), ("api", "w1"))
    place = place_to_ask(seen, DATABASES)
    assert (place.node, place.container) == ("w1", "c-shop_netcheck-None-w1")


def test_a_databases_node_is_taken_when_there_is_no_other() -> None:
    seen = runs(("db", "m1"), ("copy", "m2"), ("web", "m2"), netcheck=("m1", "m2"))
    assert place_to_ask(seen, DATABASES).node == "m2"


def test_without_a_container_to_ask_from_nothing_is_asked() -> None:
    with pytest.raises(CutoverError, match=r"netcheck: no task runs\. Deploy the netcheck stack"):
        place_to_ask(runs(("db", "m1"), netcheck=()), DATABASES)


# --- what is made in the database


class Rows(list[tuple[Any, ...]]):
    def fetchone(self) -> tuple[Any, ...] | None:
        return self[0] if self else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self)

    def fetchmany(self, _most: int) -> list[tuple[Any, ...]]:
        return list(self)


class Server:
    """Notes what it is told; `answer` may raise."""

    def __init__(self, answer: Callable[[str], Sequence[tuple[Any, ...]] | None]) -> None:
        self._answer = answer
        self.said: list[str] = []

    @contextmanager
    def connect(self) -> Iterator[Any]:
        yield self

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.said.append("begin")
        try:
            yield
        except BaseException:
            self.said.append("rollback")
            raise
        self.said.append("commit")

    def execute(self, query: str | bytes, _values: Any = None) -> Rows:
        text = query.decode() if isinstance(query, bytes) else query
        self.said.append(text)
        return Rows(self._answer(text) or [])

    def words(self) -> list[str]:
        return [text.split()[0] for text in self.said]


def good(text: str) -> Sequence[tuple[Any, ...]] | None:
    if text.startswith("explain"):
        return [("Index Scan",), ("  Index Cond",)]
    if text == "select token from items":
        return [("one",), ("two",)]
    if "lsn" in text:
        return [(0 if "diff" in text else "0/1",)]
    return [(True,)] if "advisory" in text else None


def pair(
    primary: Callable[[str], Any] = good, replica: Callable[[str], Any] = good
) -> tuple[dict[str, Any], Server, Server]:
    one, other = Server(primary), Server(replica)
    return {PRIMARY: one.connect, REPLICA: other.connect}, one, other


def test_the_table_is_made_on_the_primary_and_dropped_in_the_end() -> None:
    connect, primary, replica = pair()
    with seeded(connect, QUERIES, "mine.yml") as made:
        before = len(primary.said)
        assert made.drawn == {("by token", "token"): ["one", "two"]}
        assert made.plans == {
            (PRIMARY, "read"): "Index Scan\n  Index Cond",
            (REPLICA, "read"): "Index Scan\n  Index Cond",
            (REPLICA, "by token"): "Index Scan\n  Index Cond",
        }
    words = (
        "set select select create insert create analyze begin insert update commit"
        " select select explain"
    )
    assert primary.words()[:before] == words.split()
    assert f"insert into items values ('{made.table}')" in primary.said
    assert primary.said[before:] == [
        f"delete from items where service = '{made.table}'",
        f"drop table if exists {made.table}",
    ]
    assert not {"create", "insert", "drop"} & set(replica.words())


def test_it_is_dropped_also_when_asking_fails() -> None:
    connect, primary, _ = pair()
    with pytest.raises(KeyboardInterrupt), seeded(connect, QUERIES, "mine.yml"):
        raise KeyboardInterrupt
    assert primary.words()[-2:] == ["delete", "drop"]


@pytest.mark.parametrize("running", [False, True])
def test_what_a_killed_harness_left_is_removed_and_what_another_uses_is_not(running: bool) -> None:
    left = "cutover_query_0a1b2c3d"

    def with_left(text: str) -> Any:
        if "pg_class" in text:
            return [(left,)]
        return [(not running,)] if "try_advisory" in text else good(text)

    connect, primary, _ = pair(with_left)
    with seeded(connect, QUERIES, "mine.yml"):
        pass
    removed = [
        f"delete from items where service = '{left}'",
        f"drop table if exists {left}",
        f"select pg_advisory_unlock(hashtext('{left}'))",
    ]
    assert [text for text in primary.said if text in removed] == ([] if running else removed)


def test_a_statement_that_the_database_refuses_is_a_mistake_in_the_file() -> None:
    def without_items(text: str) -> Any:
        if "items" in text:
            raise psycopg.errors.UndefinedTable('relation "items" does not exist')
        return good(text)

    connect, primary, _ = pair(without_items)
    with (
        pytest.raises(
            CutoverError, match=r'mine\.yml: before\.0: .*"items" does not exist\. Edit the file'
        ),
        seeded(connect, QUERIES, "mine.yml"),
    ):
        pytest.fail("nothing may be asked")
    # What `after` takes away was never there: it is not asked for.
    assert primary.words()[-3:] == ["insert", "rollback", "drop"]


def test_a_query_that_a_server_refuses_is_a_mistake_in_the_file() -> None:
    def refuses(text: str) -> Any:
        if text.startswith("explain") and "token" in text:
            raise psycopg.errors.UndefinedColumn("column token does not exist")
        return good(text)

    connect, primary, _ = pair(replica=refuses)
    with (
        pytest.raises(CutoverError, match=r"mine\.yml: queries\.1\.sql, on the replica: "),
        seeded(connect, QUERIES, "mine.yml"),
    ):
        pytest.fail("nothing may be asked")
    assert primary.words()[-1] == "drop"


def test_a_server_that_went_away_is_no_mistake_in_the_file() -> None:
    def gone(text: str) -> Any:
        if text.startswith("update items"):
            raise psycopg.OperationalError("server closed the connection")
        return good(text)

    connect, _, _ = pair(gone)
    with pytest.raises(psycopg.OperationalError), seeded(connect, QUERIES, "mine.yml"):
        pytest.fail("nothing may be asked")


def test_a_parameter_without_values_is_a_mistake_in_the_file() -> None:
    connect, _, _ = pair(lambda text: [] if text.startswith("select token") else good(text))
    with (
        pytest.raises(CutoverError, match=r"queries\.1\.parameters\.token\.from: gave no row"),
        seeded(connect, QUERIES, "mine.yml"),
    ):
        pytest.fail("nothing may be asked")


def test_a_replica_that_does_not_follow_is_waited_for_and_then_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    connect, primary, _ = pair(replica=lambda text: [(77,)] if "diff" in text else good(text))
    with (
        pytest.raises(CutoverError, match=r"replica: .*77 bytes are missing"),
        seeded(connect, QUERIES, "mine.yml"),
    ):
        pytest.fail("nothing may be asked")
    assert primary.words()[-2:] == ["delete", "drop"]


# --- the agent's way there and back


def database(server: Server, name: str) -> Database:
    return Database(f"shop_{name}", name, "gibd", "postgres", server.connect, "s3cret")


def ask(cluster: FakeCluster, seconds: float = 0.5) -> Asked:
    _, primary, replica = pair()
    return ask_from_inside(
        cluster,  # type: ignore[arg-type]
        {PRIMARY: database(primary, "db"), REPLICA: database(replica, "copy")},
        QUERIES,
        where="mine.yml",
        rate=60,
        seconds=seconds,
        seed=1,
    )


def test_orders_and_password_go_through_standard_input_which_stays_open() -> None:
    cluster = FakeCluster(runs(("db", "m1"), ("copy", "m2"), ("web", "m3")))
    ran: dict[str, Any] = {}

    def answer(command: str, **options: Any) -> Completed:
        ran.update(options, command=command)
        told = json.loads(options["stdin"].splitlines()[-1])
        ran["told"] = told
        lines = [
            [n, n / 60, n / 60 + 0.001, n / 60 + 0.004, "" if n else "no free connection"]
            for n in range(len(told["asks"]))
        ]
        printed = [*lines, {"cpu": 0.1, "seconds": 0.5}]
        return Completed(command, 0, "\n".join(map(json.dumps, printed)), "")

    cluster.nodes["m3"].runs = answer  # type: ignore[attr-defined]
    asked = ask(cluster)
    assert ran["command"].startswith("docker exec -i c-shop_netcheck-None-m3 python3 -c ")
    assert "s3cret" not in ran["command"]
    assert ran["stdin_stays_open"] is True
    assert 30 < ran["timeout"] < 60
    told = ran["told"]
    assert told["servers"]["replica"] == {
        "host": "copy",
        "port": 5432,
        "dbname": "gibd",
        "user": "postgres",
        "password": "s3cret",
    }
    assert "{table}" not in json.dumps(told)
    assert len(told["asks"]) == 30
    assert {tuple(a[:2]) for a in told["asks"]} == set(QUERIES.pairs)
    assert asked.asked_from == "m3"
    assert len(asked.answers) == asked.intended == 30
    assert sum(bool(a.error) for a in asked.answers) == 1
    assert "s3cret" not in repr(database(Server(good), "db"))


def test_an_agent_that_did_not_start_is_told() -> None:
    cluster = FakeCluster(runs(("web", "m3")))
    cluster.nodes["m3"].runs = lambda command, **_: Completed(  # type: ignore[attr-defined]
        command, 127, "", "python3: not found"
    )
    with pytest.raises(CutoverError, match="query agent on m3: ended with 127: python3: not found"):
        ask(cluster)


def test_an_unreachable_node_ends_it_with_the_table_gone() -> None:
    def gone(_command: str, **_: Any) -> Completed:
        raise Unreachable("no ssh connection", where="node m3")

    cluster = FakeCluster(runs(("web", "m3")))
    cluster.nodes["m3"].runs = gone  # type: ignore[attr-defined]
    with pytest.raises(Unreachable):
        ask(cluster)


ASKS = [Ask("primary", "read", {"id": 1})]


def test_what_the_agent_could_not_do_is_told() -> None:
    with pytest.raises(CutoverError, match=r"netcheck container on m1: No module .* needs python3"):
        parse('{"failure": "No module named psycopg"}\n', ASKS, "m1")


@pytest.mark.parametrize(
    "printed", ["", "Killed", "[0, 0, 0, 0]", '[0, 0, 0, 0, ""]', '[7, 0, 0, 0, ""]\n{"cpu": 0}']
)
def test_a_result_that_was_cut_off_is_none(printed: str) -> None:
    with pytest.raises(CutoverError, match="query agent on m1: printed no result"):
        parse(printed, ASKS, "m1")


# --- what it says


def asked_with(
    *,
    times: Sequence[float] = (0.003,) * 200,
    lags: Sequence[float] = (0.001,) * 200,
    failed: int = 0,
    cpu: float = 0.1,
) -> Asked:
    answers = [
        Answer(PRIMARY, "read", n / 50, n / 50 + lag, n / 50 + lag + took)
        for n, (took, lag) in enumerate(zip(times, lags, strict=True))
    ]
    answers[:failed] = [
        Answer(a.server, a.query, a.due, a.started, a.started, "no free connection")
        for a in answers[:failed]
    ]
    services = {PRIMARY: "db", REPLICA: "copy"}
    plans = {(PRIMARY, "read"): "Index Scan"}
    return Asked("m3", services, answers, 4.0, 2.0, len(answers), cpu, plans)


def test_a_query_time_lies_between_when_it_was_sent_and_when_it_was_due() -> None:
    (found,) = query_findings.query_times(asked_with(), [PRIMARY], 95)
    assert found.within.value == pytest.approx(3.5)
    assert found.within.error == pytest.approx(0.5)
    assert (found.n, found.failed, found.failures) == (200, 0, ())
    assert found.p99 == pytest.approx(4.0)
    with pytest.raises(CutoverError, match="nothing was asked of 'replica'"):
        query_findings.query_times(asked_with(), [PRIMARY, REPLICA], 95)


def test_a_query_that_failed_was_not_answered_in_any_time() -> None:
    (found,) = query_findings.query_times(asked_with(failed=30), [PRIMARY], 95)
    assert found.within.value == 2000
    assert found.failures == ("30 x no free connection",)
    (few,) = query_findings.query_times(asked_with(failed=1), [PRIMARY], 95)
    assert few.within.value == pytest.approx(3.5)


def test_an_agent_that_kept_its_times_is_believed() -> None:
    assert query_findings.objections(asked_with()) == []


def test_an_agent_that_was_starved_is_not() -> None:
    # Of a run beside three other twins on 2 cores: lags at the percentiles 50, 90, 95, 98 and 99.
    lags = [0.0014] * 160 + [0.069] * 20 + [0.1455] * 10 + [0.217] * 5 + [0.2494] * 5
    (said,) = query_findings.objections(asked_with(lags=lags))
    assert said == "the generator's own lag p99 is 249 ms (over 50 ms)"
    (busy,) = query_findings.objections(asked_with(cpu=0.97))
    assert "97 % of its core" in busy


def test_the_table_has_a_row_for_each_query_and_the_story_its_plan() -> None:
    (row,) = query_findings.table(asked_with(failed=1))
    assert row["server"] == "db"
    assert (row["asked"], row["failed"], row["p50 ms"]) == ("200", "1", "4.0")
    story = query_findings.story(asked_with())
    assert "Asked from m3: 200 of 200 queries in 4.0 s, late by 1.0 ms (p99), 10 %" in story
    assert "read on db:\nIndex Scan" in story
    assert "Asked from" in query_findings.story(
        Asked("m3", {}, [], seconds=1, timeout=2, intended=5, cpu=0, plans={})
    )


def test_failed_queries_are_counted_in_the_picture() -> None:
    from signoff import plots
    from signoff.plots import Point

    points = {"db": {"read": [Point(0, 0.003, True), Point(1, 0, False)]}, "copy": {}}
    figure = query_figure("title", points)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["read, 1 failed"]
    assert plots.as_png(figure).startswith(b"\x89PNG")
    only_failed = query_figure("t", {"db": {"read": [Point(1, 0, False)]}})
    assert plots.as_png(only_failed).startswith(b"\x89PNG")
    assert plots.as_png(query_figure("t", {})).startswith(b"\x89PNG")
