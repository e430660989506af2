"""What is wrong with mirrors, by what GitLab says of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from verify.mirror.projects import (
    Mirror,
    Project,
    in_flight,
    late_problems,
    listing_problems,
    mirror_problems,
    without_credentials,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOST = "https://github.example/org"


def ago(**of: float) -> datetime:
    return NOW - timedelta(**of)


GOOD = Mirror(
    url=f"{HOST}/web.git",
    enabled=True,
    update_status="finished",
    last_update_started_at=ago(minutes=29),
    last_successful_update_at=ago(minutes=28),
    last_error="",
)
WEB = Project(7, "group/web", "http://gitlab/group/web.git", False, (ago(minutes=30),), (GOOD,))


def late(project: Project) -> list[str]:
    return late_problems([project], NOW, HOUR)


def with_mirror(**changed: object) -> Project:
    return replace(WEB, mirrors=(replace(GOOD, **changed),))  # type: ignore[arg-type]


def test_a_good_one_has_no_problems() -> None:
    assert mirror_problems([WEB], HOST) == []
    assert late(WEB) == []
    assert WEB.waits_since() is None


def test_nobody_pushed_for_a_month_and_that_is_not_late() -> None:
    idle = with_mirror(last_update_started_at=ago(days=30), last_successful_update_at=ago(days=30))
    assert late(replace(idle, pushes=(ago(days=31),))) == []
    assert late(replace(idle, pushes=())) == []


def test_a_fresh_attempt_does_not_hide_an_old_success() -> None:
    """`last_update_started_at` is of the attempt that failed."""
    failing = with_mirror(
        update_status="failed",
        last_update_started_at=ago(seconds=5),
        last_successful_update_at=ago(days=2),
        last_error="13:push to mirror:\n  remote: GH013",
    )
    (told,) = late(failing)
    assert told == (
        "group/web: failed, last success 2026-11-24 12:00:00 UTC: 13:push to mirror: remote: GH013"
    )
    assert late(replace(failing, pushes=())) != []


@pytest.mark.parametrize("status", ["started", "none", "finished"])
def test_a_push_that_waits_too_long_is_late_whatever_the_status_says(status: str) -> None:
    behind = with_mirror(
        update_status=status,
        last_update_started_at=ago(hours=3),
        last_successful_update_at=ago(hours=3) if status != "started" else ago(hours=2.5),
    )
    behind = replace(behind, pushes=(ago(hours=2),))
    (told,) = late(replace(behind, mirrors=(replace(behind.mirrors[0], update_status=status),)))
    assert "a push of 7200 s ago" in told or "hangs since 09:00:00" in told


@pytest.mark.parametrize("status", ["none", "started", "finished"])
def test_a_busy_project_whose_mirror_is_dead_is_late(status: str) -> None:
    """Its newest push is never old."""
    dead = with_mirror(
        update_status=status,
        last_update_started_at=ago(minutes=50) if status == "started" else ago(days=10),
        last_successful_update_at=ago(days=10),
    )
    busy = replace(dead, pushes=tuple(ago(minutes=5 * n) for n in range(1, 100)))
    (told,) = late(busy)
    assert "a push of 29700 s ago has not arrived" in told
    assert not in_flight(busy, NOW, HOUR)


def test_pushes_that_arrived_do_not_make_one_that_waits_late() -> None:
    busy = replace(WEB, pushes=(ago(minutes=1), ago(minutes=30), ago(days=3)))
    assert late(busy) == []
    assert busy.waits_since() == ago(minutes=1)


def test_a_push_during_an_attempt_counts_as_waiting() -> None:
    """The attempt may have read the refs before it."""
    during = with_mirror(
        last_update_started_at=ago(minutes=90), last_successful_update_at=ago(minutes=80)
    )
    assert late(replace(during, pushes=(ago(minutes=85),))) == [
        "group/web: a push of 5100 s ago has not arrived"
    ]


def test_while_an_attempt_runs_the_last_success_counts() -> None:
    running = with_mirror(
        update_status="started",
        last_update_started_at=ago(seconds=2),
        last_successful_update_at=ago(days=3),
    )
    assert late(replace(running, pushes=(ago(days=4),))) == []
    assert late(replace(running, pushes=(ago(minutes=2),))) == []
    assert late(replace(running, pushes=(ago(hours=2),))) != []


def test_a_mirror_that_was_set_up_and_never_ran() -> None:
    """As the plan's script leaves it for a project to which nobody pushes."""
    never = with_mirror(
        update_status="none", last_update_started_at=None, last_successful_update_at=None
    )
    assert late(never) == []  # a push of half an hour ago has half an hour left
    assert late(replace(never, pushes=())) == ["group/web: never succeeded (update_status none)"]


def test_a_change_is_excused_only_while_it_waits() -> None:
    assert not in_flight(WEB, NOW, HOUR)
    waiting = replace(WEB, pushes=(ago(minutes=1),))
    assert in_flight(waiting, NOW, HOUR)
    assert not in_flight(waiting, NOW, timedelta(seconds=30))


def test_what_is_set_up_wrongly() -> None:
    def told(project: Project) -> list[str]:
        return mirror_problems([project], HOST)

    assert told(replace(WEB, mirrors=())) == ["group/web: no mirror"]
    assert told(replace(WEB, mirrors=(), empty=True)) == []
    assert told(with_mirror(enabled=False)) == ["group/web: its mirror is disabled"]
    assert told(with_mirror(url="https://elsewhere/org/web.git")) == [
        f"group/web: no mirror below {HOST}"
    ]
    assert told(with_mirror(url=f"{HOST}/shop.git")) == [
        f"group/web: its mirror is {HOST}/shop.git, not {HOST}/web"
    ]
    assert told(with_mirror(only_protected_branches=True)) == [
        "group/web: only its protected branches are mirrored"
    ]
    assert told(with_mirror(url=f"{HOST.replace('g', 'G', 1)}/web")) == []


def test_two_projects_of_one_name_overwrite_each_other() -> None:
    """The plan's script names the mirror by the last part of the path."""
    other = replace(WEB, id=8, path="another/web")
    assert mirror_problems([WEB, other], HOST) == [
        f"another/web and group/web have one mirror, {HOST}/web"
    ]


def test_a_list_that_ends_early() -> None:
    everything = list(range(1, 103))
    assert listing_problems(everything, everything, 102) == []
    assert listing_problems(everything, everything, None) == []
    assert listing_problems(everything[:100], everything, None) == [
        "the pages lack 2 projects, among them number 101"
    ]
    assert listing_problems(everything, everything[:100], 100) == [
        "the ids lack 2 projects, among them number 101"
    ]
    assert listing_problems(everything[:100], everything[:100], 102) == [
        "GitLab counts 102 projects and lists 100"
    ]


def test_what_a_url_hides() -> None:
    assert without_credentials("https://*****:*****@h/o/r.git") == "https://h/o/r.git"
    assert without_credentials("https://h:8080/o/r.git") == "https://h:8080/o/r.git"
