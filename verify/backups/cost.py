"""What backing up takes: the time of a run, and room on the backup host."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CannotProve
from fixtures.waiting import Pending, eventually

_LOG_SECONDS: Final = 15.0
_RUN_SECONDS: Final = 60.0
_LOG_LINES: Final = 400
_LINE: Final = re.compile(r"^(\S+) \S+ (begins: |ended with status (\d+))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Room:
    """`bytes_used` on the backup host, by `copies`."""

    bytes_used: int
    copies: int


def run_seconds(log: str) -> float | None:
    """Return how long the newest run took that succeeded, from `docker logs --timestamps`.

    The lines are the scheduler's (fixtures/images/backup/bin/schedule). None if there is none.
    """
    begun: datetime | None = None
    took: float | None = None
    for line in _LINE.finditer(log):
        # Nanoseconds are more than fromisoformat takes.
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", line[1]))
        if line[2].startswith("begins"):
            begun = moment
        elif begun is not None and line[3] == "0":
            took, begun = (moment - begun).total_seconds(), None
    return took


def newest_run(cluster: Cluster, job: str) -> float:
    """Return the seconds of a job's newest successful run. Raises `NeverTrue` if it has none.

    A run's copies are there before it ends: restic's goes on to prune.
    """
    service = cluster.snapshot().service_called(job).name
    node, task = cluster.a_task(service)
    command = f"docker logs --timestamps --tail {_LOG_LINES} {task.container_id} 2>&1"

    def look() -> float | Pending:
        took = run_seconds(node.run(command, timeout=_LOG_SECONDS).stdout)
        return Pending("no run of it has succeeded") if took is None else took

    return eventually(look, within=_RUN_SECONDS, every=1, what=f"the end of a run of {job}")


def room(cluster: Cluster, folder: str, copies: str) -> Room:
    """Return what `folder` takes on the backup host, and how many entries `copies` in it has.

    Files that several copies share count once (`du`). Raises `CannotProve` without a backup host.
    """
    backups = cluster.inventory.backups
    if cluster.backup_host is None or backups is None or backups.host is None:
        raise CannotProve("the inventory names no backup host", where=f"cluster {cluster.name}")
    path = f"{backups.host.path}/{folder}"
    done = cluster.backup_host.run(f"du -sb {path} && ls {path}/{copies} | wc -l", timeout=60)
    used, count = done.stdout.split()[0], done.stdout.split()[-1]
    return Room(int(used), int(count))
