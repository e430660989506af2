"""Steps about backups: taken by their jobs, whole, fresh, and restored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from pytest_bdd import given, parsers, then, when

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.on_demand import OnDemandStacks
from fixtures.errors import CannotProve, CutoverError
from fixtures.tables import rows
from verify.backups import jobs, newest, places
from verify.backups.comparing import CONTENT, FLEETING, Comparison, some
from verify.backups.freshness import Age
from verify.backups.observed import Watched, wait_for_all
from verify.backups.store import Store
from verify.backups.subjects import another_node, subject_called

STACK = "backups"
#: Of keys and files that only the restored has, this part of those compared come and go.
MOST_EXTRA = 0.1
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
        judge_age(measure, f"age of the newest {each.subject.kind} backup", age, periods)

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
        "a twin's jobs have copied data of these to the backup host within {periods:g} periods"
    )
)
def twin_has_copies(
    cluster: Cluster,
    watch: Callable[[str, str], Watched],
    periods: float,
    datatable: Any,
    measure: Any,
) -> None:
    """Servers have theirs: their jobs have run long ago, or that is what the next step finds."""
    if not cluster.is_twin:
        return
    watched = [
        watch(f"the {row['source']}", row["job"]) for row in rows(datatable, "source", "job")
    ]
    for each in watched:
        each.begin()
    times = wait_for_all(watched, places.remote(cluster), periods=periods)
    found = [took.reason for each, took in zip(watched, times, strict=True) if each.backup is None]
    if found:
        measure.violations("backups to restore", found, checked=len(watched))


@then(
    parsers.parse(
        "the newest of each, at most {periods:g} periods of its job old, restores on another node, "
        "with all it should hold"
    )
)
def newest_restore(cluster: Cluster, periods: float, datatable: Any, measure: Any) -> None:
    """Each is judged, whatever is found of the others."""
    listed = rows(datatable, "source", "job", "place")
    unproven: list[CannotProve] = []

    def look(row: Mapping[str, str]) -> None:
        try:
            newest_restores(cluster, row["source"], row["place"], periods, row["job"], measure)
        except CannotProve as error:
            unproven.append(error)
        except CutoverError as error:
            what = f"newest backup restores: {row['source']} on the {row['place']}"
            measure.inconclusive(what, str(error))

    measure.each(partial(look, row) for row in listed)
    if unproven:
        raise unproven[0]


def newest_restores(
    cluster: Cluster, named: str, place: str, periods: float, job: str, measure: Any
) -> None:
    """Whoever took it; what it holds is held against what the source has now.

    On the backup host it may be older by a period of the remote copy.
    """
    period = jobs.period_of(cluster, job)
    copying = jobs.period_of(cluster, jobs.REMOTE) if place == "backup host" else 0.0
    subject = subject_called(
        cluster, f"the {named}", volumes_on=places.data_node(cluster), volumes_like=TOOLS_OF
    )
    node = another_node(cluster, subject)
    found = newest.restored(subject, STORES[place](cluster), node, period=period)
    limit, what = periods + copying / period, f"{named} on the {place}"
    measure.each(
        [
            partial(judge_age, measure, f"age of the newest backup: {what}", found.age, limit),
            partial(judge_newest, measure, f"newest backup restores: {what}", named, found),
        ]
    )


def judge_age(measure: Any, criterion: str, age: Age, limit: float) -> None:
    """In periods of the job's schedule, at most `limit`."""
    measure(criterion, age.periods, limit=limit, unit="periods", error=age.error, reason=age.reason)


def judge_newest(measure: Any, criterion: str, named: str, found: newest.Restored) -> None:
    """Missed when something is lacking; inconclusive when it may have changed since."""
    if not found.checked:
        measure.inconclusive(criterion, f"the {named} hold nothing now: look at one that does")
    if found.unsure and not found.problems:
        measure.inconclusive(criterion, some(found.unsure))
    measure.violations(criterion, found.problems, checked=found.checked)


def judge_restore(measure: Any, criterion: str, found: Comparison) -> None:
    """Missed when something differs; inconclusive when a whole kind of facts could not be told.

    Or the content of any table, or a database has what its source has not. Keys and files come, go
    and change by themselves: how many did is noted.
    """
    for what, facts in (
        ("not compared, it changed", found.unseen),
        ("not compared, only the restored has it", found.extra),
    ):
        for kind, count in sorted(Counter(kind for kind, _ in facts).items()):
            measure.note(f"{criterion}: {kind} {what}", count, unit="facts")
    tables = [name for kind, name in found.unseen if kind == "checksum"]
    if tables and not found.problems:
        measure.inconclusive(
            criterion, f"written to while it was backed up, so not compared: {', '.join(tables)}"
        )
    extra = [f"{kind} of {name}" for kind, name in found.extra if kind not in FLEETING]
    for kind, count in Counter(kind for kind, _ in found.extra if kind in CONTENT).items():
        if count > MOST_EXTRA * found.compared[kind] + 10:
            extra.append(f"{count} more {kind} than the {found.compared[kind]} compared")
    if extra and not found.problems:
        measure.inconclusive(
            criterion,
            f"only the restored has {some(extra)}: made and removed meanwhile, or not of it",
        )
    if found.blind and not found.problems:
        measure.inconclusive(
            criterion, f"all of it changed while it was backed up: {', '.join(found.blind)}"
        )
    # What a restore complained of counts, though there was nothing that could be compared.
    checked = max(found.compared.total(), len(found.problems))
    measure.violations(criterion, found.problems, checked=checked)
