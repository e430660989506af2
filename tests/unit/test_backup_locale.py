"""A restore's database has the encoding and collation of its source, whatever the version."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest

from verify.backups import postgres
from verify.backups.locale import clause
from verify.backups.names import Backup, Kind

LIBC: dict[str, str | None] = {"encoding": "UTF8", "datcollate": "de_DE.utf8", "datctype": "C"}
SAID = "encoding 'UTF8' lc_collate 'de_DE.utf8' lc_ctype 'C'"


@pytest.mark.parametrize(
    ("more", "options"),
    [
        ({}, ""),
        ({"datlocprovider": "c", "daticulocale": None}, " locale_provider 'libc'"),
        (
            {"datlocprovider": "i", "daticulocale": "de-DE", "daticurules": "&a < b'"},
            " locale_provider 'icu' icu_locale 'de-DE' icu_rules '&a < b'''",
        ),
        (
            {"datlocprovider": "i", "datlocale": "de-DE", "daticurules": None},
            " locale_provider 'icu' icu_locale 'de-DE'",
        ),
        (
            {"datlocprovider": "b", "datlocale": "C.UTF-8"},
            " locale_provider 'builtin' builtin_locale 'C.UTF-8'",
        ),
    ],
    ids=["14", "libc", "icu of 16", "icu of 17", "builtin of 17"],
)
def test_a_database_is_made_like_its_source(more: dict[str, str | None], options: str) -> None:
    assert clause({**LIBC, **more}) == SAID + options


def test_a_restore_makes_its_database_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    any_thing: Any = None
    monkeypatch.setattr(postgres, "server", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(postgres, "psql", lambda *arguments, **_: said.append(arguments[-1]))
    monkeypatch.setattr(postgres, "load", lambda *_, **__: [])
    monkeypatch.setattr(postgres, "patience", lambda *_: 1.0)
    dump = Backup(datetime(2026, 1, 1, tzinfo=UTC), Kind.POSTGRES, "x", "gibd")
    spec = postgres.ServerSpec("image", "postgres", SAID)
    with postgres.restored(any_thing, dump, None, node=any_thing, spec=spec):
        pass
    assert said == [f'create database "gibd" template template0 {SAID};']


@pytest.mark.parametrize("kind", ["encoding and collation", "owner", "privileges", "settings"])
def test_what_a_database_itself_is_like_is_told_apart(kind: str) -> None:
    assert f"json_build_array('{kind}', 'the database'" in postgres._FINGERPRINT.decode()
