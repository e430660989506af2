"""Whether what a rule promises to keep is kept, and what is beyond it pruned: by names, pure.

A rule of 7 days promises the last 7 days, today among them. Keeping more is no fault until it is
`SLACK` units more: the usual image prunes by `find -mtime +7`, `+29` and `+187`, which leaves 8 to
9 daily, 5 weekly and 7 monthly copies. Demanding exactly 7, 4 and 6 would call that wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from verify.backups.names import Backup, Kind, Tier, backups, kept

#: Days, weeks or months that a copy may outlive its rule.
SLACK: Final = 2


@dataclass(frozen=True, slots=True)
class Rule:
    """How many days, weeks and months are to be kept, the current one among them."""

    days: int
    weeks: int
    months: int

    def count(self, tier: Tier) -> int:
        """Return how many of the tier."""
        return {Tier.DAILY: self.days, Tier.WEEKLY: self.weeks, Tier.MONTHLY: self.months}[tier]


def tier_problems(
    paths: Iterable[str], database: str, rule: Rule, *, first: date, today: date
) -> list[str]:
    """Say which copies a rule misses or has too long; `first` is the day of the first backup ever.

    One is due of every day, week and month since `first`.
    """
    listed = list(paths)
    problems = []
    for tier in Tier:
        have = kept(listed, tier, database)
        due = [d for d in last_units(tier, today, rule.count(tier)) if d >= _start(tier, first)]
        problems += [f"no {tier} copy of {_named(tier, day)}" for day in due if day not in have]
        oldest = last_units(tier, today, rule.count(tier) + SLACK)[-1]
        problems += [
            f"the {tier} copy of {_named(tier, day)} was to be pruned"
            for day in sorted(have)
            if day < oldest
        ]
    return problems


def problems_since_first(
    paths: Iterable[str], database: str, rule: Rule, *, today: date, since: date | None = None
) -> tuple[list[str], int]:
    """Judge a store by its own oldest name; returns the problems, and how many copies it has.

    What was lost before the oldest that is left cannot be known (see `unknown_before`), unless
    backups are taken `since` a day.
    """
    listed = list(paths)
    first, copies = _first(listed, database)
    first = min((day for day in (first, since) if day is not None), default=None)
    if first is None:
        return [], 0
    found = tier_problems(listed, database, rule, first=first, today=today)
    return found, max(copies, len(found))


def unknown_before(paths: Iterable[str], database: str, rule: Rule, *, today: date) -> str:
    """Say that the oldest copy is younger than what the rule promises; empty when it is not.

    Then either backups are taken only since that day, or too much was deleted: names cannot tell.
    """
    first, _ = _first(list(paths), database)
    promised = min(
        (unit for tier in Tier for unit in last_units(tier, today, rule.count(tier))), default=today
    )
    if first is None or _start(Tier.MONTHLY, first) <= promised:
        return ""
    return (
        f"the oldest copy is of {first}, the rule reaches back to {promised}: that older ones were "
        "never made, and not deleted too early, is not known"
    )


def _first(listed: Sequence[str], database: str) -> tuple[date | None, int]:
    """Return the day of the oldest copy, None without any, and how many there are."""
    of_tiers = [day for tier in Tier for day in kept(listed, tier, database)]
    dumps = [b.taken.date() for b in backups(listed, Kind.POSTGRES, database)]
    # A week's or month's copy is named by its start, which may be before the first backup.
    days = dumps + list(kept(listed, Tier.DAILY, database))
    if not days and not of_tiers:
        return None, 0
    first = min(days or of_tiers)
    older = [day for day in of_tiers if day < _start(Tier.MONTHLY, first)]
    return min([first, *older]), len(days + of_tiers)


def age_problems(
    have: Sequence[Backup], due: Sequence[Backup], *, keep_days: int, today: date
) -> list[str]:
    """Say which of the backups that were made (`due`) in the last `keep_days` days are gone.

    And which of those that are there outlived the rule. For one kind.
    """
    there = {backup.path for backup in have}
    kept_from = today - timedelta(days=keep_days - 1)
    gone = [b.path for b in due if b.taken.date() >= kept_from and b.path not in there]
    pruned_before = today - timedelta(days=keep_days + SLACK)
    late = [b.path for b in have if b.taken.date() < pruned_before]
    return [f"{path} is gone" for path in gone] + [f"{path} was to be pruned" for path in late]


def last_units(tier: Tier, today: date, count: int) -> list[date]:
    """Return the first days of the last `count` days, weeks (ISO) or months, the current first."""
    unit = _start(tier, today)
    units = []
    for _ in range(count):
        units.append(unit)
        unit = _start(tier, unit - timedelta(days=1))
    return units


def _start(tier: Tier, day: date) -> date:
    if tier is Tier.WEEKLY:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if tier is Tier.MONTHLY else day


def _named(tier: Tier, day: date) -> str:
    return day.strftime(
        {Tier.DAILY: "%Y-%m-%d", Tier.WEEKLY: "%G-W%V", Tier.MONTHLY: "%Y-%m"}[tier]
    )
