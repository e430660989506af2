"""What file names say, how old that makes a backup, and what a listing shows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from verify.backups.freshness import age
from verify.backups.listing import holds_something, link_problems, parse_listing
from verify.backups.names import Backup, Kind, Tier, backups, kept, parse, tier_path

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "kind", "database"),
    [
        ("postgres/last/gibd-20260304-050607.sql.gz", Kind.POSTGRES, "gibd"),
        ("postgres/last/my-shop-20260304-050607.sql.gz", Kind.POSTGRES, "my-shop"),
        ("postgres/last/globals-20260304-050607.sql.gz", Kind.ROLES, ""),
        ("redis/redis-20260304-050607.rdb", Kind.REDIS, ""),
        ("volumes/backup-2026-03-04T05-06-07.tar.gz", Kind.VOLUMES, ""),
    ],
)
def test_a_backup_says_what_it_is_and_when_it_was_taken(
    path: str, kind: Kind, database: str
) -> None:
    assert parse(path) == Backup(NOW, kind, path, database)


@pytest.mark.parametrize(
    ("path", "taken", "precision"),
    [
        ("redis/redis-20260304-0506.rdb", NOW.replace(second=0), 60),
        ("volumes/backup-2026-03-04.tar.gz", datetime(2026, 3, 4, tzinfo=UTC), 86400),
    ],
)
def test_the_plan_s_own_names_are_less_precise_and_so_is_their_age(
    path: str, taken: datetime, precision: float
) -> None:
    backup = parse(path)
    assert backup is not None
    assert (backup.taken, backup.precision) == (taken, precision)
    assert age([backup], NOW, 100).error == precision / 100


@pytest.mark.parametrize(
    "path",
    [
        "postgres/last/gibd-latest.sql.gz",
        "postgres/daily/gibd-20260304.sql.gz",
        "postgres/last/gibd-20261304-050607.sql.gz",  # no such month
        "postgres/last/gibd-20260304-050607.sql.gz.part",
        "redis/dump.rdb",
        "elsewhere/redis/redis-20260304-050607.rdb",
    ],
)
def test_what_is_no_backup_is_none(path: str) -> None:
    assert parse(path) is None


def test_backups_are_of_one_database_and_in_order() -> None:
    paths = [
        "postgres/last/gibd-20260302-000000.sql.gz",
        "postgres/last/gibd-20260301-000000.sql.gz",
        "postgres/last/other-20260303-000000.sql.gz",
        "postgres/last/globals-20260303-000000.sql.gz",
    ]
    assert [b.taken.day for b in backups(paths, Kind.POSTGRES, "gibd")] == [1, 2]
    assert [b.taken.day for b in backups(paths, Kind.ROLES)] == [3]


@pytest.mark.parametrize("tier", list(Tier))
def test_a_tier_path_is_read_back_as_the_start_of_its_day_week_or_month(tier: Tier) -> None:
    start = {Tier.DAILY: date(2027, 1, 1), Tier.WEEKLY: date(2026, 12, 28)}
    paths = [tier_path(tier, "gibd", date(2027, 1, 1)), tier_path(tier, "other", date(2026, 1, 1))]
    assert kept(paths, tier, "gibd") == {start.get(tier, date(2027, 1, 1))}


def at(seconds_ago: float) -> Backup:
    taken = NOW - timedelta(seconds=seconds_ago)
    return Backup(taken, Kind.REDIS, f"redis/redis-{taken:%Y%m%d-%H%M%S}.rdb")


def test_the_newest_counts_and_its_age_is_in_periods() -> None:
    found = age([at(90), at(30)], NOW, 60)
    assert (found.periods, found.error) == (0.5, 1 / 60)


def test_no_backup_is_older_than_any_limit() -> None:
    assert age([], NOW, 60).periods == float("inf")


def test_old_content_under_a_new_name_is_old() -> None:
    found = age([at(10)], NOW, 3600, content=NOW - timedelta(hours=5))
    assert found.periods == 5
    assert "holds data of 2026-03-04 00:06:07" in found.reason


def test_new_content_under_an_old_name_does_not_make_it_younger() -> None:
    assert age([at(7200)], NOW, 3600, content=NOW).periods == 2


def test_a_name_from_the_future_is_never_fresh() -> None:
    assert age([at(-600)], NOW, 60).periods == float("inf")


def listed(
    path: str, kind: str = "f", behind: str = "f", target: str = "", *, size: int = 12
) -> str:
    return "\0".join([path, kind, behind, str(size), "1700000000.5", "7", target, ""])


def test_a_listing_is_read_with_links_and_odd_names() -> None:
    entries = parse_listing(listed("a\nb") + listed("latest", "l", "f", "a\nb"))
    assert [(e.path, e.is_file, e.leads_nowhere) for e in entries] == [
        ("a\nb", True, False),
        ("latest", False, False),
    ]
    assert (entries[0].size, entries[0].mtime, entries[0].inode) == (12, 1700000000.5, 7)


@pytest.mark.parametrize("behind", ["N", "L", "?"])
def test_a_link_to_nothing_is_a_problem(behind: str) -> None:
    entries = parse_listing(listed("latest", "l", behind, "gone"))
    assert link_problems(entries) == ["latest is a link to nothing (gone)"]


def test_a_cut_listing_is_an_error() -> None:
    with pytest.raises(ValueError, match="whole number"):
        parse_listing(listed("a") + "b\0f\0")


@pytest.mark.parametrize(
    ("path", "size", "something"),
    [("a.rdb", 0, False), ("a.rdb", 1, True), ("a.sql.gz", 20, False), ("a.sql.gz", 21, True)],
)
def test_an_empty_file_is_no_copy_nor_is_nothing_zipped(
    path: str, size: int, something: bool
) -> None:
    (entry,) = parse_listing(listed(path, size=size))
    assert holds_something(entry) is something


def test_an_empty_folder_has_no_entries() -> None:
    assert parse_listing("") == []
