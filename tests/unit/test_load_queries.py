"""The file of queries: what it may say, and the asks drawn from it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.errors import CutoverError
from load import queries
from load.queries import Ask, Queries, draw, load_queries, named

READ = {
    "name": "read",
    "where": "both",
    "sql": "select * from {table} where id = %(id)s",
    "parameters": {"id": {"row": True}},
}
WRITE = {
    "name": "write",
    "where": "primary",
    "sql": "insert into {table} values (%(text)s)",
    "parameters": {"text": {"new": True}},
}


def made(*found: dict[str, Any], **changed: Any) -> Queries:
    return Queries.model_validate({"queries": list(found or (READ, WRITE)), **changed})


def test_the_file_that_comes_with_it_is_right_and_asks_the_services_own_queries() -> None:
    found = load_queries("queries.yml")
    web = Path("fixtures/images/web/web.py").read_text(encoding="utf-8")
    for name in ("newest items", "item by token"):
        sql = found.query(name).sql
        # In the service the placeholders have no names, and the text stands in pieces.
        words = sql.replace("%(service)s", "%s").replace("%(token)s", "%s").split()
        assert " ".join(words) in " ".join(web.replace('"\n', "").replace('"', " ").split())
    assert {query.where for query in found.queries} == {"both", "primary"}


def refusal(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "mine.yml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(CutoverError) as caught:
        load_queries(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sql": "select %s"}, "queries.0: sql: %s is no placeholder: write %(name)s"),
        ({"sql": "select 5 % 3"}, "is no placeholder"),
        ({"sql": "select 1 %"}, "is no placeholder"),
        ({"parameters": {}}, "parameters: id of the sql is not given"),
        (
            {"parameters": {"id": {"row": True}, "x": {"row": True}}},
            "parameters: the sql has no %(x)s",
        ),
        ({"where": "everywhere"}, "queries.0.where: Input should be 'primary'"),
        ({"limit_ms": 15}, "queries.0.limit_ms: there is no such field"),
        (
            {"parameters": {"id": {"row": True, "new": True}}},
            "queries.0.parameters.id: needs exactly one of",
        ),
        ({"parameters": {"id": {}}}, "queries.0.parameters.id: needs exactly one of"),
        ({"parameters": {"id": {"between": [2, 1]}}}, "the first must not be above the second"),
        ({"parameters": {"id": {"one_of": []}}}, "queries.0.parameters.id.one_of"),
        ({"rows": -1}, "queries.0.rows"),
        ({"name": ""}, "queries.0.name"),
    ],
)
def test_a_mistake_in_a_query_names_its_field(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    assert said in refusal(tmp_path, {"queries": [{**READ, **changed}]})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"queries": []}, "queries: List should have at least 1 item"),
        ({"queries": [READ, READ]}, "two queries are called read"),
        ({"queries": [READ], "connections": 0}, "connections"),
        ({"queries": [READ], "timeout": 0}, "timeout"),
        ({"queries": [READ], "rows": 10}, "rows"),
        ({"queries": [READ], "before": [""]}, "before.0"),
        ("queries: [", "is not YAML"),
        ("rows: 1000\nrows: 2000\n", "'rows' is given twice"),
        ("just text", "shows a complete one"),
    ],
)
def test_a_mistake_in_the_file_names_its_field(tmp_path: Path, content: Any, said: str) -> None:
    assert said in refusal(tmp_path, content)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CutoverError, match=r"nowhere\.yml: cannot be read"):
        load_queries(tmp_path / "nowhere.yml")
    with pytest.raises(CutoverError, match=r"load/profiles/nowhere\.yml"):
        load_queries("nowhere.yml")


def test_a_percent_sign_is_written_twice() -> None:
    assert made({**READ, "sql": "select 5 %% %(id)s"}).queries[0].parameters


def asks(count: int = 300, seed: int = 1, found: Queries | None = None) -> list[Ask]:
    return draw(found or made(), "t", count, {}, seed)


def test_every_query_is_asked_equally_often_of_each_of_its_servers() -> None:
    counted = Counter((ask.server, ask.query) for ask in asks())
    assert counted == {
        ("primary", "read"): 100,
        ("replica", "read"): 100,
        ("primary", "write"): 100,
    }


def test_the_order_changes_from_round_to_round() -> None:
    found = asks()
    rounds = {tuple((a.server, a.query) for a in found[i : i + 3]) for i in range(0, 300, 3)}
    assert len(rounds) == 6


def test_the_same_seed_draws_the_same() -> None:
    reads = made(READ)
    assert asks(seed=3, found=reads) == asks(seed=3, found=reads)
    assert asks(seed=3, found=reads) != asks(seed=4, found=reads)


def test_ids_are_those_of_rows_that_are_there() -> None:
    found = {ask.values["id"] for ask in asks(5000, found=made(READ, rows=1000))}
    assert min(found) >= 1  # type: ignore[type-var]
    assert max(found) <= 1000  # type: ignore[type-var]
    assert len(found) > 900


def test_what_is_new_is_never_the_same() -> None:
    found = [ask.values["text"] for ask in asks(found=made(WRITE))]
    assert len(set(found)) == len(found)


def test_values_come_from_where_the_file_says() -> None:
    sources = {
        "a": {"between": [5, 6]},
        "b": {"one_of": [None, "{table}"]},
        "c": {"from": "select token from items"},
    }
    query = {
        "name": "all",
        "where": "replica",
        "sql": "select %(a)s, %(b)s, %(c)s",
        "parameters": sources,
    }
    found = draw(made(query), "mine", 200, {("all", "c"): ["x", "y"]}, 1)
    assert {ask.server for ask in found} == {"replica"}
    assert {ask.values["a"] for ask in found} == {5, 6}
    assert {ask.values["b"] for ask in found} == {None, "mine"}
    assert {ask.values["c"] for ask in found} == {"x", "y"}


@pytest.mark.parametrize("count", [0, queries.MOST_ASKS + 1])
def test_too_many_are_refused_before_any_is_asked(count: int) -> None:
    with pytest.raises(CutoverError, match="Rate times seconds must be 1 to"):
        asks(count)


def test_the_table_has_a_name_of_its_own_in_each_run() -> None:
    assert named("select '{table}-' from {table}", "t_1") == "select 't_1-' from t_1"
