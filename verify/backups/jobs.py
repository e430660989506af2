"""The services that take backups: how often, and by what command they forget them."""

from __future__ import annotations

from typing import Final

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CannotProve
from fixtures.waiting import Pending, Waited, how_long
from verify.backups import places, schedule
from verify.backups.aging import Prune, pruning_by
from verify.backups.names import Kind
from verify.backups.store import NothingThere

REMOTE: Final = "remote-backup"
#: Job → the program in its container that prunes, and its arguments.
_PRUNES: Final = {
    "postgres-backup": ("postgres-prune", '"$BACKUPS/postgres"'),
    "redis-backup": ("files-prune", "\"$BACKUPS/redis\" 'redis-*.rdb'"),
    "volume-backup": ("files-prune", "\"$BACKUPS/volumes\" 'backup-*.tar.gz'"),
}
KIND_OF: Final = {"redis-backup": Kind.REDIS, "volume-backup": Kind.VOLUMES}


def period_of(cluster: Cluster, job: str) -> float:
    """Return the seconds between two runs of a job, called as in its stack file."""
    return schedule.period_of(cluster, cluster.snapshot().service_called(job).name)


def awaited_period_of(cluster: Cluster, job: str) -> float:
    """Return `period_of` a job whose next run can be waited for.

    Raises `CannotProve` when that is further away than the inventory lets a run wait.
    """
    period, patience = period_of(cluster, job), places.patience(cluster)
    if period > patience:
        raise CannotProve(
            f"its next run may be {period / 3600:g} h away, and a run waits {patience / 3600:g} h",
            where=f"service {job}",
            remedy="Shorten its schedule for the drill, or let the inventory allow more "
            "(backups.wait, in seconds). The newest copies are restored without waiting.",
        )
    return period


def prune_of(cluster: Cluster, job: str) -> Prune:
    """Return the prune command of a running job, with its own settings, to be run here.

    It is read from the job's container, so only a twin's: no server's program is run here. Raises
    `CannotProve` on servers.
    """
    if not cluster.is_twin:
        raise CannotProve(
            "a server's own program is not run on the harness's machine",
            where=f"service {job}",
            remedy="Run this on a twin whose image holds the same program.",
        )
    service = cluster.snapshot().service_called(job).name
    program, arguments = _PRUNES[job]
    script = cluster.in_task(service, ["sh", "-c", f'cat "$(command -v {program})"'])
    settings = {
        name: value
        for name, value in schedule.environment_of(cluster, service).items()
        if name.startswith("BACKUP_KEEP_")
    }
    return pruning_by(["bash", "-c", f"set -- {arguments}\n{script}"], settings)


def copied_since(cluster: Cluster, moment: str, *, periods: float) -> Waited:
    """Wait until the backup host has a snapshot whose name is later than `moment`."""

    def look() -> str | Pending:
        newest = places.newest_snapshot(cluster)
        return newest if newest > moment else Pending(f"the newest snapshot is of {newest or '-'}")

    return how_long(
        look,
        within=periods * period_of(cluster, REMOTE),
        every=0.5,
        what="a remote copy",
        retry_on=(NothingThere,),
    )
