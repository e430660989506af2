"""Steps about which backups are kept, and for how long."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from pytest_bdd import parsers, then

from fixtures.cluster.cluster import Cluster
from verify.backups import aging, jobs, places, retention
from verify.backups.listing import holds_something
from verify.backups.retention import Rule


@then(
    parsers.parse(
        "the copies of {database} are kept for {days:d} days, {weeks:d} weeks and {months:d} months"
    )
)
def kept(cluster: Cluster, database: str, days: int, weeks: int, months: int, measure: Any) -> None:
    """Of every day, week and month since the first backup, by names; an empty file is no copy.

    On servers the first is the inventory's `backups.since`; without it a store that is younger than
    the rule proves nothing. A twin's jobs began today: there only what is there is judged.
    """
    store = places.local(cluster)
    paths = [entry.path for entry in store.entries() if holds_something(entry)]
    criterion, rule = f"copies of {database} kept", Rule(days, weeks, months)
    today, since = store.now().date(), places.taken_since(cluster)
    found, checked = retention.problems_since_first(paths, database, rule, today=today, since=since)
    unknown = retention.unknown_before(paths, database, rule, today=today)
    if unknown and since is None and not found and not cluster.is_twin:
        measure.inconclusive(criterion, f"{unknown}; the inventory's backups.since would tell")
    measure.violations(criterion, found, checked=checked)


@then(
    parsers.parse(
        "over {days:d} days {job} keeps {keep_days:d} days, {weeks:d} weeks and {months:d} months"
    )
)
def keeps_tiers(
    cluster: Cluster,
    tmp_path: Path,
    days: int,
    job: str,
    keep_days: int,
    weeks: int,
    months: int,
    measure: Any,
) -> None:
    """The job's own prune command, in a scratch folder whose files grow a day older each day."""
    prune = jobs.prune_of(cluster, job)
    first = places.local(cluster).now().date() - timedelta(days=days)
    rule = Rule(keep_days, weeks, months)
    found = aging.dump_problems_over(tmp_path, days, prune, rule, database="gibd", first=first)
    measure.violations(f"what {job} keeps", found, checked=days)


@then(
    parsers.parse(
        "over {days:d} days with {a_day:d} backups every {every:d} days {job} keeps {keep:d} days"
    )
)
def keeps_days(
    cluster: Cluster,
    tmp_path: Path,
    days: int,
    a_day: int,
    every: int,
    job: str,
    keep: int,
    measure: Any,
) -> None:
    """The same for jobs with one rule for all their files."""
    found = aging.file_problems_over(
        tmp_path,
        days,
        jobs.prune_of(cluster, job),
        kind=jobs.KIND_OF[job],
        keep_days=keep,
        first=places.local(cluster).now().date() - timedelta(days=days),
        every_days=every,
        hours=range(0, 24, 24 // a_day),
    )
    measure.violations(f"what {job} keeps", found, checked=days)
