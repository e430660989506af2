"""What may lose a write that was acknowledged, though no drill shows it."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from verify import durability
from verify.durability import unsafe, unsafe_overrides

GOOD = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


@pytest.mark.parametrize("commit", ["on", "local", "remote_apply"])
def test_settings_that_keep_what_was_acknowledged(commit: str) -> None:
    assert unsafe({**GOOD, "synchronous_commit": commit}) == []


@pytest.mark.parametrize("name", sorted(GOOD))
def test_each_of_them_off_is_named(name: str) -> None:
    assert unsafe({**GOOD, name: "off"}) == [f"{name} is off"]
    assert unsafe({k: v for k, v in GOOD.items() if k != name}) == [f"{name} is unknown"]


def test_a_value_that_is_not_the_server_s_own_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {"synchronous_commit": "database"}
    answers = iter([[(name, "on", sources.get(name, "default")) for name in GOOD], []])
    server = SimpleNamespace(execute=lambda *_: SimpleNamespace(fetchall=lambda: next(answers)))
    monkeypatch.setattr(durability, "server_of", lambda *_: None)
    monkeypatch.setattr(durability, "connected", lambda *_: contextlib.nullcontext(server))
    cluster: Any = SimpleNamespace(snapshot=lambda: None)
    (problem,) = durability.problems(cluster, "db")
    assert problem.startswith("synchronous_commit of the server itself is hidden")


def test_a_role_or_a_database_may_have_its_own() -> None:
    own = [
        ("shop", "every role", "synchronous_commit=off"),
        ("every database", "app", "synchronous_commit=local"),
        ("every database", "app", "work_mem=64MB"),
    ]
    assert unsafe_overrides(own) == ["synchronous_commit is off for every role in shop"]
