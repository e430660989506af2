"""Steps about backups that restic takes in the place of the plan's jobs."""

from __future__ import annotations

from functools import partial
from typing import Any

from pytest_bdd import given, parsers, then

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.twin.on_demand import OnDemandStacks
from steps.backups import judge_restore
from verify.backups import places, restic
from verify.backups.observed import Watched
from verify.backups.subjects import another_node

STACK = "backups-restic"
DATABASE = "gibd"


@given(parsers.parse("restic takes the backups every {seconds:d} seconds"))
def restic_runs(cluster: Cluster, on_demand: OnDemandStacks | None, run: Any, seconds: int) -> None:
    """On a twin; servers that use it have it already."""
    if on_demand is None:
        return
    every = f"@every {seconds}s"
    run.environment["restic's schedule"] = every
    node = places.data_node(cluster)
    on_demand.stand(STACK, [node.name], CUTOVER_RESTIC_SCHEDULE=every)


@then(parsers.parse("restic has a copy of each, begun after that, within {periods:g} periods"))
def taken(cluster: Cluster, watched: list[Watched], periods: float, measure: Any) -> None:
    """In its repository on the backup host."""
    first = watched[-1]
    assert first.since is not None
    took = restic.wait_for_run(
        restic.repository(cluster, DATABASE),
        first.since,
        elapsed=(first.local.now() - first.since).total_seconds(),
        within=periods * first.period,
    )
    measure.each(
        partial(
            measure,
            f"{each.subject.kind} backup on the backup host",
            took.seconds / each.period,
            limit=periods,
            unit="periods",
            error=took.error / each.period,
            reason=took.reason,
        )
        for each in watched
    )


@then("restic reads every byte of its copies without a complaint")
def checked(cluster: Cluster, measure: Any) -> None:
    """`restic check --read-data`; a restore is still wanted."""
    found = restic.repository(cluster, DATABASE).check()
    measure.violations("restic's repository", found, checked=1)


@then("from restic's copies each restores on another node, with nothing lost or changed")
def restores(cluster: Cluster, watched: list[Watched], measure: Any) -> None:
    """Unpacked from the repository, then restored as the plan's own are."""
    with restic.repository(cluster, DATABASE).unpacked() as store:

        def restore(each: Watched) -> None:
            criterion = f"{each.subject.kind} restored from the backup host"
            if lacking := each.accept(store):
                measure.violations(criterion, lacking, checked=1)
            node = another_node(cluster, each.subject)
            judge_restore(measure, criterion, each.restore(store, node=node))

        measure.each(partial(restore, each) for each in watched)
