"""The newest backup as it is found: which it is, how old, and whether it holds what it should."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.cluster.machine import Machine
from fixtures.errors import CannotProve, CutoverError
from tests.unit.local_machine import LocalConnection
from verify.backups import jobs, newest, places
from verify.backups.holding import MANY, Holding, held, parts
from verify.backups.names import Backup, Kind
from verify.backups.newest import Restored
from verify.backups.store import Store, Unreadable

Facts = dict[tuple[str, str], str | int | float]

SOURCE: Facts = {
    ("rows", "public.items"): 5,
    ("rows", "public.new"): 0,
    ("rows", "public.cutover_backup_marks"): 9,
    ("checksum", "public.items"): "a",
    ("role", "postgres"): "super",
    ("role", "app"): "x",
    ("password", "app"): "secret",
    ("password", "reader"): "none",
    ("constraint", "public.items.key"): "k",
    ("owner and privileges", "public.items"): "app",
    ("trigger", "public.items.changed"): "t",
    ("index", "public.cutover_backup_marks_pkey"): "i",
}


def lacking(kind: Kind, source: Facts, copy: Facts) -> list[str]:
    return held(kind, source, copy).lacking


def unsure(kind: Kind, source: Facts, copy: Facts) -> list[str]:
    return held(kind, source, copy).unsure


def test_what_changed_since_is_no_fault() -> None:
    copy: Facts = {**SOURCE, ("rows", "public.items"): 3, ("checksum", "public.items"): "b"}
    assert held(Kind.POSTGRES, SOURCE, copy) == Holding()
    assert held(Kind.POSTGRES, SOURCE, SOURCE) == Holding()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {("rows", "public.items"): 0, ("rows", "public.other"): 1},
            "the table public.items is empty in it",
        ),
        ({("rows", "public.items"): 0, ("rows", "public.cutover_x"): 1}, "nothing is in it"),
        ({("rows", "public.items"): 0, ("role", "postgres"): "x"}, "nothing is in it"),
    ],
)
def test_a_table_without_its_rows_is_found(change: Facts, problem: str) -> None:
    source: Facts = {**SOURCE, ("rows", "public.items"): MANY}
    assert lacking(Kind.POSTGRES, source, {**source, **change}) == [problem]


def test_a_small_table_may_have_been_empty() -> None:
    """An outbox, a queue; a job that left it out looks the same."""
    copy: Facts = {**SOURCE, ("rows", "public.items"): 0, ("rows", "public.other"): 1}
    assert held(Kind.POSTGRES, SOURCE, copy) == Holding(
        [], ["the table public.items is empty in it, and has 5 rows now"]
    )


def test_a_backup_of_nothing_or_of_something_else_is_found() -> None:
    assert lacking(Kind.POSTGRES, SOURCE, {}) == ["nothing is in it"]
    assert lacking(Kind.POSTGRES, SOURCE, {("rows", "public.other"): 1}) == [
        "none of the source's tables is in it"
    ]


def without(facts: Facts, *gone: tuple[str, str]) -> Facts:
    return {key: value for key, value in facts.items() if key not in gone}


def test_a_table_that_is_not_in_it_may_be_younger() -> None:
    source: Facts = {**SOURCE, ("rows", "public.young"): 5}
    assert held(Kind.POSTGRES, source, SOURCE) == Holding(
        [], ["the table public.young is not in it: new since then, or left out"]
    )


def test_a_tenth_of_the_rows_is_neither_a_backup_nor_a_fault() -> None:
    source: Facts = {**SOURCE, ("rows", "public.items"): 100}
    copy: Facts = {**SOURCE, ("rows", "public.items"): 49}
    assert held(Kind.POSTGRES, source, copy) == Holding(
        [], ["the table public.items has 49 rows in it, and 100 now"]
    )
    assert held(Kind.POSTGRES, source, {**copy, ("rows", "public.items"): 50}) == Holding()


def test_a_role_without_its_password_has_none_in_the_backup() -> None:
    copy: Facts = {**SOURCE, ("password", "app"): "none"}
    assert lacking(Kind.POSTGRES, SOURCE, copy) == ["no password is in it"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("role", "app"),
        ("password", "app"),
        ("constraint", "public.items.key"),
        ("owner and privileges", "public.items"),
        ("trigger", "public.items.changed"),
    ],
)
def test_what_seldom_changes_is_compared_and_a_kind_without_any_is_lacking(
    kind: str, name: str
) -> None:
    assert lacking(Kind.POSTGRES, SOURCE, without(SOURCE, (kind, name))) == [f"no {kind} is in it"]
    for copy in ({**SOURCE, (kind, name): "other"}, {**SOURCE, (kind, "more"): "other"}):
        (doubt,) = unsure(Kind.POSTGRES, SOURCE, copy)
        assert doubt.startswith(f"{kind} of ")
        assert doubt.endswith(": changed since, or not in the backup")


def test_what_a_fresh_server_has_stands_for_nothing() -> None:
    source: Facts = {**SOURCE, ("extension", "plpgsql"): "1", ("extension", "postgis"): "3"}
    copy: Facts = {**SOURCE, ("extension", "plpgsql"): "1"}
    assert lacking(Kind.POSTGRES, source, copy) == ["no extension is in it"]


def test_the_harness_s_own_tables_may_be_missing() -> None:
    ours = [key for key in SOURCE if "cutover_backup_marks" in key[1]]
    assert held(Kind.POSTGRES, SOURCE, without(SOURCE, *ours)) == Holding()


def keys(*names: str, expiry: int = -1) -> Facts:
    facts: Facts = {}
    for name in names:
        facts |= {("value", name): "v", ("expiry in ms", name): expiry}
    return facts


def test_keys_may_have_come_and_gone_but_not_all_of_them() -> None:
    assert held(Kind.REDIS, keys("0:a"), keys("0:b")) == Holding()
    assert lacking(Kind.REDIS, keys("0:a"), {}) == ["nothing is in it"]
    assert held(Kind.REDIS, {}, {}) == Holding()
    (doubt,) = unsure(Kind.REDIS, keys("0:a", "0:b", "0:c"), keys("0:a"))
    assert doubt == "the database 0 has 1 keys in it, and 3 now"


def test_each_numbered_database_that_has_lasting_keys_is_demanded() -> None:
    many = [f"3:{n}" for n in range(MANY)]
    source = {**keys("0:a"), **keys(*many)}
    assert lacking(Kind.REDIS, source, keys("0:a")) == ["the database 3 is not in it"]
    expiring = {**keys("0:a"), **keys(*many, expiry=1_800_000_000_000)}
    for young in (expiring, {**keys("0:a"), **keys("3:b")}):
        assert held(Kind.REDIS, young, keys("0:a")) == Holding(
            [], ["the database 3 is not in it: new since then, or left out"]
        )


def files(volume: str, *names: str) -> Facts:
    facts: Facts = {("type", f"{volume}/"): "d"}
    for name in names:
        facts |= {("type", f"{volume}/{name}"): "f", ("data", f"{volume}/{name}"): "f00"}
    return facts


def test_each_volume_is_demanded_with_its_content() -> None:
    source = {**files("v", "a"), **files("w", "b")}
    assert held(Kind.VOLUMES, source, source) == Holding()
    assert lacking(Kind.VOLUMES, source, files("v", "a")) == ["the volume w is not in it"]
    assert lacking(Kind.VOLUMES, source, {**files("v", "a"), **files("w")}) == [
        "the volume w is empty in it"
    ]


def test_an_empty_volume_needs_its_folder() -> None:
    source = {**files("v", "a"), **files("w")}
    assert held(Kind.VOLUMES, source, source) == Holding()
    assert lacking(Kind.VOLUMES, source, files("v", "a")) == ["the volume w is not in it"]


def test_a_folder_alone_is_not_a_volume_s_content() -> None:
    assert parts(Kind.VOLUMES, files("v")) == {"v": 0}
    assert lacking(Kind.VOLUMES, files("v", "a"), files("v")) == ["nothing is in it"]


NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module may have been imported half an hour ago."""
    monkeypatch.setitem(globals(), "NOW", datetime.now(UTC))


@dataclass
class Thing:
    """A Redis with one key, restored as it was or as told."""

    copy: Facts = field(default_factory=lambda: keys("0:a"))
    made: datetime | None = None
    error: Exception | None = None
    taken: list[str] = field(default_factory=list)
    kind: Kind = Kind.REDIS
    database: str = ""

    def fingerprint(self) -> Facts:
        return keys("0:a")

    @contextlib.contextmanager
    def restored(self, store: Store, backup: Backup, **_: object) -> Iterator[Any]:
        self.taken.append(backup.path)
        if self.error:
            raise self.error
        yield SimpleNamespace(complaints=[], made=self.made, fingerprint=lambda: self.copy)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "redis").mkdir()
    return Store(Machine("here", LocalConnection()), str(tmp_path))  # type: ignore[arg-type]


def put(store: Store, ago: float, *, written: float = 60) -> str:
    path = f"redis/redis-{NOW - timedelta(seconds=ago):%Y%m%d-%H%M%S}.rdb"
    (Path(store.path) / path).write_bytes(b"dump")
    at = NOW.timestamp() - written
    os.utime(Path(store.path) / path, (at, at))
    return path


def restored(thing: Thing, store: Store) -> Restored:
    subject: Any = thing
    node: Any = None
    return newest.restored(subject, store, node, period=100.0)


def test_the_newest_that_is_finished_is_restored_and_its_age_told(store: Store) -> None:
    put(store, 400)
    older = put(store, 200)
    put(store, 0, written=0)
    thing = Thing()
    found = restored(thing, store)
    assert thing.taken == [older]
    assert (found.problems, found.unsure, found.checked) == ([], [], 1)
    assert found.age.periods == pytest.approx(2, abs=0.1)


def test_the_only_one_that_is_being_written_says_nothing(store: Store) -> None:
    put(store, 0, written=0)
    with pytest.raises(CutoverError, match="being written"):
        restored(Thing(), store)


def test_old_data_under_a_new_name_is_old(store: Store) -> None:
    put(store, 5)
    assert restored(Thing(made=NOW - timedelta(days=1)), store).age.periods > 800


def test_a_name_of_the_future_is_of_no_age(store: Store) -> None:
    put(store, -600)
    assert restored(Thing(), store).age.periods == float("inf")


def test_what_it_lacks_and_what_cannot_be_told_name_the_backup(store: Store) -> None:
    path = put(store, 5)
    assert restored(Thing(copy={}), store).problems == [f"{path}: nothing is in it"]
    source = {**keys("0:a"), **keys("0:b"), **keys("0:c")}
    thing = Thing()
    thing.fingerprint = lambda: source  # type: ignore[method-assign]
    assert restored(thing, store).unsure == [f"{path}: the database 0 has 1 keys in it, and 3 now"]


def test_a_store_without_a_backup_or_without_a_folder_is_a_problem(store: Store) -> None:
    assert "there is no redis backup" in restored(Thing(), store).problems[0]
    gone = Store(store.node, f"{store.path}/gone")
    found = restored(Thing(), gone)
    assert found.problems
    assert found.age.periods == float("inf")


def test_a_file_that_cannot_be_read_is_a_problem_and_a_failed_start_is_none(store: Store) -> None:
    put(store, 5)
    assert restored(Thing(error=Unreadable("torn")), store).problems == ["torn"]
    with pytest.raises(CutoverError):
        restored(Thing(error=CutoverError("slow")), store)


def allowed(monkeypatch: pytest.MonkeyPatch, period: float, wait: float) -> float:
    monkeypatch.setattr(jobs, "period_of", lambda cluster, job: period)
    monkeypatch.setattr(places, "patience", lambda cluster: wait)
    return jobs.awaited_period_of(SimpleNamespace(), "postgres-backup")  # type: ignore[arg-type]


def test_a_job_whose_next_run_is_a_day_away_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert allowed(monkeypatch, period=20, wait=3600) == 20
    with pytest.raises(CannotProve, match="24 h away"):
        allowed(monkeypatch, period=86400, wait=3600)
