"""What a backup's file name says: of what it is, and when it was taken.

The layouts are those of the usual tools: `postgres/` as prodrigestivill/postgres-backup-local lays
it out (with the roles beside the database), `redis/` as the plan's own job names its copies,
`volumes/` as offen/docker-volume-backup does, or by the day as the plan has it. A name is the one
date that a copy keeps: its mtime is whatever the last tool made of it. Times in names are UTC, as
in the containers that write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Final

#: The name under which the roles are saved, or its ending behind the name of a database where
#: another server's have it; no database may be called so.
GLOBALS: Final = "globals"


class Kind(StrEnum):
    """What is backed up."""

    POSTGRES = "postgres"
    ROLES = "roles"
    REDIS = "redis"
    VOLUMES = "volumes"


class Tier(StrEnum):
    """For how long a PostgreSQL backup is kept."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True, order=True)
class Backup:
    """One file: when its name says that it was begun, of what, where in the store.

    `database` is empty for what is no database; of roles it may say of which one's server. Names
    are cut off: it was begun at `taken` or less than `precision` seconds later.
    """

    taken: datetime
    kind: Kind
    path: str
    database: str = ""
    precision: float = 1.0


_STAMP: Final = r"(\d{8}-\d{6})"
_DATE: Final = r"\d{4}-\d\d-\d\d"
#: What a path looks like, its kind, its date's form, and to how many seconds that is.
_PATTERNS: Final = (
    (re.compile(rf"postgres/last/(.+)-{_STAMP}\.sql\.gz"), Kind.POSTGRES, "%Y%m%d-%H%M%S", 1.0),
    (re.compile(rf"redis/()redis-{_STAMP}\.rdb"), Kind.REDIS, "%Y%m%d-%H%M%S", 1.0),
    (re.compile(r"redis/()redis-(\d{8}-\d{4})\.rdb"), Kind.REDIS, "%Y%m%d-%H%M", 60.0),
    (
        re.compile(rf"volumes/()backup-({_DATE}T\d\d-\d\d-\d\d)\.tar\.gz"),
        Kind.VOLUMES,
        "%Y-%m-%dT%H-%M-%S",
        1.0,
    ),
    (re.compile(rf"volumes/()backup-({_DATE})\.tar\.gz"), Kind.VOLUMES, "%Y-%m-%d", 86400.0),
)
_TIERS: Final = {
    Tier.DAILY: (re.compile(r"postgres/daily/(.+)-(\d{8})\.sql\.gz"), "%Y%m%d"),
    Tier.WEEKLY: (re.compile(r"postgres/weekly/(.+)-(\d{6})\.sql\.gz"), "%G%V%u"),
    Tier.MONTHLY: (re.compile(r"postgres/monthly/(.+)-(\d{6})\.sql\.gz"), "%Y%m"),
}


def parse(path: str) -> Backup | None:
    """Read one path, relative to the store; None for what is no backup."""
    for pattern, kind, form, precision in _PATTERNS:
        found = pattern.fullmatch(path)
        taken = _date(found[2], form) if found else None
        if found and taken:
            of_roles = found[1] == GLOBALS or found[1].endswith(f"-{GLOBALS}")
            return Backup(
                taken.replace(tzinfo=UTC),
                Kind.ROLES if of_roles else kind,
                path,
                found[1].removesuffix(GLOBALS).removesuffix("-") if of_roles else found[1],
                precision,
            )
    return None


def backups(paths: Iterable[str], kind: Kind, database: str = "") -> list[Backup]:
    """Return the backups of one kind, and of one database where it is one, oldest first."""
    found = [backup for backup in map(parse, paths) if backup and backup.kind is kind]
    return sorted(b for b in found if kind is not Kind.POSTGRES or b.database == database)


def kept(paths: Iterable[str], tier: Tier, database: str) -> set[date]:
    """Return the first day of each day, week or month of which the tier has a copy."""
    pattern, form = _TIERS[tier]
    days = set()
    for path in paths:
        found = pattern.fullmatch(path)
        if found and found[1] == database:
            text = found[2] + ("1" if tier is Tier.WEEKLY else "")
            if moment := _date(text, form):
                days.add(moment.date())
    return days


def tier_path(tier: Tier, database: str, day: date) -> str:
    """Return where the tier keeps the copy of `day`."""
    stamp = {Tier.DAILY: "%Y%m%d", Tier.WEEKLY: "%G%V", Tier.MONTHLY: "%Y%m"}[tier]
    return f"postgres/{tier}/{database}-{day.strftime(stamp)}.sql.gz"


def _date(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def snapshots(paths: Iterable[str]) -> list[str]:
    """Return the names of the remote's snapshots among paths, newest first."""
    return sorted({p for p in paths if re.fullmatch(_STAMP, p)}, reverse=True)
