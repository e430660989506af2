"""How often a schedule runs, and what a dump, an archive and their judgement say."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fixtures.cluster.machine import Machine
from fixtures.errors import CutoverError
from tests.unit.local_machine import LocalConnection
from verify.backups import completeness
from verify.backups import schedule as schedule_of
from verify.backups.completeness import ArchiveSeen, DumpSeen, archive_problems, dump_problems
from verify.backups.names import Backup, Kind
from verify.backups.redis import DumpCheck
from verify.backups.schedule import period
from verify.backups.store import Store


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ("@every 20s", 20),
        ("@every 3m", 180),
        ("@every 2h", 7200),
        ("@hourly", 3600),
        ("@daily", 86400),
        ("0 * * * *", 3600),
        ("*/15 * * * *", 900),
        ("* * * * *", 60),
        ("0 4 * * *", 86400),
        ("0 */6 * * *", 6 * 3600),
        ("0 3 * * sun", 7 * 86400),
        ("0 3 * * 0", 7 * 86400),
        ("0 3 1 * *", 31 * 86400),
    ],
)
def test_a_schedule_has_a_period(schedule: str, seconds: float) -> None:
    assert period(schedule) == seconds


@pytest.mark.parametrize(
    "schedule", ["", "now", "0 4 * *", "0 1,13 * * *", "0 0 1 1 *", "@every s"]
)
def test_what_is_not_understood_is_an_error_and_no_guess(schedule: str) -> None:
    with pytest.raises(CutoverError):
        period(schedule)


@pytest.mark.parametrize("variable", ["SCHEDULE", "BACKUP_CRON_EXPRESSION"])
def test_a_service_says_its_schedule(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setattr(schedule_of, "environment_of", lambda *_: {variable: "0 3 * * 0"})
    cluster: Any = None
    assert schedule_of.period_of(cluster, "job") == 7 * 86400


def test_a_service_that_says_no_schedule_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_of, "environment_of", lambda *_: {})
    cluster: Any = None
    with pytest.raises(CutoverError, match="SCHEDULE"):
        schedule_of.period_of(cluster, "job")


SUMMARY = 'table public.items\nrows public.items 3\ntable shop."my orders"\nroles 0\nmark\nend\n'
SEEN = DumpSeen(
    "", True, frozenset({"public.items", "shop.my orders"}), {"public.items": 3}, 0, True
)
TABLES = ["public.items", "shop.my orders"]


def test_a_summary_is_read() -> None:
    assert completeness.parse_dump(0, SUMMARY, "") == SEEN


def test_a_whole_dump_is_no_problem() -> None:
    assert dump_problems(SEEN, TABLES, marked=True) == []


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (replace(SEEN, broken="gzip: unexpected end"), "it cannot be read: gzip: unexpected end"),
        (replace(SEEN, ended=False), "it has no end marker: pg_dump did not finish"),
        (replace(SEEN, tables=frozenset()), "it holds no table"),
        (replace(SEEN, tables=frozenset({"public.items"})), "it lacks the source's shop.my orders"),
        (replace(SEEN, marked=False), "it lacks a row that was written before it began"),
    ],
)
def test_each_flaw_of_a_dump_is_told(seen: DumpSeen, told: str) -> None:
    assert dump_problems(seen, TABLES, marked=True) == [told]


def test_saved_roles_are_counted() -> None:
    seen = replace(SEEN, roles=2)
    assert completeness.roles_problems(seen, 2) == []
    assert completeness.roles_problems(seen, 3) == ["it holds 2 roles of the source's 3"]


MADE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seen", "keys", "told"),
    [
        (DumpCheck("", MADE, 5), 9, []),
        (DumpCheck("", MADE, 0), 0, []),
        (DumpCheck("Unexpected EOF", MADE, 5), 5, ["Unexpected EOF"]),
        (DumpCheck("", None, 5), 5, ["it does not say when it was made"]),
        (DumpCheck("", MADE, 0), 5, ["it holds no key, where the source has 5"]),
    ],
)
def test_a_redis_dump_is_judged(seen: DumpCheck, keys: int, told: list[str]) -> None:
    assert completeness.redis_problems(seen, keys=keys) == told


def test_a_whole_dump_of_another_redis_lacks_the_mark() -> None:
    other = DumpCheck("", MADE, 5)
    assert completeness.redis_problems(other, keys=5, marked=True) == [
        "it lacks a key that was written before it began"
    ]
    ours = replace(other, marked=True)
    assert completeness.redis_problems(ours, keys=5, marked=True) == []


ARCHIVE = ArchiveSeen("", frozenset({"backup", "backup/a", "backup/b/x"}), True)


def test_an_archive_is_judged() -> None:
    assert archive_problems(ARCHIVE, ["backup/a", "backup/b"], marked=True) == []
    assert archive_problems(ARCHIVE, ["backup/c"]) == ["it has nothing of backup/c"]
    unmarked = replace(ARCHIVE, marked=False)
    assert archive_problems(unmarked, [], marked=True) == [
        "it lacks a file that was written before it began"
    ]
    assert archive_problems(replace(ARCHIVE, broken="tar: EOF"), []) == [
        "it cannot be read: tar: EOF"
    ]


DUMP = """--
-- PostgreSQL database dump
--
CREATE TABLE public.items (
    id bigint NOT NULL
);
CREATE UNLOGGED TABLE shop."my orders" (
);
CREATE MATERIALIZED VIEW shop.sums AS
COPY public.items (id) FROM stdin;
1
CREATE TABLE public.trap (
-- PostgreSQL database dump complete
\\.
COPY shop."x" (id) FROM stdin;
token-7
\\.
CREATE ROLE app;
"""
END = "-- PostgreSQL database dump complete\n--\n\\unrestrict x\n"


def summarised(text: str, tmp_path: Path) -> DumpSeen:
    path = "postgres/last/gibd-20260101-000000.sql.gz"
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(gzip.compress(text.encode()))
    store = Store(Machine("here", LocalConnection()), str(tmp_path))  # type: ignore[arg-type]
    return completeness.read_dump(store, Backup(MADE, Kind.POSTGRES, path, "gibd"), mark="token-7")


def test_rows_that_look_like_statements_are_rows(tmp_path: Path) -> None:
    seen = summarised(DUMP + END, tmp_path)
    assert seen == DumpSeen(
        "",
        True,
        frozenset({"public.items", "shop.my orders", "shop.sums"}),
        {"public.items": 3, "shop.x": 1},
        1,
        True,
    )


def test_a_dump_that_was_cut_has_no_end_though_a_row_says_so(tmp_path: Path) -> None:
    seen = summarised(DUMP[: DUMP.index("\\.")], tmp_path)
    assert not seen.ended
    assert seen.rows == {}
