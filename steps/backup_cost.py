"""Steps about what backing up takes."""

from __future__ import annotations

from typing import Any

from pytest_bdd import parsers, then

from fixtures.cluster.cluster import Cluster
from verify.backups import cost

#: Which folder on the backup host holds the copies, and which of its entries are one copy each.
KEPT = {"the copies": ("snapshots", ""), "restic's snapshots": ("restic", "snapshots")}


@then(parsers.parse("the report notes how long runs of {jobs} take, and the room of {copies}"))
def noted(cluster: Cluster, jobs: str, copies: str, measure: Any) -> None:
    """The newest run of each that succeeded; several count together."""
    seconds = sum(cost.newest_run(cluster, job) for job in jobs.split(", "))
    measure.note("time of a run", seconds, unit="s", n=len(jobs.split(", ")))
    room = cost.room(cluster, *KEPT[copies])
    measure.note("room of all copies", room.bytes_used / 1e6, unit="MB", n=room.copies)
    measure.note("copies", room.copies, unit="")
