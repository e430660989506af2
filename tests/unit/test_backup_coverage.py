from __future__ import annotations

from datetime import UTC, datetime, timedelta

from verify.backups.coverage import forgotten
from verify.backups.names import Kind, parse

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_a_database_without_a_backup_is_named() -> None:
    found = forgotten({"gibd": ago(5), "general": None}, NOW, 60)
    assert found == ["the database general has no backup"]


def test_an_old_backup_is_none() -> None:
    assert forgotten({"gibd": ago(61)}, NOW, 60) == ["the newest backup of gibd is 61 s old"]
    assert forgotten({"gibd": ago(59)}, NOW, 60) == []


def test_roles_may_say_of_which_database_s_server_they_are() -> None:
    plain = parse("postgres/last/globals-20261126-120000.sql.gz")
    general = parse("postgres/last/general-globals-20261126-120000.sql.gz")
    assert plain is not None
    assert general is not None
    assert (plain.kind, plain.database) == (Kind.ROLES, "")
    assert (general.kind, general.database) == (Kind.ROLES, "general")
