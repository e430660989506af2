"""Steps about the time that recovery from a backup takes, and would take at the plan's sizes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pytest_bdd import parsers, then, when

from fixtures.cluster.cluster import Cluster
from fixtures.tables import column
from verify.backups import places, recovery
from verify.backups.extrapolation import Point, extrapolate
from verify.backups.observed import Watched
from verify.backups.subjects import PostgresSubject, another_node


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
    """Grown in the source, backed up by the schedule, restored on a node without a copy."""
    watched = watch(f"the {named}", "postgres-backup")
    assert isinstance(watched.subject, PostgresSubject)
    source = watched.subject.source
    request.addfinalizer(partial(recovery.shrink, source))
    recovery.shrink(source)
    node = another_node(cluster, watched.subject)
    trial = recovery.Trial(watched, source, places.remote(cluster), node)
    points: list[Point] = []
    for megabytes in column(datatable, "megabytes"):
        point = trial.at(int(megabytes) * recovery.MEGABYTE, times=times, periods=periods)
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
