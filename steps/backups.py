"""Steps about backups: taken, restored, kept, copied elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.tables import column, rows
from verify.backups import aging, jobs, listing, newest, places, recovery, retention
from verify.backups.comparing import Comparison
from verify.backups.damage import damage
from verify.backups.extrapolation import Point, extrapolate
from verify.backups.observed import Watched, wait_for_all
from verify.backups.retention import Rule
from verify.backups.store import NothingThere, Store
from verify.backups.subjects import PostgresSubject, another_node, subject_called

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
            period = jobs.awaited_period_of(cluster, job)
            watched = Watched(subject, places.local(cluster), period)
            if cluster.is_twin:
                stack.callback(subject.unseed)
                subject.seed()
            stack.callback(watched.end)
            return watched

        yield begin


@given("these are backed up", target_fixture="watched")
def backed_up(watch: Callable[[str, str], Watched], datatable: Any) -> list[Watched]:
    """Names each source and the service of its job, which knows the schedule."""
    return [watch(row["source"], row["job"]) for row in rows(datatable, "source", "job")]


@when("something is written to each")
def written(watched: list[Watched]) -> None:
    """What no earlier backup can hold."""
    for each in watched:
        each.begin()


@then(
    parsers.parse(
        "the {place} has a backup of each, begun after that, "
        "within {periods:g} periods of its schedule"
    )
)
def taken(
    cluster: Cluster, watched: list[Watched], place: str, periods: float, measure: Any
) -> None:
    """By the name, and finished; its content is looked at in another step."""
    times = wait_for_all(watched, STORES[place](cluster), periods=periods)
    measure.each(
        partial(
            measure,
            f"{each.subject.kind} backup on the {place}",
            took.seconds / each.period,
            limit=periods,
            unit="periods",
            error=took.error / each.period,
            reason=took.reason,
        )
        for each, took in zip(watched, times, strict=True)
    )


@then(parsers.parse("on the {place} each is whole and holds what was written"))
def whole(cluster: Cluster, watched: list[Watched], place: str, measure: Any) -> None:
    """Read to its end; of the right thing; with the mark, or by its own date after it."""

    def look(each: Watched) -> None:
        node = another_node(cluster, each.subject)
        found = each.look(STORES[place](cluster), node=node)
        measure.violations(f"{each.subject.kind} backup is whole", found, checked=1)

    measure.each(partial(look, each) for each in watched)


@then(parsers.parse("the newest of each on the {place} is at most {periods:g} periods old"))
def fresh(
    cluster: Cluster, watched: list[Watched], place: str, periods: float, measure: Any
) -> None:
    """By the older of its name and its content."""

    def look(each: Watched) -> None:
        age = each.age(STORES[place](cluster), node=another_node(cluster, each.subject))
        measure(
            f"age of the newest {each.subject.kind} backup",
            age.periods,
            limit=periods,
            unit="periods",
            error=age.error,
            reason=age.reason,
        )

    measure.each(partial(look, each) for each in watched)


@then(parsers.parse("from the {place} each restores on another node, with nothing lost or changed"))
def restores(cluster: Cluster, watched: list[Watched], place: str, measure: Any) -> None:
    """Into a fresh, isolated instance, read as the source is read."""

    def restore(each: Watched) -> None:
        node = another_node(cluster, each.subject)
        found = each.restore(STORES[place](cluster), node=node)
        judge_restore(measure, f"{each.subject.kind} restored from the {place}", found)

    measure.each(partial(restore, each) for each in watched)


@given(
    parsers.parse(
        "a twin's {named} has data that {job} copied to the backup host within {periods:g} periods"
    )
)
def twin_has_copies(
    cluster: Cluster,
    watch: Callable[[str, str], Watched],
    named: str,
    job: str,
    periods: float,
    measure: Any,
) -> None:
    """Servers have theirs: their jobs have run long ago, or that is what the next step finds."""
    if not cluster.is_twin:
        return
    watched = watch(f"the {named}", job)
    watched.begin()
    took = watched.wait(places.remote(cluster), periods=periods)
    if watched.backup is None:
        measure.violations("backups to restore", [took.reason], checked=1)


@then(
    parsers.parse(
        "the newest {named} on the {place} restores on another node, with all it should hold"
    )
)
def newest_restores(cluster: Cluster, named: str, place: str, measure: Any) -> None:
    """Whoever took it and when; what it holds is held against what the source has now."""
    subject = subject_called(
        cluster, f"the {named}", volumes_on=places.data_node(cluster), volumes_like=TOOLS_OF
    )
    found = newest.restored(subject, STORES[place](cluster), another_node(cluster, subject))
    measure.note(f"age of the newest {subject.kind} backup", found.age / 60, unit="min")
    criterion = f"newest {subject.kind} backup restores"
    if not found.checked:
        measure.inconclusive(criterion, f"the {named} hold nothing now: look at one that does")
    measure.violations(criterion, found.problems, checked=found.checked)


def judge_restore(measure: Any, criterion: str, found: Comparison) -> None:
    """Missed when something differs; inconclusive when a whole kind of facts could not be told.

    Or the content of any table. Keys and files change by themselves: how many did is noted.
    """
    for kind, count in sorted(Counter(kind for kind, _ in found.unseen).items()):
        measure.note(f"{criterion}: {kind} not compared, it changed", count, unit="facts")
    tables = [name for kind, name in found.unseen if kind == "checksum"]
    if tables and not found.problems:
        measure.inconclusive(
            criterion, f"written to while it was backed up, so not compared: {', '.join(tables)}"
        )
    if found.blind and not found.problems:
        measure.inconclusive(
            criterion, f"all of it changed while it was backed up: {', '.join(found.blind)}"
        )
    # What a restore complained of counts, though there was nothing that could be compared.
    checked = max(found.compared.total(), len(found.problems))
    measure.violations(criterion, found.problems, checked=checked)


# -- recovery time -----------------------------------------------------------------------------


@when(
    parsers.parse(
        "the {named} of these sizes is restored {times:d} times each from the backup host,"
        " which has each within {periods:g} periods of its schedule"
    ),
    target_fixture="recoveries",
)
def recover_sizes(
    cluster: Cluster,
    watch: Callable[[str, str], Watched],
    request: pytest.FixtureRequest,
    named: str,
    times: int,
    periods: float,
    datatable: Any,
    measure: Any,
) -> list[Point]:
    """Grown in the source, backed up by the schedule, restored on a node without a copy.

    The first restore there is not counted: it also reads the image from the disk.
    """
    watched = watch(f"the {named}", "postgres-backup")
    assert isinstance(watched.subject, PostgresSubject)
    source, store = watched.subject.source, places.remote(cluster)
    request.addfinalizer(partial(recovery.shrink, source))
    recovery.shrink(source)
    node = another_node(cluster, watched.subject)
    points: list[Point] = []
    for megabytes in column(datatable, "megabytes"):
        recovery.grow(source, int(megabytes) * recovery.MEGABYTE)
        watched.begin()
        took = watched.wait(store, periods=periods)
        if watched.backup is None:
            measure.violations("backups to recover from", [took.reason], checked=1)
        recover = partial(
            recovery.recover,
            source,
            store,
            watched.found(),
            mark=watched.mark,
            node=node,
            size=recovery.size(source),
        )
        if not points:
            recover()
        point = recovery.typical([recover() for _ in range(times)])
        measure.note(
            f"recovery of {megabytes} MB", point.seconds, unit="s", error=point.error, n=times
        )
        points.append(point)
    return points


@then(parsers.parse("recovering {gigabytes:g} GB would take at most {limit:g} seconds"))
def recovery_time(recoveries: list[Point], gigabytes: float, limit: float, measure: Any) -> None:
    """Extrapolated by a line through the measured sizes; docs/data.md has the method."""
    estimate = extrapolate(recoveries, gigabytes * 1000 * recovery.MEGABYTE)
    measure.note("recovery of an empty database", estimate.fixed, unit="s")
    if estimate.rate <= 0:
        measure.inconclusive(
            f"recovery time of {gigabytes:g} GB",
            "larger databases took no longer here, so the sizes are too small for a line",
        )
    measure(
        f"recovery time of {gigabytes:g} GB",
        estimate.seconds,
        limit=limit,
        unit="s",
        error=estimate.error,
        n=len(recoveries),
    )


# -- retention ---------------------------------------------------------------------------------


@then(
    parsers.parse(
        "the copies of {database} are kept for {days:d} days, {weeks:d} weeks and {months:d} months"
    )
)
def kept(cluster: Cluster, database: str, days: int, weeks: int, months: int, measure: Any) -> None:
    """Of every day, week and month since the first backup, by names.

    On servers the first is the inventory's `backups.since`; without it a store that is younger than
    the rule proves nothing. A twin's jobs began today: there only what is there is judged.
    """
    store = places.local(cluster)
    paths = [entry.path for entry in store.entries() if entry.is_file]
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


@then("the backup host's copy of each of before the damage restores, with nothing lost or changed")
def survives(cluster: Cluster, watched: list[Watched], measure: Any) -> None:
    """From the newest complete copy, or else from the newest snapshot that has it whole."""

    def restore(each: Watched) -> None:
        criterion = f"{each.subject.kind} restored from the backup host after the damage"
        node = another_node(cluster, each.subject)
        store, problems = each.intact_copy(places.remote_snapshots(cluster), node=node)
        if store is None:
            measure.violations(criterion, problems, checked=1)
        else:
            judge_restore(measure, criterion, each.restore(store, node=node))

    measure.each(partial(restore, each) for each in watched)
