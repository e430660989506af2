from __future__ import annotations

from types import SimpleNamespace

import pytest

from fixtures.errors import CannotProve
from verify.backups import jobs, places
from verify.backups.names import Kind
from verify.backups.newest import content, lacking

SOURCE: dict[tuple[str, str], str | int] = {
    ("rows", "public.items"): 5,
    ("rows", "public.new"): 0,
    ("checksum", "public.items"): "a",
}


def test_what_changed_since_is_no_fault() -> None:
    copy: dict[tuple[str, str], str | int] = {
        ("rows", "public.items"): 3,
        ("checksum", "public.items"): "b",
    }
    assert lacking(Kind.POSTGRES, SOURCE, copy) == []


@pytest.mark.parametrize(
    ("copy", "problem"),
    [
        (
            {("rows", "public.items"): 0, ("rows", "public.other"): 1},
            "the table public.items is empty in it",
        ),
        ({("rows", "public.other"): 1}, "the table public.items is not in it"),
        ({("rows", "public.items"): 0, ("role", "postgres"): "x"}, "nothing is in it"),
        ({}, "nothing is in it"),
    ],
)
def test_a_table_without_its_rows_is_found(
    copy: dict[tuple[str, str], str | int], problem: str
) -> None:
    assert lacking(Kind.POSTGRES, SOURCE, copy) == [problem]


def test_keys_may_have_come_and_gone_but_not_all_of_them() -> None:
    assert lacking(Kind.REDIS, {("value", "0:a"): "1"}, {("value", "0:b"): "2"}) == []
    assert lacking(Kind.REDIS, {("value", "0:a"): "1"}, {}) == ["nothing is in it"]
    assert lacking(Kind.REDIS, {}, {}) == []


def test_a_folder_alone_is_not_a_volume_s_content() -> None:
    root = {("type", "v/"): "d", ("owner", "v/"): "0:0"}
    file: dict[tuple[str, str], str | int] = {**root, ("data", "v/a"): "f00"}
    assert content(Kind.VOLUMES, root) == []
    assert lacking(Kind.VOLUMES, file, root) == ["nothing is in it"]


def test_a_table_without_rows_is_not_content() -> None:
    assert content(Kind.POSTGRES, SOURCE) == ["public.items"]


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
