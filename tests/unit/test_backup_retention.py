"""Retention: the rule on names, and 200 days of it with commands that prune, well and badly."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from verify.backups.aging import (
    DAY_SECONDS,
    add_dump,
    days_of,
    dump_problems_over,
    file_problems_over,
    paths_in,
    pruning_by,
)
from verify.backups.names import Backup, Kind, Tier, tier_path
from verify.backups.retention import (
    Rule,
    age_problems,
    last_units,
    problems_since_first,
    tier_problems,
    unknown_before,
)

TODAY = date(2026, 7, 15)  # a Wednesday
FIRST = date(2026, 1, 1)
RULE = Rule(days=7, weeks=4, months=6)
ALL_TIERS = [
    tier_path(tier, "gibd", day)
    for tier in Tier
    for day in last_units(tier, TODAY, RULE.count(tier))
]


def problems(paths: list[str], *, first: date = FIRST) -> list[str]:
    return tier_problems(paths, "gibd", RULE, first=first, today=TODAY)


def test_exactly_the_rule_is_enough() -> None:
    assert len(ALL_TIERS) == 17
    assert problems(ALL_TIERS) == []


@pytest.mark.parametrize("gone", ALL_TIERS)
def test_each_copy_of_the_rule_is_demanded(gone: str) -> None:
    (problem,) = problems([path for path in ALL_TIERS if path != gone])
    assert problem.startswith("no ")


def test_a_store_that_is_younger_than_the_rule_owes_nothing_of_before() -> None:
    first = date(2026, 7, 14)
    paths = [tier_path(tier, "gibd", day) for tier in Tier for day in (TODAY, first)]
    assert problems(paths, first=first) == []


YOUNG = [tier_path(tier, "gibd", TODAY) for tier in Tier]


def test_a_prune_that_deletes_too_much_is_seen_when_it_is_known_since_when() -> None:
    assert problems_since_first(YOUNG, "gibd", RULE, today=TODAY)[0] == []
    found, checked = problems_since_first(YOUNG, "gibd", RULE, today=TODAY, since=FIRST)
    assert len(found) == 14
    assert checked >= len(found)


def test_nothing_left_is_missed_when_it_is_known_since_when() -> None:
    found, checked = problems_since_first([], "gibd", RULE, today=TODAY, since=FIRST)
    assert len(found) == checked == 17


def test_a_store_as_old_as_the_rule_speaks_for_itself_and_a_younger_one_does_not() -> None:
    assert unknown_before(ALL_TIERS, "gibd", RULE, today=TODAY) == ""
    left = [path for path in ALL_TIERS if path != tier_path(Tier.MONTHLY, "gibd", FIRST)]
    left = [path for path in left if "202602" not in path]
    assert "reaches back to 2026-02-01" in unknown_before(left, "gibd", RULE, today=TODAY)


def test_a_little_more_than_the_rule_is_no_false_alarm() -> None:
    more = [
        tier_path(tier, "gibd", day)
        for tier in Tier
        for day in last_units(tier, TODAY, RULE.count(tier) + 2)
    ]
    assert problems(more) == []


@pytest.mark.parametrize("tier", list(Tier))
def test_what_is_never_pruned_is_found(tier: Tier) -> None:
    old = tier_path(tier, "gibd", last_units(tier, TODAY, RULE.count(tier) + 3)[-1])
    (problem,) = problems([*ALL_TIERS, old])
    assert problem.endswith("was to be pruned")


def test_another_database_s_copies_do_not_count() -> None:
    assert len(problems([path.replace("gibd", "other") for path in ALL_TIERS])) == 17


def redis(day: date) -> Backup:
    taken = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Backup(taken, Kind.REDIS, f"redis/redis-{day:%Y%m%d}-000000.rdb")


def test_what_was_made_within_the_days_must_be_there() -> None:
    due = [redis(TODAY - timedelta(days=n)) for n in range(40)]
    assert age_problems(due[:30], due, keep_days=30, today=TODAY) == []
    assert age_problems(due[:32], due, keep_days=30, today=TODAY) == []
    assert age_problems(due[:29], due, keep_days=30, today=TODAY) == [f"{due[29].path} is gone"]
    assert age_problems(due[:34], due, keep_days=30, today=TODAY) == [
        f"{due[33].path} was to be pruned"
    ]


# What prodrigestivill/postgres-backup-local does with 7 days, 4 weeks and 6 months.
IMAGE = """
find postgres/last postgres/daily -name 'gibd-*.sql.gz' -mtime +7 -delete
find postgres/weekly -name 'gibd-*.sql.gz' -mtime +29 -delete
find postgres/monthly -name 'gibd-*.sql.gz' -mtime +187 -delete
"""


def over_200_days(folder: Path, script: str) -> list[str]:
    prune = pruning_by(["sh", "-euc", script])
    return dump_problems_over(folder, 200, prune, RULE, database="gibd", first=FIRST)


def test_the_image_s_own_pruning_keeps_the_rule_for_200_days(tmp_path: Path) -> None:
    assert over_200_days(tmp_path, IMAGE) == []
    left = paths_in(tmp_path)
    counts = {t: sum(p.startswith(f"postgres/{t}/") for p in left) for t in Tier}
    assert counts == {Tier.DAILY: 8, Tier.WEEKLY: 5, Tier.MONTHLY: 7}


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("find postgres -type f -mtime +7 -delete", "no weekly copy of"),
        (IMAGE.replace("+187", "+29"), "no monthly copy of"),
        (IMAGE.replace("+29", "+20"), "no weekly copy of"),
        (IMAGE.replace("+7", "+5"), "no daily copy of"),
        (":", "was to be pruned"),
        (IMAGE + "\n[ $(ls postgres/monthly | wc -l) -gt 1 ] || rm postgres/monthly/*", "monthly"),
    ],
    ids=["all by the days", "months by the weeks", "a week short", "days short",
         "never", "deletes the only monthly copy"],
)  # fmt: skip
def test_a_wrong_pruning_is_seen_within_200_days(tmp_path: Path, script: str, told: str) -> None:
    found = over_200_days(tmp_path, script)
    assert found
    assert all(told in problem for problem in found)


def test_redis_and_volumes_are_kept_for_their_days(tmp_path: Path) -> None:
    prune = pruning_by(["sh", "-euc", "find redis -type f -mtime +30 -delete"])
    found = file_problems_over(
        tmp_path, 60, prune, kind=Kind.REDIS, keep_days=30, first=FIRST, hours=(0, 12)
    )
    assert found == []


@pytest.mark.parametrize(("days", "told"), [("25", "is gone"), ("60", "was to be pruned")])
def test_volumes_pruned_too_early_or_too_late_are_seen(
    tmp_path: Path, days: str, told: str
) -> None:
    prune = pruning_by(["sh", "-euc", f"find volumes -type f -mtime +{days} -delete"])
    found = file_problems_over(
        tmp_path, 90, prune, kind=Kind.VOLUMES, keep_days=30, first=FIRST, every_days=7
    )
    assert found
    assert all(problem.endswith(told) for problem in found)


def test_a_day_moves_each_inode_once(tmp_path: Path) -> None:
    for _ in days_of(tmp_path, FIRST, 3, add_dump("gibd"), lambda folder: None):
        pass
    ages = sorted(
        round((tmp_path / f"postgres/daily/gibd-2026010{day}.sql.gz").stat().st_mtime)
        for day in (1, 2, 3)
    )
    steps = [later - earlier for earlier, later in pairwise(ages)]
    assert steps == [pytest.approx(DAY_SECONDS, abs=2)] * 2


def test_a_prune_command_that_fails_is_a_problem_of_its_day(tmp_path: Path) -> None:
    prune = pruning_by(["sh", "-c", "[ $(ls redis | wc -l) -lt 3 ] || { echo full >&2; exit 3; }"])
    found = file_problems_over(tmp_path, 9, prune, kind=Kind.REDIS, keep_days=30, first=FIRST)
    assert found == ["day 3: the prune command: ended with 3: full"]


BIN = Path(__file__).parents[2] / "fixtures/images/backup/bin"


def test_the_postgres_job_s_own_command_keeps_the_rule_for_200_days(tmp_path: Path) -> None:
    prune = pruning_by(["bash", "-c", f"bash {BIN}/postgres-prune $BACKUPS/postgres"])
    assert dump_problems_over(tmp_path, 200, prune, RULE, database="gibd", first=FIRST) == []


def test_the_other_jobs_own_command_keeps_its_days_for_many_files(tmp_path: Path) -> None:
    """`sort | head` ended a former one by SIGPIPE once there were some hundred files."""
    prune = pruning_by(["bash", "-c", f"bash {BIN}/files-prune $BACKUPS/redis 'redis-*.rdb'"])
    found = file_problems_over(
        tmp_path, 40, prune, kind=Kind.REDIS, keep_days=30, first=FIRST, hours=range(0, 24, 2)
    )
    assert found == []


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"BACKUP_KEEP_MONTHS": "0"}, "no monthly copy of 2026-01"),
        ({"BACKUP_KEEP_WEEKS": "2"}, "no weekly copy of"),
        ({"BACKUP_KEEP_DAYS": "3"}, "no daily copy of"),
    ],
    ids=["deletes the only monthly copy", "weeks too short", "days too short"],
)
def test_the_postgres_job_with_wrong_settings_is_seen(
    tmp_path: Path, setting: dict[str, str], told: str
) -> None:
    prune = pruning_by(["bash", "-c", f"bash {BIN}/postgres-prune $BACKUPS/postgres"], setting)
    (found, *_) = dump_problems_over(tmp_path, 60, prune, RULE, database="gibd", first=FIRST)
    assert told in found
