"""What a database is filled with to time its recovery, and how near it comes to the wanted size."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.cluster.ssh import CommandFailed
from fixtures.errors import CannotProve, CutoverError
from verify.backups import recovery

EMPTY = 7_500_000


class Database:
    """One whose rows take so many bytes each, indexes and all."""

    def __init__(self, row_bytes: float) -> None:
        self.row_bytes, self.rows = row_bytes, 0
        self.said: list[str] = []

    def sql(self, _source: object, statements: str) -> str:
        self.said.append(statements)
        if found := re.search(r"generate_series\(1, (\d+)\)", statements):
            self.rows += int(found[1])
        return str(round(EMPTY + self.rows * self.row_bytes))


SOURCE: Any = SimpleNamespace(cluster=SimpleNamespace(is_twin=True), database="gibd")


@pytest.mark.parametrize("row_bytes", [250.0, 318.0, 330.0])
def test_a_database_grows_to_the_size_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, row_bytes: float
) -> None:
    database = Database(row_bytes)
    monkeypatch.setattr(recovery, "_sql", database.sql)
    for wanted in (20_000_000, 120_000_000):
        recovery.grow(SOURCE, wanted)
        assert 0.99 * wanted < recovery.size(SOURCE) <= wanted
    with pytest.raises(CutoverError, match="larger than 60 MB"):
        recovery.grow(SOURCE, 60_000_000)


def test_the_filler_has_indexes_for_a_restore_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(318)
    monkeypatch.setattr(recovery, "_sql", database.sql)
    recovery.grow(SOURCE, 20_000_000)
    said = " ".join(database.said)
    assert "id bigint primary key" in said
    assert "create index" in said
    # Rows of an earlier size have the first keys.
    assert f"select coalesce(max(id), 0) from {recovery.FILLER}" in said


def test_a_server_s_database_is_not_filled_up() -> None:
    source = SimpleNamespace(cluster=SimpleNamespace(is_twin=False), database="gibd")
    with pytest.raises(CannotProve, match="not filled up"):
        recovery.grow(source, 10**9)  # type: ignore[arg-type]


def test_a_dump_without_the_table_of_marks_lacks_the_last_row() -> None:
    def answers(error: str) -> Any:
        def read(_query: str) -> str:
            raise CommandFailed(error)

        return SimpleNamespace(read=read)

    missing = 'exit status 1: ERROR:  relation "cutover_backup_marks" does not exist'
    assert recovery._read_mark(answers(missing), "m") == ""
    with pytest.raises(CommandFailed):
        recovery._read_mark(answers("exit status 137"), "m")
    assert recovery._read_mark(SimpleNamespace(read=lambda _: "1\n"), "m") == "1"  # type: ignore[arg-type]
