"""Steps about backups: taken, restored, kept, copied elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.on_demand import OnDemandStacks
from verify.backups import aging, jobs, listing, places, retention
from verify.backups.comparing import Comparison
from verify.backups.damage import damage
from verify.backups.observed import Watched
from verify.backups.retention import Rule
from verify.backups.store import NothingThere, Store
from verify.backups.subjects import another_node, subject_called

STACK = "backups"
SCHEDULES = (
    "CUTOVER_POSTGRES_SCHEDULE",
    "CUTOVER_REDIS_SCHEDULE",
    "CUTOVER_VOLUME_SCHEDULE",
    "CUTOVER_REMOTE_SCHEDULE",
)
#: Whose image has tar and find to read volumes with.
TOOLS_OF = "gibd-postgres"
STORES: dict[str, Callable[[Cluster], Store]] = {
    "data node": places.local,
    "backup host": places.remote,
}


@given(parsers.parse("the plan's backup jobs run every {seconds:d} seconds"))
def jobs_run(cluster: Cluster, on_demand: OnDemandStacks | None, run: Any, seconds: int) -> None:
    """On a twin, by the jobs' own scheduler; servers have theirs, and their own periods."""
    if on_demand is None:
        return
    every = f"@every {seconds}s"
    run.environment["backup schedule"] = every
    node = places.data_node(cluster)
    on_demand.stand(STACK, [node.name], **dict.fromkeys(SCHEDULES, every))


@pytest.fixture
def watch(cluster: Cluster) -> Iterator[Callable[[str, str], Watched]]:
    """Yield what names a thing that a job backs up; on a twin it has an application's data.

    Data and marks go in the end.
    """
    with ExitStack() as stack:

        def begin(named: str, job: str) -> Watched:
            subject = subject_called(
                cluster, named, volumes_on=places.data_node(cluster), volumes_like=TOOLS_OF
            )
            watched = Watched(subject, places.local(cluster), jobs.period_of(cluster, job))
            if cluster.is_twin:
                stack.callback(subject.unseed)
                subject.seed()
            stack.callback(watched.end)
            return watched

        yield begin


@given(parsers.parse("{named}, backed up by {job}"), target_fixture="watched")
def backed_up(watch: Callable[[str, str], Watched], named: str, job: str) -> Watched:
    """Names the source and the service of its job, which knows the schedule."""
    return watch(named, job)


@when("something is written there")
def written(watched: Watched) -> None:
    """What no earlier backup can hold."""
    watched.begin()


@then(
    parsers.parse(
        "the {place} has a backup that began after that within {periods:g} periods of its schedule"
    )
)
def taken(cluster: Cluster, watched: Watched, place: str, periods: float, measure: Any) -> None:
    """By the name, and finished; its content is looked at in the next step."""
    took = watched.wait(STORES[place](cluster), periods=periods)
    measure(
        f"{watched.subject.kind} backup on the {place}",
        took.seconds / watched.period,
        limit=periods,
        unit="periods",
        error=took.error / watched.period,
        reason=took.reason,
    )


@then(parsers.parse("on the {place} it is whole and holds what was written"))
def whole(cluster: Cluster, watched: Watched, place: str, measure: Any) -> None:
    """Read to its end; of the right thing; with the mark, or by its own date after it."""
    node = another_node(cluster, watched.subject)
    found = watched.look(STORES[place](cluster), node=node)
    measure.violations(f"{watched.subject.kind} backup is whole", found, checked=1)


@then(parsers.parse("the newest on the {place} is at most {periods:g} periods old"))
def fresh(cluster: Cluster, watched: Watched, place: str, periods: float, measure: Any) -> None:
    """By the older of its name and its content."""
    node = another_node(cluster, watched.subject)
    age = watched.age(STORES[place](cluster), node=node)
    measure(
        f"age of the newest {watched.subject.kind} backup",
        age.periods,
        limit=periods,
        unit="periods",
        error=age.error,
        n=int(age.periods is not None),
        reason=age.reason,
    )


@then(parsers.parse("from the {place} it restores on another node, with nothing lost or changed"))
def restores(cluster: Cluster, watched: Watched, place: str, measure: Any) -> None:
    """Into a fresh, isolated instance, read as the source is read."""
    node = another_node(cluster, watched.subject)
    found = watched.restore(STORES[place](cluster), node=node)
    judge_restore(measure, f"{watched.subject.kind} restored from the {place}", found)


def judge_restore(measure: Any, criterion: str, found: Comparison) -> None:
    """Missed when something differs; inconclusive when a whole kind of facts could not be told."""
    if found.blind and not found.problems:
        measure.inconclusive(
            criterion, f"all of it changed while it was backed up: {', '.join(found.blind)}"
        )
    measure.violations(criterion, found.problems, checked=found.compared.total())


# -- retention ---------------------------------------------------------------------------------


@then(
    parsers.parse(
        "the copies of {database} are kept for {days:d} days, {weeks:d} weeks and {months:d} months"
    )
)
def kept(cluster: Cluster, database: str, days: int, weeks: int, months: int, measure: Any) -> None:
    """Of every day, week and month since the first backup, by names."""
    store = places.local(cluster)
    paths = [entry.path for entry in store.entries() if entry.is_file]
    found, checked = retention.problems_since_first(
        paths, database, Rule(days, weeks, months), today=store.now().date()
    )
    measure.violations(f"copies of {database} kept", found, checked=checked)


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


# -- the remote copies -------------------------------------------------------------------------


@then("no link on the backup host leads nowhere")
def no_dead_links(cluster: Cluster, measure: Any) -> None:
    """`latest` among them: a name without what it named is no copy."""
    try:
        entries = places.remote(cluster).entries()
        found, checked = listing.link_problems(entries), len(entries)
    except NothingThere as nothing:
        found, checked = [str(nothing)], 1
    measure.violations("links of the remote copy", found, checked=checked)


@when(parsers.parse("the data node's copies are {how}"), target_fixture="damaged_at")
def damage_local(cluster: Cluster, how: str) -> str:
    """As a mistake or a dying disk does it; on a twin only. Returns when, by a snapshot's name."""
    return damage(cluster, places.local(cluster), how)


@then(parsers.parse("the remote copy runs again within {periods:g} periods of its schedule"))
def copied_again(cluster: Cluster, damaged_at: str, periods: float, measure: Any) -> None:
    """A snapshot begun since then is there, complete or not."""
    took = jobs.copied_since(cluster, damaged_at, periods=periods)
    period = jobs.period_of(cluster, jobs.REMOTE)
    measure(
        "remote copy after the damage",
        took.seconds / period,
        limit=periods,
        unit="periods",
        error=took.error / period,
        reason=took.reason,
    )


@then("the backup host's copy of before the damage restores, with nothing lost or changed")
def survives(cluster: Cluster, watched: Watched, measure: Any) -> None:
    """From the newest complete copy, or else from the newest snapshot that has it whole."""
    criterion = f"{watched.subject.kind} restored from the backup host after the damage"
    node = another_node(cluster, watched.subject)
    store, problems = watched.intact_copy(places.remote_snapshots(cluster), node=node)
    if store is None:
        measure.violations(criterion, problems, checked=1)
    else:
        judge_restore(measure, criterion, watched.restore(store, node=node))
