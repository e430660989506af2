"""What jobs that end tell the push gateway of their success, in the plan's way."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from fixtures.errors import CannotProve
from fixtures.stacks.scraping import BACKUP_AGES
from fixtures.waiting import Pending
from verify.monitoring.api import Monitoring

BACKUP: Final = "backup_last_success_timestamp_seconds"
MIRROR: Final = "gitlab_mirror_last_sync_timestamp"
MIRROR_JOB: Final = "gitlab-mirror"


def group_of(job: str) -> str:
    """Return the push gateway's group of a job."""
    return f"job/{job}" if job == MIRROR_JOB else f"job/backup/backup/{job}"


@dataclass
class Report:
    """Pushes and takes back the reports of jobs, on a twin: servers' own must not be falsified."""

    monitoring: Monitoring
    pushed: set[str] = field(default_factory=set)

    def fresh(self) -> None:
        """Report that every job has just succeeded; servers' jobs report by themselves."""
        if self.monitoring.cluster.is_twin:
            for job in (MIRROR_JOB, *BACKUP_AGES):
                self.push(job, 0.0)

    def push(self, job: str, age: float) -> None:
        """Report a success `age` seconds ago. Raises `CannotProve` on servers."""
        self._twin_only()
        metric = MIRROR if job == MIRROR_JOB else BACKUP
        self.monitoring.push(group_of(job), metric, time.time() - age)
        self.pushed.add(job)

    def forget(self, job: str) -> None:
        """Let nothing be known of a job. Raises `CannotProve` on servers."""
        self._twin_only()
        self.monitoring.unpush(group_of(job))
        self.pushed.discard(job)

    def forget_every(self) -> float:
        """Let nothing be known of any backup job; returns Prometheus' time then."""
        for job in BACKUP_AGES:
            self.forget(job)
        return self.monitoring.now()

    def _twin_only(self) -> None:
        if not self.monitoring.cluster.is_twin:
            raise CannotProve(
                "a job's report would be falsified", where="the push gateway of servers"
            )

    def forget_all(self) -> None:
        """Take back what was pushed."""
        for job in sorted(self.pushed):
            self.forget(job)


def reports_since(monitoring: Monitoring, jobs: Collection[str], since: float) -> bool | Pending:
    """Return True when each job reported a success later than `since` (seconds since the epoch)."""
    samples = monitoring.query(f"max by (backup) ({BACKUP})")
    newest = {sample.labels.get("backup", ""): sample.value for sample in samples}
    silent = [job for job in jobs if newest.get(job, 0.0) < since]
    return Pending(f"no report of {', '.join(silent)}") if silent else True
