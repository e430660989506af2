from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures.cluster.machine import Machine
from signoff.outcome import Missed
from signoff.recorder import Measure, Recorder
from steps import backup_coverage
from tests.unit.local_machine import LocalConnection
from verify.backups.coverage import ambiguous, forgotten, newest_of
from verify.backups.names import Kind, parse
from verify.backups.store import Store

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_a_database_without_a_backup_is_named() -> None:
    found = forgotten({"gibd": ago(5), "general": None}, NOW, 60)
    assert found == ["the database general has no backup"]


def test_an_old_backup_is_none() -> None:
    assert forgotten({"gibd": ago(61)}, NOW, 60) == ["the newest backup of gibd is 61 s old"]
    assert forgotten({"gibd": ago(59)}, NOW, 60) == []


def test_a_name_from_the_future_is_no_backup_for_ever() -> None:
    (problem,) = forgotten({"gibd": ago(-86400)}, NOW, 60)
    assert "of the future" in problem
    assert forgotten({"gibd": ago(-0.5)}, NOW, 60) == []


@pytest.mark.parametrize(("size", "counts"), [(0, False), (20, False), (21, True)])
def test_a_file_without_content_is_no_backup(tmp_path: Path, size: int, counts: bool) -> None:
    last = tmp_path / "postgres/last"
    last.mkdir(parents=True)
    (last / "gibd-20261125-000000.sql.gz").write_bytes(b"x" * 500)
    (last / "gibd-20261126-000000.sql.gz").write_bytes(b"x" * size)
    store = Store(Machine("here", LocalConnection()), str(tmp_path))  # type: ignore[arg-type]
    taken = newest_of(store, ["gibd"])["gibd"]
    assert taken is not None
    assert taken.day == (26 if counts else 25)


def test_one_server_s_backup_is_not_taken_for_another_s() -> None:
    (problem,) = ambiguous({"a": ["shop", "x"], "b": ["shop", "y"]})
    assert problem.startswith("a and b each have a database shop")
    assert ambiguous({"a": ["x"], "b": ["y"]}) == []


def test_roles_may_say_of_which_database_s_server_they_are() -> None:
    plain = parse("postgres/last/globals-20261126-120000.sql.gz")
    general = parse("postgres/last/general-globals-20261126-120000.sql.gz")
    assert plain is not None
    assert general is not None
    assert (plain.kind, plain.database) == (Kind.ROLES, "")
    assert (general.kind, general.database) == (Kind.ROLES, "general")


def test_a_store_that_is_gone_is_a_database_without_a_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not an error of the harness's."""
    cluster: Any = None
    store = Store(Machine("here", LocalConnection()), f"{tmp_path}/gone")  # type: ignore[arg-type]
    monkeypatch.setattr(backup_coverage.jobs, "period_of", lambda *_: 0.1)
    monkeypatch.setattr(backup_coverage.places, "local", lambda _: store)
    monkeypatch.setattr(backup_coverage.places, "patience", lambda _: 0.1)
    monkeypatch.setattr(backup_coverage.coverage, "databases_of", lambda *_: ["gibd"])
    measure = Measure(Recorder(tmp_path / "m.jsonl"), feature="f", scenario="s")
    with pytest.raises(Missed, match="gone on here"):
        backup_coverage.none_forgotten(cluster, 1.0, "job", "gibd-postgres", 2.0, measure)
