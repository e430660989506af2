"""Steps about databases that nobody backs up."""

from __future__ import annotations

from typing import Any

from pytest_bdd import parsers, then

from fixtures.cluster.cluster import Cluster
from fixtures.waiting import Pending, how_long
from verify.backups import coverage, jobs, places
from verify.backups.store import NothingThere


@then(
    parsers.parse(
        "within {periods:g} periods of {job} every database of {servers} has a backup no older "
        "than {oldest:g} periods"
    )
)
def none_forgotten(
    cluster: Cluster, periods: float, job: str, servers: str, oldest: float, measure: Any
) -> None:
    """Of all that the servers themselves list, whatever a stack file says."""
    period = jobs.period_of(cluster, job)
    store = places.local(cluster)
    listed = {each: coverage.databases_of(cluster, each) for each in servers.split(" and ")}
    databases = [name for names in listed.values() for name in names]
    found: list[str] = []

    def look() -> bool | Pending:
        try:
            newest = coverage.newest_of(store, databases)
        except NothingThere as gone:
            found[:] = [str(gone)]
        else:
            found[:] = coverage.forgotten(newest, store.now(), oldest * period)
        return Pending("; ".join(found)) if found else True

    within = min(periods * period, places.patience(cluster))
    how_long(look, within=within, every=1.0, what="a backup of every database")
    found += coverage.ambiguous(listed)
    measure.violations("no database is without a backup", found, checked=len(databases))
