"""Lets a folder of backups grow old in seconds, and runs the job's own prune command every "day".

What prunes looks at the files' mtimes, so those are moved back by a day for each day that passes;
a file's name carries the simulated date. A command that prunes by the names instead cannot be
tried so.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from fixtures.errors import CutoverError
from verify.backups.names import Kind, Tier, backups, tier_path
from verify.backups.retention import Rule, age_problems, tier_problems

DAY_SECONDS: Final = 86400
_PRUNE_SECONDS: Final = 60


class PruneFailed(CutoverError):
    """The prune command ended with another status than 0: what it was to delete fills the disk."""


Prune = Callable[[Path], None]
#: Puts one day's backups into the folder.
Add = Callable[[Path, date], None]


def pruning_by(command: Sequence[str], environment: dict[str, str] | None = None) -> Prune:
    """Return what runs `command` in the folder, with its path as `BACKUPS` in the environment.

    It raises `PruneFailed` when the command fails.
    """

    def prune(folder: Path) -> None:
        done = subprocess.run(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], **(environment or {}), "BACKUPS": str(folder)},
            capture_output=True,
            text=True,
            timeout=_PRUNE_SECONDS,
            check=False,
        )
        if done.returncode:
            raise PruneFailed(
                f"ended with {done.returncode}: {' '.join(done.stderr.split())[-300:]}",
                where="the prune command",
            )

    return prune


def days_of(folder: Path, first: date, days: int, add: Add, prune: Prune) -> Iterator[date]:
    """Let `days` days pass in `folder`, a backup and a pruning each; yields each day's date.

    The caller looks at the folder between the days.
    """
    for number in range(days):
        today = first + timedelta(days=number)
        _grow_older(folder)
        add(folder, today)
        prune(folder)
        yield today


def add_dump(database: str) -> Add:
    """Return what adds a PostgreSQL backup: `last/`, with hard links in the tiers' folders."""

    def add(folder: Path, day: date) -> None:
        last = folder / "postgres" / "last" / f"{database}-{day:%Y%m%d}-000000.sql.gz"
        last.parent.mkdir(parents=True, exist_ok=True)
        last.write_bytes(b"dump")
        for tier in Tier:
            link = folder / tier_path(tier, database, day)
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)  # the newest of a week or month takes the older's place
            link.hardlink_to(last)

    return add


def add_files(kind: Kind, hours: Sequence[int] = (0,)) -> Add:
    """Return what adds a day's Redis or volume backups, one at each of `hours`."""

    def add(folder: Path, day: date) -> None:
        for hour in hours:
            moment = datetime.combine(day, time(hour), UTC)
            name = {
                Kind.REDIS: f"redis/redis-{moment:%Y%m%d-%H%M%S}.rdb",
                Kind.VOLUMES: f"volumes/backup-{moment:%Y-%m-%dT%H-%M-%S}.tar.gz",
            }[kind]
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"backup")

    return add


def dump_problems_over(
    folder: Path, days: int, prune: Prune, rule: Rule, *, database: str, first: date
) -> list[str]:
    """Say what the rule for PostgreSQL misses on the first day on which it misses anything."""

    def problems(today: date) -> list[str]:
        return tier_problems(paths_in(folder), database, rule, first=first, today=today)

    return _first_problems(days_of(folder, first, days, add_dump(database), prune), first, problems)


def file_problems_over(
    folder: Path,
    days: int,
    prune: Prune,
    *,
    kind: Kind,
    keep_days: int,
    first: date,
    every_days: int = 1,
    hours: Sequence[int] = (0,),
) -> list[str]:
    """Say the same for Redis or volumes, with a backup every `every_days` days at `hours`."""
    made: set[str] = set()
    add_all = add_files(kind, hours)

    def add(into: Path, day: date) -> None:
        if (day - first).days % every_days == 0:
            before = set(paths_in(into))
            add_all(into, day)
            made.update(set(paths_in(into)) - before)

    def problems(today: date) -> list[str]:
        have, due = backups(paths_in(folder), kind), backups(made, kind)
        return age_problems(have, due, keep_days=keep_days, today=today)

    return _first_problems(days_of(folder, first, days, add, prune), first, problems)


def _first_problems(
    passing: Iterator[date], first: date, problems: Callable[[date], list[str]]
) -> list[str]:
    number = 0
    try:
        for today in passing:
            number = (today - first).days + 1
            if found := problems(today):
                return [f"day {number}: {problem}" for problem in found]
    except PruneFailed as failed:
        return [f"day {number + 1}: {failed}"]
    return []


def paths_in(folder: Path) -> list[str]:
    """Return every file below the folder, relative to it."""
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]


def _grow_older(folder: Path) -> None:
    """Move every file's mtime back by a day: once an inode, however many names it has."""
    seen = set()
    for path in folder.rglob("*"):
        status = path.lstat()
        if path.is_file() and status.st_ino not in seen:
            seen.add(status.st_ino)
            moved = status.st_mtime - DAY_SECONDS
            os.utime(path, (moved, moved))
